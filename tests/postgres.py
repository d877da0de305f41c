"""A private PostgreSQL cluster in a temporary folder, for tests that need a real one."""

from __future__ import annotations

import contextlib
import itertools
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
from pathlib import Path

import psutil
import psycopg
from psycopg import sql

from tests.components import postgresql_bin
from tests.ports import free_port
from tests.waiting import wait_until

USER = "gateway_test"
_numbers = itertools.count(1)


class PostgresServer:
    """A cluster of its own: databases at will, and it can be stopped, killed and started again on the same port.

    PostgreSQL refuses to run as root; there it is run as the user ``postgres`` that Debian's package makes.
    """

    def __init__(self, *, fsync: bool = False, parent: Path | None = None) -> None:
        self._fsync = "on" if fsync else "off"
        bin_dir = postgresql_bin()
        if bin_dir is None:
            raise FileNotFoundError("no PostgreSQL server programs on this machine")
        self._bin = bin_dir
        self._user = pwd.getpwnam("postgres").pw_uid if os.geteuid() == 0 else None
        self.folder = Path(tempfile.mkdtemp(prefix="gateway-postgres-", dir=parent))
        if self._user is not None:
            os.chown(self.folder, self._user, -1)
        self._data = self.folder / "data"
        self._log = self.folder / "log"
        self._spawn(
            "initdb", "-D", str(self._data), "-U", USER, "-A", "trust", "-E", "UTF8", "--locale=C.UTF-8",
            *(() if fsync else ("-N",)),
        ).wait(60)  # fmt: skip
        self.port = free_port()
        self.start()

    def url(self, database: str) -> str:
        return f"postgres://{USER}@127.0.0.1:{self.port}/{database}"

    def create_database(self) -> str:
        """Make an empty database and return its URL, which both ``DATABASE_URL`` and ``PACS_DATABASE_URL`` take."""
        name = f"test_{os.getpid()}_{next(_numbers)}"
        with psycopg.connect(self.url("postgres"), autocommit=True) as connection:
            connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
        return self.url(name)

    def drop_database(self, url: str) -> None:
        """Drop the database of ``url``, whoever is still connected."""
        name = url.rpartition("/")[2]
        with psycopg.connect(self.url("postgres"), autocommit=True) as connection:
            connection.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))

    def start(self) -> None:
        """Start the server and wait until it takes connections."""
        settings = {
            "port": self.port,
            "unix_socket_directories": self.folder,
            "listen_addresses": "127.0.0.1",
            # a test ends processes, not the machine, and what the kernel has been given survives that
            "fsync": self._fsync,
            "full_page_writes": self._fsync,
            "max_connections": 200,
            "shared_buffers": "64MB",
        }
        options = [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
        self._server = self._spawn("postgres", "-D", str(self._data), *options)
        wait_until(self._answers, timeout=60, what="PostgreSQL takes connections")

    def family(self) -> list[psutil.Process]:
        """Return the server's processes."""
        main = psutil.Process(self._server.pid)
        return [main, *main.children(recursive=True)]

    def stop(self) -> None:
        """Shut down in order; connected clients are cut off."""
        self._end(signal.SIGINT)

    def kill(self) -> None:
        """SIGKILL the server, and wait until its children have noticed and ended."""
        self._end(signal.SIGKILL)

    def kill_all(self) -> None:
        """SIGKILL the server with its children, which else may wait for each other for ever when their disk is gone."""
        children = psutil.Process(self._server.pid).children()
        self._server.kill()
        for child in children:
            with contextlib.suppress(psutil.NoSuchProcess):
                child.kill()
        self._server.wait(60)
        wait_until(lambda: all(_has_ended(child) for child in children), what="PostgreSQL's children have ended")

    def remove(self) -> None:
        """Stop at once and delete everything."""
        self._end(signal.SIGQUIT)
        shutil.rmtree(self.folder)

    def _answers(self) -> bool:
        if self._server.poll() is not None:
            raise RuntimeError(f"PostgreSQL ended at start: {self._log.read_text()[-2000:]}")
        try:
            with psycopg.connect(self.url("postgres")):
                return True
        except psycopg.OperationalError:
            return False

    def _end(self, how: signal.Signals) -> None:
        if self._server.poll() is not None:
            return
        children = psutil.Process(self._server.pid).children()
        self._server.send_signal(how)
        self._server.wait(60)
        wait_until(lambda: all(_has_ended(child) for child in children), what="PostgreSQL's children have ended")

    def _spawn(self, program: str, *arguments: str) -> subprocess.Popen[bytes]:
        with self._log.open("ab") as log:
            return subprocess.Popen(
                [str(self._bin / program), *arguments],
                user=self._user,
                extra_groups=None if self._user is None else [],
                cwd=self.folder,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )


def _has_ended(process: psutil.Process) -> bool:
    try:
        # where nothing reaps orphans they stay as zombies
        return process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True
