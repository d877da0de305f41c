"""The commands as an administrator runs them: real processes, exit statuses, a bar on a terminal only."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest

from tests.mwl_scp.conftest import ROOT
from tests.worklist.test_files_cutover import JOHN, write


def environment(folder: Path) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("MWL_", "PACS_", "DJANGO_"))}
    return {**kept, "DATA_DIR": str(folder / "var"), "DATABASE_URL": f"sqlite:///{folder}/worklist.sqlite3"}


def manage(folder: Path, *arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "manage.py", *map(str, arguments)]
    return subprocess.run(
        command, cwd=ROOT, env=environment(folder), capture_output=True, text=True, timeout=300, check=False
    )


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    assert manage(folder, "migrate", "-v0").returncode == 0
    files = folder / "files"
    files.mkdir()
    write(files / "a.wl")
    write(files / "b.wl", **JOHN)
    return folder


def test_exit_statuses_and_streams_are_those_of_the_documentation(site: Path, tmp_path: Path) -> None:
    done = manage(site, "import_wl", site / "files", "--json")
    assert done.returncode == 1
    told = json.loads(done.stdout)
    assert (told["taken"], told["refused"], told["created"] + told["unchanged"]) == (1, 1, 1)
    assert "1 of 2 files could not be taken" in done.stderr
    assert manage(site, "import_wl", site / "files" / "a.wl").returncode == 0
    assert manage(site, "import_wl", site / "nothing").returncode == 2
    assert manage(site, "export_wl", tmp_path / "out", "--all").returncode == 0
    assert manage(site, "export_wl", tmp_path / "out", "--character-set", "LATIN1").returncode == 2


def test_a_terminal_sees_how_far_a_run_is(site: Path) -> None:
    ours, theirs = pty.openpty()
    command = [sys.executable, "manage.py", "import_wl", "--dry-run", str(site / "files" / "a.wl")]
    process = subprocess.Popen(
        command, cwd=ROOT, env={**environment(site), "TERM": "xterm"}, stdout=subprocess.PIPE, stderr=theirs
    )
    os.close(theirs)
    shown = b""
    while True:
        try:
            part = os.read(ours, 4096)
        except OSError:  # the other end is closed
            break
        if not part:
            break
        shown += part
    os.close(ours)
    assert process.stdout is not None
    told = process.stdout.read()
    process.stdout.close()
    assert process.wait(60) == 0
    assert b"1/1" in shown
    assert b"1/1" not in told
