"""The servers that are measured, each started on a free port with an empty folder and stopped by its process ID."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from abc import ABC, abstractmethod
from pathlib import Path
from types import TracebackType
from typing import Self

import psutil

from tests.postgres import PostgresServer

START_SECONDS = 30.0


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port: int = sock.getsockname()[1]
        return port


class Server(ABC):
    """A storage server as a child process; used as a context manager.

    ``peer`` is false for what is ours. Class attributes state what each run must say for itself.
    """

    name: str
    peer = True
    executable: str
    durability: str

    def __init__(self, work: Path) -> None:
        self.port = free_port()
        self.folder = Path(tempfile.mkdtemp(prefix=f"{self.name.split()[0]}-", dir=work))
        self._process: subprocess.Popen[bytes] | None = None

    @classmethod
    def installed(cls) -> bool:
        return shutil.which(cls.executable) is not None

    @abstractmethod
    def command(self) -> list[str]: ...

    def environment(self) -> dict[str, str]:
        # DCMTK, in Orthanc too, reads this: without it small responses wait for delayed acknowledgements
        return {**os.environ, "TCP_NODELAY": "1"}

    def __enter__(self) -> Self:
        with (self.folder / "log").open("wb") as log:
            self._process = subprocess.Popen(
                self.command(), cwd=self.folder, env=self.environment(), stdout=log, stderr=log, start_new_session=True
            )
        until = time.monotonic() + START_SECONDS
        while time.monotonic() < until:
            try:
                socket.create_connection(("127.0.0.1", self.port), 1).close()
            except OSError:
                if self._process.poll() is not None:
                    break
                time.sleep(0.05)
            else:
                time.sleep(0.3)  # a server's own start-up work is not what is measured
                return self
        log_text = (self.folder / "log").read_text(errors="replace")
        raise RuntimeError(f"{self.name} did not start: {log_text[-2000:]}")

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._process is not None
        group = [self._process.pid, *(child.pid for child in self.processes()[1:])]
        self._process.send_signal(signal.SIGTERM)
        try:
            self._process.wait(15)
        except subprocess.TimeoutExpired:
            for pid in group:
                os.kill(pid, signal.SIGKILL)
            self._process.wait()
        self._empty_files()

    def _empty_files(self) -> None:
        """Give the space back and keep the files, which go with the work folder at the end of all runs.

        ext4 gives the inodes of deleted files to nobody for the next minutes, and searches past every one of them
        whenever a file is made: a run would pay for the files of the run before it.
        """
        for path in self.folder.rglob("*"):
            if path.is_file() and not path.is_symlink():
                os.truncate(path, 0)

    def processes(self) -> list[psutil.Process]:
        """Return the server's main process and its children."""
        assert self._process is not None
        main = psutil.Process(self._process.pid)
        return [main, *main.children(recursive=True)]

    def cpu_seconds(self) -> float:
        return sum(sum(process.cpu_times()[:2]) for process in self.processes())

    def memory(self) -> int:
        """Return the memory of all its processes in bytes, each shared page counted once (PSS)."""
        return sum(process.memory_full_info().pss for process in self.processes())

    def resident(self) -> int:
        """Return the largest resident set among its processes, in bytes."""
        return max(process.memory_info().rss for process in self.processes())


class Gateway(Server):
    name = "gateway"
    peer = False
    executable = sys.executable
    durability = "fsync of file and folder, indexed in SQLite, SHA-256"
    fsync = "1"

    def command(self) -> list[str]:
        return [sys.executable, "-m", "pacs_receiver"]

    def environment(self) -> dict[str, str]:
        root = str(Path(__file__).resolve().parent.parent)
        return {
            **os.environ,
            "PYTHONPATH": root,
            "DATA_DIR": str(self.folder / "var"),
            "PACS_BIND": f"127.0.0.1:{self.port}",
            "PACS_HEALTH_BIND": "127.0.0.1:0",
            "PACS_COMMAND_BIND": "127.0.0.1:0",
            "PACS_FSYNC": self.fsync,
            "LOG_LEVEL": "WARNING",
        }


class GatewayWithoutFsync(Gateway):
    name = "gateway PACS_FSYNC=0"
    durability = "no fsync, indexed in SQLite, SHA-256"
    fsync = "0"


class GatewayOnPostgres(Gateway):
    """With the index on a PostgreSQL server of its own, on the same machine and disk, which flushes each commit."""

    name = "gateway, PostgreSQL"
    durability = "fsync of file and folder, indexed in PostgreSQL, SHA-256"
    executable = "psql"

    def __init__(self, work: Path) -> None:
        super().__init__(work)
        self._database = PostgresServer(fsync=True)
        self._url = self._database.create_database()

    def environment(self) -> dict[str, str]:
        return {**super().environment(), "PACS_DATABASE_URL": self._url}

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        super().__exit__(kind, error, trace)
        self._database.remove()


class Discard(Server):
    """What any server would take that did nothing at all."""

    name = "nothing kept"
    executable = sys.executable
    durability = "reads, throws away, says Success: the client's own time"

    def command(self) -> list[str]:
        return [sys.executable, "-m", "benchmarks.discard", str(self.port)]

    def environment(self) -> dict[str, str]:
        return {**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parent.parent)}


class Storescp(Server):
    name = "storescp"
    executable = "storescp"
    durability = "no fsync, no index"

    def command(self) -> list[str]:
        return ["storescp", "--output-directory", str(self.folder), str(self.port)]


class StorescpFork(Storescp):
    name = "storescp --fork"

    def command(self) -> list[str]:
        return ["storescp", "--fork", "--output-directory", str(self.folder), str(self.port)]


class Orthanc(Server):
    name = "Orthanc"
    executable = "Orthanc"
    durability = "no fsync of files, indexed in SQLite, MD5"

    @classmethod
    def installed(cls) -> bool:
        return shutil.which("Orthanc", path=f"{os.environ['PATH']}:/usr/sbin") is not None

    def command(self) -> list[str]:
        configuration = {
            "StorageDirectory": str(self.folder / "storage"),
            "IndexDirectory": str(self.folder / "index"),
            "DicomPort": self.port,
            "HttpPort": free_port(),
            "HttpServerEnabled": False,
            "DicomAlwaysAllowStore": True,
            "DicomCheckCalledAet": False,
            "Plugins": [],
        }
        path = self.folder / "orthanc.json"
        path.write_text(json.dumps(configuration))
        return [shutil.which("Orthanc", path=f"{os.environ['PATH']}:/usr/sbin") or "Orthanc", str(path)]


class StockPynetdicom(Server):
    name = "stock pynetdicom"
    executable = sys.executable
    durability = "no fsync, no index"

    def command(self) -> list[str]:
        return [sys.executable, "-m", "benchmarks.stock_pynetdicom", str(self.port), str(self.folder)]

    def environment(self) -> dict[str, str]:
        return {**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parent.parent)}
