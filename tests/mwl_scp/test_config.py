"""Settings of the worklist provider: read once, and refused by name."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from gateway_settings.environment import environment
from mwl_admin.worklist import policy
from mwl_admin.worklist.policy import Policy
from mwl_scp.config import load

ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def _bare(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in list(os.environ):
        if name.startswith("MWL_"):
            monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)


def test_the_defaults_are_safe_ones() -> None:
    config = load(environment())
    assert config.policy == Policy() == policy.load(environment())
    assert config.policy.own_only
    assert config.policy.hide_ended
    assert (config.listener.ae_title, config.listener.bind) == ("MWL_SCP", ("127.0.0.1", 4243))
    assert config.retention_days == 30


def test_every_rule_can_be_set(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {
        "MWL_STATION_SCOPE": "all",
        "MWL_UNKNOWN_STATIONS": "none",
        "MWL_DEFAULT_DAYS": "-2:+7",
        "MWL_MAX_MATCHES": "50",
        "MWL_ABOVE_MAX_MATCHES": "refuse",
        "MWL_NAME_ACCENTS": "ignore",
        "MWL_ENDED_STEPS": "show",
    }.items():
        monkeypatch.setenv(name, value)
    assert policy.load(environment()) == Policy(
        own_only=False,
        unknown_see=False,
        serve_as_before=False,
        default_days=(-2, 7),
        maximum_matches=50,
        refuse_above=True,
        ignore_accents=True,
        hide_ended=False,
    )


@pytest.mark.parametrize(
    ("chosen", "bind", "served"),
    [
        ("", "", True),
        ("auto", "127.0.0.1:4243", True),
        ("auto", "127.9.9.9:0", True),
        ("auto", "[::1]:4243", True),
        ("auto", "localhost:4243", True),
        ("auto", "0.0.0.0:4243", False),
        ("auto", "[::]:4243", False),
        ("auto", ":4243", False),
        ("auto", "192.0.2.1:4243", False),
        ("auto", "scanner.example:4243", False),
        ("all", "0.0.0.0:4243", True),
        ("none", "127.0.0.1:4243", False),
    ],
)
def test_strangers_are_served_where_only_this_machine_can_be_one_or_where_it_is_said(
    monkeypatch: pytest.MonkeyPatch, chosen: str, bind: str, served: bool
) -> None:
    for name, value in {"MWL_UNKNOWN_STATIONS": chosen, "MWL_BIND": bind}.items():
        if value:
            monkeypatch.setenv(name, value)
    assert policy.load(environment()).unknown_see is served


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("MWL_DEFAULT_DAYS", "7"),
        ("MWL_UNKNOWN_STATIONS", "some"),
        ("MWL_QUERY_RETENTION_DAYS", "-1"),
        ("TIME_ZONE", "Mars/Base"),
        ("MWL_WORKERS", "0"),
    ],
)
def test_a_bad_value_ends_the_process_with_one_line_that_names_it(tmp_path: Path, name: str, value: str) -> None:
    run = subprocess.run(
        [sys.executable, "-m", "mwl_scp"],
        env={**os.environ, "PYTHONPATH": str(ROOT), "DATA_DIR": str(tmp_path), name: value},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert run.returncode == 2
    assert run.stderr.startswith(f"{name}: ")
    assert run.stderr.count("\n") == 1
