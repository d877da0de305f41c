"""A line of the settings file that can't be understood stops every process and is named; no default takes its place."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from gateway_settings.environment import BadSetting, check
from tests.processes import ROOT, clean_environment

PROCESSES = {
    "embedded": [str(ROOT / "embedded.py")],
    "status": [str(ROOT / "embedded.py"), "status"],
    "manage": [str(ROOT / "manage.py"), "check"],
    "site": ["-m", "gunicorn", "--config", "python:mwl_admin.gunicorn"],
    "worklist": ["-m", "mwl_scp"],
    "receiver": ["-m", "pacs_receiver", "serve"],
    "list": ["-m", "pacs_receiver", "list"],
    "certificates": ["-m", "gateway_certificates", "ca"],
}
BAD = {
    "no equals sign": ("# mine\n\nLOG_LEVEL=DEBUG\nPACS_BIND 127.0.0.1:0\n", 4),
    "a name alone": ("LOG_LEVEL\n", 1),
    "a quote without an end": ('A_NAME="one\nand no more\n', 1),
    "text after a quote": ("A_NAME='one' two\n", 1),
    "a name with a hyphen": ("\n\nLOG-LEVEL=DEBUG\n", 3),
    "a name with a space": ("LOG LEVEL=DEBUG\n", 1),
    "an INI section": ("[gateway]\n", 1),
    "YAML": ("LOG_LEVEL: DEBUG\n", 1),
}


def run(folder: Path, arguments: list[str], **settings: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *arguments], cwd=folder, env=clean_environment(settings), capture_output=True, text=True,
        timeout=60, check=False,
    )  # fmt: skip


@pytest.mark.parametrize("name", PROCESSES)
def test_it_stops_every_process_with_its_number(tmp_path: Path, name: str) -> None:
    (tmp_path / ".env").write_text("LOG_LEVEL=INFO\nDJANGO_SECRET_KEY - hunter2hunter2\n")
    ended = run(tmp_path, PROCESSES[name])
    assert ended.returncode == 2
    assert ended.stderr.splitlines() == [".env, line 2: is not NAME=value, or a quote has no end"]
    assert not ended.stdout
    assert not (tmp_path / "var").exists(), "nothing is begun"


@pytest.mark.parametrize("kind", BAD)
def test_each_kind_of_line_is_told_without_its_value(tmp_path: Path, kind: str) -> None:
    text, line = BAD[kind]
    path = tmp_path / ".env"
    path.write_text(text)
    with pytest.raises(BadSetting, match=rf"\.env, line {line}: ") as told:
        check(path)
    assert "DEBUG" not in str(told.value).partition("line")[2]
    assert "\n" not in str(told.value)


def test_bytes_that_are_not_utf_8_are_told(tmp_path: Path) -> None:
    path = tmp_path / ".env"
    path.write_bytes(b"LOG_LEVEL=INFO\nMWL_INSTITUTION_NAME=Z\xfcrich\n")
    with pytest.raises(BadSetting, match=r"\.env, line 2: is not UTF-8 text"):
        check(path)


def test_what_people_write_is_taken(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text(
        "# a comment\n\n  LOG_LEVEL = DEBUG  # and why\nexport WEB_WORKERS=3\n"
        'DATA_DIR="a folder with # and spaces"\nDJANGO_SECRET_KEY=\'a$b"c'
        + "x" * 40
        + "'\nTIME_ZONE=Europe/Rome\r\nWEB_BIND="
    )
    show = "from mwl_admin import settings as s; print(s.LOG_LEVEL, s.WEB_WORKERS, s.DATA_DIR.name, s.TIME_ZONE)"
    assert run(tmp_path, ["-c", show], WEB_BIND="127.0.0.1:0").stdout == (
        "DEBUG 3 a folder with # and spaces Europe/Rome\n"
    )


def test_the_example_is_taken() -> None:
    check(ROOT / ".env.example")
