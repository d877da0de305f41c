"""The three real processes, as a production set-up starts them, on free ports and with data of their own."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import psutil
import requests

from tests.ports import free_port
from tests.waiting import wait_until

ROOT = Path(__file__).resolve().parent.parent
PASSWORD = "correct-horse-7-battery"  # of the first account, "admin"
OUR_PREFIXES = ("MWL_", "PACS_", "DJANGO_", "WEB_", "DATABASE_URL", "DATA_DIR", "TIME_ZONE", "LOG_", "PYTEST_")


def clean_environment(settings: Mapping[str, str]) -> dict[str, str]:
    """Return this process's environment without any setting of ours, and with ``settings``."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(OUR_PREFIXES)}
    return {**inherited, "PYTHONPATH": str(ROOT), **settings}


class Process:
    """One service: started, asked whether it is healthy, stopped, killed, started again; its log is kept in a file."""

    def __init__(self, name: str, command: list[str], env: Mapping[str, str], folder: Path, health_url: str) -> None:
        self.name = name
        self.health_url = health_url
        self.log = folder / f"{name}.log"
        self._command = command
        self._env = env
        self._folder = folder
        self._popen: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        assert self._popen is not None, f"{self.name} was not started"
        return self._popen.pid

    def start(self) -> None:
        """Start it and wait until it is healthy."""
        self.spawn()
        self.wait_until_healthy()

    def spawn(self) -> None:
        """Start it without waiting."""
        with self.log.open("ab") as log:
            # the folder is the working directory, so that a developer's .env plays no part
            self._popen = subprocess.Popen(
                self._command,
                env=dict(self._env),
                cwd=self._folder,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def wait_until_healthy(self, timeout: float = 90) -> None:
        try:
            wait_until(self._healthy_or_ended, timeout=timeout)
        except TimeoutError:
            raise RuntimeError(f"{self.name} is not healthy after {timeout} s:\n{self.log_text()[-4000:]}") from None

    def is_healthy(self) -> bool:
        try:
            return requests.get(self.health_url, timeout=5).status_code == 200
        except requests.RequestException:
            return False

    def is_running(self) -> bool:
        return self._popen is not None and self._popen.poll() is None

    def stop(self, timeout: float = 60) -> int:
        """Send SIGTERM, wait, return the exit status."""
        assert self._popen is not None
        self._popen.terminate()
        return self.wait(timeout)

    def wait(self, timeout: float = 60) -> int:
        """Wait until it has ended, return the exit status."""
        assert self._popen is not None
        return self._popen.wait(timeout)

    def kill(self) -> None:
        """SIGKILL the process and whatever it started, as the kernel does when memory runs out."""
        assert self._popen is not None
        if self._popen.poll() is None:
            os.killpg(self._popen.pid, signal.SIGKILL)
        self._popen.wait(30)

    def family(self) -> list[psutil.Process]:
        """Return the process and all that it started."""
        main = psutil.Process(self.pid)
        return [main, *main.children(recursive=True)]

    def log_text(self) -> str:
        return self.log.read_text(errors="replace") if self.log.exists() else ""

    def _healthy_or_ended(self) -> bool:
        if not self.is_running():
            raise RuntimeError(f"{self.name} ended at start:\n{self.log_text()[-4000:]}")
        return self.is_healthy()


class Processes:
    """All three, with the addresses where they listen and the settings that they were given.

    Without ``DATABASE_URL`` and ``PACS_DATABASE_URL`` they use SQLite, as they do by default.
    """

    def __init__(self, folder: Path, settings: Mapping[str, str] | None = None) -> None:
        self.folder = folder
        self.data_dir = folder / "var"
        self.web_port, self.mwl_port, self.pacs_port = free_port(), free_port(), free_port()
        mwl_health, pacs_health, pacs_commands = free_port(), free_port(), free_port()
        self.web_url = f"http://127.0.0.1:{self.web_port}"
        self.mwl_health_url = f"http://127.0.0.1:{mwl_health}"
        self.pacs_health_url = f"http://127.0.0.1:{pacs_health}"
        self.settings = {
            "DATA_DIR": str(self.data_dir),
            "WEB_BIND": f"127.0.0.1:{self.web_port}",
            "MWL_BIND": f"127.0.0.1:{self.mwl_port}",
            "PACS_BIND": f"127.0.0.1:{self.pacs_port}",
            "MWL_HEALTH_BIND": f"127.0.0.1:{mwl_health}",
            "PACS_HEALTH_BIND": f"127.0.0.1:{pacs_health}",
            "PACS_COMMAND_BIND": f"127.0.0.1:{pacs_commands}",
            "DJANGO_SUPERUSER_PASSWORD": PASSWORD,
            "PACS_WORKERS": "2",
            "PACS_MIN_FREE_BYTES": "0",  # tests send little, and the machine may be nearly full
            **(settings or {}),
        }
        self.env = clean_environment(self.settings)
        python = sys.executable
        self.mwl_admin = Process(
            "mwl_admin",
            [python, "-m", "gunicorn", "--config", "python:mwl_admin.gunicorn"],
            self.env,
            folder,
            f"{self.web_url}/health",
        )
        self.mwl_scp = Process("mwl_scp", [python, "-m", "mwl_scp"], self.env, folder, f"{self.mwl_health_url}/health")
        self.pacs_receiver = Process(
            "pacs_receiver", [python, "-m", "pacs_receiver"], self.env, folder, f"{self.pacs_health_url}/health"
        )
        self.all = (self.mwl_admin, self.mwl_scp, self.pacs_receiver)

    def prepare(self) -> None:
        """Migrate the worklist database and make the first account, as is done before the processes start."""
        self.manage("migrate", "--verbosity", "0")
        self.manage("first_account")

    def start(self) -> None:
        """Prepare, start all three, and wait until each is healthy."""
        self.data_dir.mkdir(exist_ok=True)
        self.prepare()
        for process in self.all:
            process.spawn()
        for process in self.all:
            process.wait_until_healthy()

    def stop(self) -> None:
        """Stop those that still run, and make sure that nothing is left."""
        for process in self.all:
            if process.is_running():
                process.kill()

    def manage(self, *arguments: str) -> str:
        """Run a management command of the site; return what it printed."""
        return self._run([sys.executable, str(ROOT / "manage.py"), *arguments])

    def pacs(self, *arguments: str) -> str:
        """Run a command of the receiver, such as ``list``; return what it printed."""
        return self._run([sys.executable, "-m", "pacs_receiver", *arguments])

    def logs(self) -> list[tuple[str, str]]:
        """Return name and end of the log of each process."""
        return [(process.name, process.log_text()[-6000:]) for process in self.all]

    def _run(self, command: list[str]) -> str:
        done = subprocess.run(
            command, env=self.env, cwd=self.folder, capture_output=True, text=True, timeout=120, check=False
        )
        if done.returncode != 0:
            raise RuntimeError(f"{command} failed ({done.returncode}):\n{done.stdout}{done.stderr}")
        return done.stdout
