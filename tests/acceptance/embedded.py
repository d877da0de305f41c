"""The embedded set-up under test: one supervisor, and the three processes that it looks after."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import psutil

from tests.processes import ROOT, Process, Processes
from tests.waiting import wait_until


class Embedded(Process):
    """The supervisor as `make run` starts it; ``parts`` says where its three processes listen."""

    def __init__(self, folder: Path, **settings: str) -> None:
        self.parts = Processes(folder, settings)
        super().__init__("embedded", [sys.executable, str(ROOT / "embedded.py")], self.parts.env, folder, "")

    def is_healthy(self) -> bool:
        return all(process.is_healthy() for process in self.parts.all)

    def control(self, *arguments: str) -> str:
        command = [*self._command, *arguments]
        done = subprocess.run(
            command, env=dict(self._env), cwd=self._folder, capture_output=True, text=True, timeout=60, check=False
        )
        return done.stdout

    def pids(self) -> dict[str, int]:
        """Return the process number of each program that runs."""
        found = re.findall(r"gateway:(\w+)\s+RUNNING\s+pid (\d+)", self.control("status"))
        return {name: int(pid) for name, pid in found}

    def wait_until_up(self) -> dict[str, int]:
        """Wait until all three are healthy and the supervisor is content with them; return their process numbers."""
        wait_until(self.is_healthy, timeout=60, what="all three are healthy")
        return wait_until(lambda: len(running := self.pids()) == 3 and running, timeout=60) or {}


def end(embedded: Embedded) -> None:
    """End it and what it started, however the test left it."""
    family = embedded.family() if embedded.is_running() else []
    if embedded.is_running():
        embedded.stop(timeout=60)
    for member in family:
        if member.is_running() and member.status() != psutil.STATUS_ZOMBIE:
            member.kill()
