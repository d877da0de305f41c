"""The connection to the index: SQLite (WAL) or PostgreSQL behind the same SQLAlchemy engine, and its migrations."""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from alembic import command
from alembic.config import Config
from sqlalchemy import Connection, Engine, create_engine, event, text
from sqlalchemy.engine import URL
from sqlalchemy.pool import QueuePool

_BUSY_SECONDS = 30.0
_MIGRATION_LOCK = 0x70616373  # "pacs": the key of the advisory lock on PostgreSQL
_WAL_PAGES = 4000


def connect(url: URL, *, busy_seconds: float = _BUSY_SECONDS) -> Engine:
    """Return an engine for ``url``; on SQLite a transaction waits ``busy_seconds`` for another writer.

    Never keep one across a fork.
    """
    if url.get_backend_name() != "sqlite":
        return create_engine(url, pool_pre_ping=True, connect_args={"connect_timeout": 5})
    Path(url.database or "").parent.mkdir(parents=True, exist_ok=True)
    engine = create_engine(
        url,
        poolclass=QueuePool,
        connect_args={"check_same_thread": False, "timeout": busy_seconds, "isolation_level": None},
    )
    event.listen(engine, "connect", _prepare_sqlite)
    event.listen(engine, "begin", _begin_sqlite)
    return engine


def database_files(url: URL) -> list[Path]:
    """Return the file that the database is; none where a server keeps it."""
    return [Path(url.database or "")] if url.get_backend_name() == "sqlite" else []


def _prepare_sqlite(connection: Any, _record: object) -> None:
    cursor = connection.cursor()
    cursor.execute("PRAGMA journal_mode=WAL")
    # In WAL mode a commit then survives kill -9 without an fsync; docs/adr/0006 tells what covers power loss.
    cursor.execute("PRAGMA synchronous=NORMAL")
    cursor.execute("PRAGMA foreign_keys=ON")
    cursor.execute(f"PRAGMA wal_autocheckpoint={_WAL_PAGES}")
    cursor.close()


def _begin_sqlite(connection: Connection) -> None:
    # A writer takes the write lock at once: a reader that turns writer would fail when another was quicker.
    read_only = connection.get_execution_options().get("read_only", False)
    connection.exec_driver_sql("BEGIN" if read_only else "BEGIN IMMEDIATE")


@contextlib.contextmanager
def reading(engine: Engine) -> Iterator[Connection]:
    """A transaction that only reads: on SQLite it waits for no writer and stops none."""
    with engine.connect() as plain, plain.execution_options(read_only=True) as connection:
        yield connection


@contextlib.contextmanager
def sqlite_turn(url: URL) -> Iterator[None]:
    """Hold the file lock by which the processes of one index take turns; nothing on PostgreSQL.

    SQLite's own wait for its write lock polls with growing pauses of milliseconds; this one ends when the lock is free.
    """
    if url.get_backend_name() != "sqlite":
        yield
        return
    fd = open_turn_file(url)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX)
        yield
    finally:
        os.close(fd)


def open_turn_file(url: URL) -> int:
    """Open the lock file beside an SQLite index; the descriptor is the caller's."""
    return os.open(f"{url.database}.lock", os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)


def migrate(url: URL) -> None:
    """Bring the index to this version's tables. Two receivers that start together take turns."""
    engine = connect(url)
    try:
        with sqlite_turn(url), engine.connect() as connection:
            if url.get_backend_name() != "sqlite":
                # a lock of the session, so that a migration may commit; it ends with the connection at the latest
                connection.execute(text("SELECT pg_advisory_lock(:key)"), {"key": _MIGRATION_LOCK})
                connection.commit()
            try:
                command.upgrade(alembic_config(connection), "head")
                connection.commit()
            finally:
                if url.get_backend_name() != "sqlite":
                    connection.rollback()
                    connection.execute(text("SELECT pg_advisory_unlock(:key)"), {"key": _MIGRATION_LOCK})
                    connection.commit()
    finally:
        engine.dispose()


def alembic_config(connection: Connection) -> Config:
    """Alembic's configuration without an ini file; ``connection`` is the one that migrates."""
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations").replace("%", "%%"))
    config.attributes["connection"] = connection
    return config
