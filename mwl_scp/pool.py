"""One pool of PostgreSQL connections for a worker process, since each association has a thread of its own.

A connection of Django's belongs to its thread, and a new one costs more than a query does: the server starts a process
for it, which knows no table yet. In the pool they stay warm, and an association that is idle holds none.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from django.db import connection

_CONNECTIONS = 20
"""At once for each worker: queries beyond wait for their turn, a few milliseconds."""
_WAIT_SECONDS = 5.0
"""How long a query waits for a connection, as when the database is away, before its failure is answered."""


@contextlib.contextmanager
def pooled() -> Iterator[None]:
    """Pool this process's connections while the context lasts; nothing on SQLite, where opening costs little.

    To be called after the fork: neither the pool nor its threads survive one.
    """
    if connection.vendor != "postgresql":
        yield
        return
    # what all threads' connections of this process are made from
    settings = connection.settings_dict
    before = settings["CONN_MAX_AGE"], dict(settings["OPTIONS"])
    settings["CONN_MAX_AGE"] = 0
    settings["OPTIONS"]["pool"] = {"min_size": 1, "max_size": _CONNECTIONS, "timeout": _WAIT_SECONDS}
    try:
        yield
    finally:
        connection.close()
        connection.close_pool()  # type: ignore[attr-defined]
        settings["CONN_MAX_AGE"], settings["OPTIONS"] = before


def give_back() -> None:
    """Let go of this thread's connection, where it came from a pool."""
    if connection.settings_dict["OPTIONS"].get("pool"):
        connection.close()
