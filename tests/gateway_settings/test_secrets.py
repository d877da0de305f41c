"""Secrets that are made at the first start: one for all, whole, and for the owner alone."""

from __future__ import annotations

import stat
import subprocess
import sys
from pathlib import Path

import pytest

from gateway_settings.secrets import kept_secret
from tests.processes import ROOT, clean_environment

SITE = "from mwl_admin import settings; print(settings.PACS_NOTIFY_SECRET)"
RECEIVER = "from gateway_settings.environment import environment; from pacs_receiver.config import load; \
print(load(environment()).notify_secret)"


def start(folder: Path, code: str, **settings: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", code], cwd=folder, env=clean_environment(settings), text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip


def said(process: subprocess.Popen[str]) -> str:
    output, errors = process.communicate(timeout=60)
    assert process.returncode == 0, errors
    return output.strip()


def test_processes_that_start_at_once_agree_on_one_secret(tmp_path: Path) -> None:
    path = tmp_path / "var" / "secret"
    code = f"from pathlib import Path; from gateway_settings.secrets import kept_secret; \
print(kept_secret(Path({str(path)!r})))"
    secrets = {said(process) for process in [start(tmp_path, code) for _ in range(12)]}
    assert secrets == {path.read_text()}
    assert len(path.read_text()) >= 48
    assert [entry.name for entry in path.parent.iterdir()] == ["secret"], "nothing is left of those that were late"


def test_site_and_receiver_that_start_at_once_share_one_secret(tmp_path: Path) -> None:
    settings = {"DATA_DIR": str(tmp_path / "var")}
    secrets = {said(process) for process in [start(tmp_path, code, **settings) for code in (SITE, RECEIVER) * 3]}
    assert secrets == {(tmp_path / "var" / "link_secret").read_text()}
    assert stat.S_IMODE((tmp_path / "var" / "link_secret").stat().st_mode) == 0o600


def test_site_and_receiver_with_folders_of_their_own_share_the_file_that_is_named(tmp_path: Path) -> None:
    shared = str(tmp_path / "link" / "secret")
    site = said(start(tmp_path, SITE, DATA_DIR=str(tmp_path / "a"), PACS_NOTIFY_SECRET_PATH=shared))
    receiver = said(start(tmp_path, RECEIVER, DATA_DIR=str(tmp_path / "b"), PACS_NOTIFY_SECRET_PATH=shared))
    assert site == receiver != ""


@pytest.mark.parametrize("code", [SITE, RECEIVER])
def test_a_secret_that_is_set_wins(tmp_path: Path, code: str) -> None:
    assert said(start(tmp_path, code, PACS_NOTIFY_SECRET="the department's own")) == "the department's own"
    kept = tmp_path / "own"
    kept.write_text("from a file\n")
    assert said(start(tmp_path, code, PACS_NOTIFY_SECRET_FILE=str(kept))) == "from a file"
    assert not (tmp_path / "var" / "link_secret").exists()


@pytest.mark.parametrize("code", ["import mwl_admin.gunicorn", "import sys; from pacs_receiver.cli import main; \
sys.exit(main(['list']))"])  # fmt: skip
def test_a_secret_that_can_be_neither_read_nor_made_is_one_line(tmp_path: Path, code: str) -> None:
    (tmp_path / "file").write_text("")
    for path in (tmp_path / "file" / "secret", tmp_path / "file"):
        ended = subprocess.run(
            [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False,
            env=clean_environment({"PACS_NOTIFY_SECRET_PATH": str(path)}),
        )  # fmt: skip
        assert ended.returncode == 2
        (line,) = ended.stderr.splitlines()
        assert line.startswith("PACS_NOTIFY_SECRET: ")


def test_an_empty_file_is_no_secret(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("\n")
    with pytest.raises(ValueError, match="is empty"):
        kept_secret(tmp_path / "secret")


def test_the_settings_are_a_leaf() -> None:
    forbid = "import sys; sys.modules |= dict.fromkeys(['django', 'sqlalchemy', 'environs', 'pynetdicom']); \
import gateway_settings.secrets, gateway_settings.private"
    subprocess.run([sys.executable, "-c", forbid], cwd=ROOT, check=True)
