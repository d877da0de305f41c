"""The receiver as a real process, on free ports and a folder of its own."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

from tests.ports import free_port
from tests.waiting import wait_until

ROOT = Path(__file__).parents[2]


@dataclass
class ReceiverProcess:
    """Started with :meth:`start`; ``settings`` are environment variables beside those that place it."""

    data_dir: Path
    settings: Mapping[str, str] = field(default_factory=dict)
    port: int = field(default_factory=free_port)
    health_port: int = field(default_factory=free_port)
    command_port: int = field(default_factory=free_port)
    process: subprocess.Popen[bytes] | None = None

    @property
    def environment(self) -> dict[str, str]:
        inherited = {key: value for key, value in os.environ.items() if not key.startswith(("PACS_", "DATA_DIR"))}
        return {
            **inherited,
            "PYTHONPATH": str(ROOT),
            "DATA_DIR": str(self.data_dir),
            "PACS_BIND": f"127.0.0.1:{self.port}",
            "PACS_HEALTH_BIND": f"127.0.0.1:{self.health_port}",
            "PACS_COMMAND_BIND": f"127.0.0.1:{self.command_port}",
            "PACS_MIN_FREE_BYTES": "0",
            **self.settings,
        }

    @property
    def storage(self) -> Path:
        return Path(self.environment.get("PACS_STORAGE_DIR", str(self.data_dir / "pacs" / "storage")))

    @property
    def log(self) -> Path:
        return self.data_dir / "receiver.log"

    def start(self) -> None:
        """Start it and wait until it is healthy."""
        self.launch()
        wait_until(self.is_healthy, timeout=90, what="the receiver is healthy")

    def launch(self) -> None:
        """Start it."""
        self.data_dir.mkdir(parents=True, exist_ok=True)
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "pacs_receiver"],
                cwd=self.data_dir,
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def is_healthy(self) -> bool:
        if self.process is None or self.process.poll() is not None:
            raise RuntimeError(f"the receiver ended at start: {self.log.read_text()[-2000:]}")
        try:
            return bool(self.health()["status"] == "ok")
        except (OSError, urllib.error.URLError):
            return False

    def health(self) -> dict[str, Any]:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.health_port}/health", timeout=10) as answer:
                parsed: dict[str, Any] = json.load(answer)
        except urllib.error.HTTPError as error:
            parsed = json.load(error)
        return parsed

    def metrics(self) -> dict[str, float]:
        """The samples of `/metrics` by their name with labels."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.health_port}/metrics", timeout=10) as answer:
            lines = answer.read().decode().splitlines()
        return {name: float(value) for name, _, value in (x.rpartition(" ") for x in lines if not x.startswith("#"))}

    def stop(self) -> int:
        """SIGTERM; return the exit status."""
        assert self.process is not None
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(60)

    def kill(self) -> None:
        """SIGKILL the process with all its children, and wait until none is left."""
        assert self.process is not None
        if self.process.poll() is not None:
            return
        family = [psutil.Process(self.process.pid), *psutil.Process(self.process.pid).children(recursive=True)]
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait(60)
        wait_until(lambda: not any(_is_alive(member) for member in family), what="all processes are gone")

    def workers(self) -> list[psutil.Process]:
        assert self.process is not None
        return psutil.Process(self.process.pid).children()

    def run(self, *arguments: str, stdin: str | None = None) -> subprocess.CompletedProcess[str]:
        """Run a subcommand with the same settings."""
        return subprocess.run(
            [sys.executable, "-m", "pacs_receiver", *arguments],
            cwd=self.data_dir,
            env=self.environment,
            input=stdin,
            stdin=subprocess.DEVNULL if stdin is None else None,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )

    def listed(self) -> list[dict[str, Any]]:
        """What `list --json` prints."""
        finished = self.run("list", "--json")
        assert finished.returncode == 0, finished.stderr
        return [json.loads(line) for line in finished.stdout.splitlines()]


def _is_alive(process: psutil.Process) -> bool:
    try:
        return bool(process.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False
