"""Why the index can't be used, in words that name no host, user or value."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from pacs_receiver.exceptions import IndexUnavailable

_SQLITE: Mapping[str, str] = {
    "SQLITE_BUSY": "another program has locked it",
    "SQLITE_LOCKED": "another program has locked it",
    "SQLITE_READONLY": "its file or folder can't be written to",
    "SQLITE_CANTOPEN": "its file can't be opened",
    "SQLITE_PERM": "its file can't be opened",
    "SQLITE_FULL": "there is no space left for it",
    "SQLITE_IOERR": "its disk fails",
    "SQLITE_PROTOCOL": "another program has locked it",
}
"""By the beginning of the error's name (sqlite.org/rescode.html)."""
_POSTGRESQL: Mapping[str, str] = {
    "": "the database server can't be reached, or refuses the connection",
    "08": "the database server can't be reached",
    "25006": "the database server is read-only",
    "28": "the database server refuses the user",
    "3D": "the database server has no such database",
    "53": "the database server has no space, memory or connections left",
    "55": "another program has locked it",
    "57": "the database server is shutting down or starting",
    "58": "the database server's disk fails",
}
"""By the beginning of the SQLSTATE (PostgreSQL, appendix A); none when there was no connection."""


def trouble(error: SQLAlchemyError | IndexUnavailable) -> str:
    """Say why the index is away; empty when it is not that, but an error of ours."""
    if isinstance(error, IndexUnavailable):
        return "it takes no rows"
    if not isinstance(error, DBAPIError):
        return ""
    cause: Any = error.orig
    name = getattr(cause, "sqlite_errorname", "")
    if name:
        return next((words for start, words in _SQLITE.items() if name.startswith(start)), "")
    if not hasattr(cause, "sqlstate"):
        return ""
    state = cause.sqlstate or ""
    known = (words for start, words in _POSTGRESQL.items() if start and state.startswith(start))
    is_lost = type(cause).__name__ in ("OperationalError", "ConnectionTimeout")
    return next(known, _POSTGRESQL[""] if not state and is_lost else "")
