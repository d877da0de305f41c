"""The demonstration: what `make demo` does.

A fresh folder with a worklist that is invented, all three processes on it, and three simulated scanners that work
through the list while you watch in the browser. Nothing outside that folder is touched, and it is removed at the end.
"""

from __future__ import annotations

import argparse
import os
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import embedded
from gateway_settings.private import keep_private

ROOT = Path(__file__).resolve().parent.parent
SCANNERS = ("CT1:ct", "MR1:mr", "US1:us")
_START_SECONDS = 60
_STOP_SECONDS = 60

# Whatever a .env file or the shell says: data and passwords of the demonstration are its own. Addresses may be set.
_OF_ITS_OWN = ("PACS_STORAGE_DIR", "PACS_PEERS_FILE", "MWL_ALLOWED_CALLING_AE", "PACS_ALLOWED_CALLING_AE",
               "PACS_NOTIFY_SECRET", "PACS_NOTIFY_SECRET_PATH")  # fmt: skip


def main() -> int:
    """Prepare, start, let the scanners work, wait for Ctrl-C; return the exit status."""
    parser = argparse.ArgumentParser(description="A synthetic day with three simulated scanners. Ctrl-C ends it.")
    parser.add_argument("--entries", default="24", type=_counted, help="of the day's list [%(default)s]")
    parser.add_argument("--rate", default="4", type=_amount, help="images a second on each scanner [%(default)s]")
    parser.add_argument("--pause", default="3", type=_amount, help="seconds between two patients [%(default)s]")
    options = parser.parse_args()
    keep_private()
    folder = Path(tempfile.mkdtemp(prefix="gateway-demo-"))
    signal.signal(signal.SIGTERM, _interrupt)
    try:
        return Demonstration(folder, options).run()
    except KeyboardInterrupt:
        return 0  # ended as it is meant to end
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _counted(text: str) -> str:
    if not (text.isascii() and text.isdecimal() and int(text)):
        raise argparse.ArgumentTypeError(f"{text} is not a number from 1")
    return text


def _amount(text: str) -> str:
    from simulator.addresses import amount

    try:
        amount(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
    return text


def _interrupt(*_: object) -> None:
    raise KeyboardInterrupt


class Demonstration:
    """One run, with all its data in ``folder``."""

    def __init__(self, folder: Path, options: argparse.Namespace) -> None:
        self._entries = options.entries
        self._pace = ["--rate", options.rate, "--pause", options.pause]
        self._log = folder / "services.log"
        self._password = secrets.token_urlsafe(12)
        os.environ.update(_settings(folder, self._password))
        self._settings = embedded.read_settings()
        os.environ.update(embedded.link(self._settings))
        self._env = {**os.environ, "PYTHONPATH": str(ROOT)}

    def run(self) -> int:
        """Return the exit status: that of the scanners, or 1 when the services did not start."""
        self._manage("migrate", "--verbosity", "0")
        stations = [name.partition(":")[0] for name in SCANNERS]
        self._manage("demo_day", "--entries", self._entries, "--stations", *stations)
        with self._log.open("wb") as log:
            services = self._start([str(ROOT / "embedded.py")], stdout=log, stderr=subprocess.STDOUT)
        try:
            if not self._wait_until_healthy(services):
                sys.stderr.write(self._log.read_text(errors="replace")[-2000:])
                return 1
            print(self._announcement(), flush=True)  # noqa: T201
            status = self._let_scanners_work()
            print("\nThe list is done. The site goes on until Ctrl-C.", flush=True)  # noqa: T201
            services.wait()  # Ctrl-C gets out of here
            return status
        finally:
            _stop(services)

    def _let_scanners_work(self) -> int:
        mwl, pacs = self._settings.mwl, self._settings.pacs
        stations = [word for name in SCANNERS for word in ("--station", name)]
        scanners = self._start(
            [
                str(ROOT / "manage.py"), "simulate_modality", "--loop", *stations,
                "--mwl", str(mwl.bind.reachable), "--mwl-ae", mwl.ae_title,
                "--pacs", str(pacs.bind.reachable), "--pacs-ae", pacs.ae_title,
                *self._pace,
            ]
        )  # fmt: skip
        try:
            return scanners.wait()
        finally:
            _stop(scanners)

    def _wait_until_healthy(self, services: subprocess.Popen[bytes]) -> bool:
        import urllib.error
        import urllib.request

        mwl, pacs = self._settings.mwl, self._settings.pacs
        waiting = [
            f"http://{self._settings.web_bind.reachable}/health",
            f"http://{mwl.health_bind.reachable}/health",
            f"http://{pacs.health_bind.reachable}/health",
        ]
        deadline = time.monotonic() + _START_SECONDS
        while waiting and time.monotonic() < deadline and services.poll() is None:
            try:
                with urllib.request.urlopen(waiting[0], timeout=5):  # noqa: S310 - http on this machine
                    waiting.pop(0)
            except (OSError, urllib.error.URLError):
                time.sleep(0.2)
        return not waiting and services.poll() is None

    def _announcement(self) -> str:
        return (
            f"\n  The worklist of the day: http://{self._settings.web_bind.reachable}/   "
            f"user admin, password {self._password}\n"
            f"  Log of the services:     {self._log}\n"
            "  Three scanners are at work; patients and images are synthetic. Ctrl-C ends everything.\n"
        )

    def _manage(self, *arguments: str) -> None:
        subprocess.run([sys.executable, str(ROOT / "manage.py"), *arguments], env=self._env, check=True)  # noqa: S603

    def _start(self, arguments: list[str], **options: object) -> subprocess.Popen[bytes]:
        # In sessions of their own: Ctrl-C comes here only, and everything is stopped in order.
        return subprocess.Popen(  # type: ignore[call-overload,no-any-return]  # noqa: S603
            [sys.executable, *arguments], env=self._env, start_new_session=True, stdin=subprocess.DEVNULL, **options
        )


def _settings(folder: Path, password: str) -> dict[str, str]:
    return {
        **dict.fromkeys(_OF_ITS_OWN, ""),
        "DATA_DIR": str(folder),
        "DATABASE_URL": f"sqlite:///{folder}/worklist.sqlite3",
        "PACS_DATABASE_URL": f"sqlite:///{folder}/pacs/index.sqlite3",
        "PACS_STORAGE_DIR": str(folder / "pacs" / "storage"),
        "PACS_NOTIFY_SECRET_PATH": str(folder / "link_secret"),
        "DJANGO_SUPERUSER_PASSWORD": password,
        "PACS_STUDY_STABLE_SECONDS": "5",  # the numbers of images come while somebody watches
        "PYTHONUNBUFFERED": "1",
    }


def _stop(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is not None:
        return
    process.terminate()
    try:
        process.wait(_STOP_SECONDS)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


if __name__ == "__main__":
    sys.exit(main())
