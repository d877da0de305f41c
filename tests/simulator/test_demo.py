"""`make demo`: everything starts, three scanners do the whole list, Ctrl-C ends everything and leaves nothing."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tests.clients.site import Site
from tests.ports import free_port
from tests.processes import ROOT, clean_environment
from tests.waiting import wait_until


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder with a short name: the supervisor's socket lies below it, and its path is limited."""
    with tempfile.TemporaryDirectory(prefix="demo") as name:
        yield Path(name)


@pytest.mark.timeout(300)  # it starts six processes one after the other
def test_the_demonstration_works_through_the_list_and_ends_with_ctrl_c(folder: Path) -> None:
    names = ("WEB_BIND", "MWL_BIND", "PACS_BIND", "MWL_HEALTH_BIND", "PACS_HEALTH_BIND", "PACS_COMMAND_BIND")
    settings = {name: f"127.0.0.1:{free_port()}" for name in names}
    # What must not matter: the demonstration keeps to data of its own.
    foreign = {"DATABASE_URL": f"sqlite:///{folder}/real.sqlite3", "PACS_STORAGE_DIR": str(folder / "real")}
    output = folder / "output"
    with output.open("wb") as out:
        demo = subprocess.Popen(
            # a parent that runs in the background hands down an ignored SIGINT; a terminal's Ctrl-C is what is meant
            [
                "env",
                "--default-signal=INT",
                sys.executable,
                "-m",
                "simulator.demo",
                "--rate",
                "0",
                "--pause",
                "0",
                "--entries",
                "6",
            ],
            env={**clean_environment({**settings, **foreign}), "TMPDIR": str(folder), "PYTHONPATH": str(ROOT)},
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        wait_until(lambda: _done(demo, output), timeout=240, what="the list is done")
        site = Site(f"http://{settings['WEB_BIND']}", re.findall(r"password (\S+)", output.read_text())[0])
        counted = re.compile(r"\b[1-9]\d* images?\b")
        wait_until(lambda: len(counted.findall(site.get("/today/").text)) >= 6, timeout=60, what="images are counted")
        family = psutil.Process(demo.pid).children(recursive=True)
        assert len(family) >= 4
        demo.send_signal(signal.SIGINT)
        assert demo.wait(60) == 0
    finally:
        if demo.poll() is None:
            os.kill(demo.pid, signal.SIGTERM)
            demo.wait(60)
    text = output.read_text()
    assert not [process for process in family if process.is_running() and process.status() != "zombie"]
    assert len(re.findall(r"examination over", text)) == 6, text
    assert "BAD" not in text
    assert sorted(path.name for path in folder.iterdir()) == ["output"]


def _done(demo: subprocess.Popen[bytes], output: Path) -> bool:
    assert demo.poll() is None, output.read_text()
    return "The list is done" in output.read_text()


@pytest.mark.parametrize("option", ["--rate=fast", "--rate=-1", "--pause=nan", "--entries=0"])
def test_a_wrong_option_is_told_before_anything_starts(option: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "simulator.demo", option],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert done.returncode == 2
    assert option.partition("=")[2] in done.stderr.splitlines()[-1]
    assert not done.stdout
