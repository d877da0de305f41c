"""The toy service as a real process: a master, its workers and its health process, on free ports."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import psutil
import requests

from tests.clients.raw import RawPeer
from tests.ports import free_port
from tests.processes import Process, clean_environment
from tests.waiting import wait_until


class ToyProcess(Process):
    """``settings`` are environment variables beside those that place it; it works in ``folder``."""

    def __init__(self, folder: Path, settings: Mapping[str, str]) -> None:
        folder.mkdir(parents=True)
        self.folder = folder
        self.port, health_port = free_port(), free_port()
        self.base_url = f"http://127.0.0.1:{health_port}"
        placed = {
            "DATA_DIR": "var",
            "TOY_BIND": f"127.0.0.1:{self.port}",
            "TOY_HEALTH_BIND": f"127.0.0.1:{health_port}",
            **settings,
        }
        command = [sys.executable, "-m", "tests.dicom_listener.toy_service"]
        super().__init__("toy", command, clean_environment(placed), folder, f"{self.base_url}/health")

    def peer(self) -> RawPeer:
        return RawPeer.connect(self.port)

    def associated(self, request: bytes | None = None) -> RawPeer:
        peer = self.peer()
        peer.associate(request)
        return peer

    def health(self) -> dict[str, Any]:
        answer: dict[str, Any] = requests.get(self.health_url, timeout=20).json()
        return answer

    def metrics(self) -> dict[str, float]:
        """The samples of `/metrics` by their name with labels."""
        lines = requests.get(f"{self.base_url}/metrics", timeout=20).text.splitlines()
        return {name: float(value) for name, _, value in (x.rpartition(" ") for x in lines if not x.startswith("#"))}

    @property
    def master(self) -> psutil.Process:
        return psutil.Process(self.pid)

    def workers(self) -> list[psutil.Process]:
        """The workers, without the health process: it does not hold the listening port."""
        return [child for child in self.master.children() if self._listens(child)]

    def _listens(self, process: psutil.Process) -> bool:
        try:
            return any(
                connection.status == psutil.CONN_LISTEN and connection.laddr.port == self.port
                for connection in process.net_connections("tcp")
            )
        except psutil.Error:
            return False

    def stored(self) -> dict[str, Path]:
        return {path.name: path for path in (self.folder / "toy" / "stored").iterdir()}

    def flag(self, name: str) -> Path:
        return self.folder / "toy" / "flags" / name

    def usage(self) -> tuple[int, int, int]:
        """File descriptors and threads of the workers, and open sinks: what must return to where it was."""
        workers = self.workers()
        descriptors = sum(worker.num_fds() for worker in workers)
        threads = sum(worker.num_threads() for worker in workers)
        return descriptors, threads, len(list((self.folder / "toy" / "incoming").iterdir()))

    def assert_works(self, data: bytes = b"after all") -> None:
        """The next association is served as if nothing had happened."""
        with self.associated() as peer:
            assert peer.store(data, instance="1.2.99").status == 0
            peer.release()
        path = self.stored()["1.2.99"]
        assert path.read_bytes() == data
        path.unlink()

    def usage_at_rest(self) -> tuple[int, int, int]:
        """:meth:`usage` after a first store in each worker: it opens what then stays open, as the metrics' files."""
        peers: list[RawPeer] = []
        while any(worker.num_threads() == 1 for worker in self.workers()):
            peers.append(self.associated())
            assert peers[-1].store(b"first", instance="1.2.99").status == 0
        for peer in peers:
            peer.release()
        self.stored()["1.2.99"].unlink()
        wait_until(lambda: all(worker.num_threads() == 1 for worker in self.workers()))
        return self.usage()

    def wait_for_usage(self, expected: tuple[int, int, int]) -> None:
        seen: list[tuple[int, int, int]] = []

        def is_back() -> bool:
            seen.append(self.usage())
            return seen[-1] == expected

        try:
            wait_until(is_back)
        except TimeoutError:
            raise AssertionError(f"descriptors, threads and open sinks: {seen[-1]} instead of {expected}") from None

    def kill(self) -> None:
        """End it with all that it started, whatever state that is in."""
        try:
            family = self.master.children(recursive=True)
        except (psutil.Error, AssertionError):
            family = []
        if self.is_running():
            super().kill()
        for process in family:
            try:
                process.kill()
            except psutil.NoSuchProcess:
                continue
