"""The URL of a database: ``sqlite:///path`` or ``postgres://user:password@host:port/name``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import parse_qsl, quote, unquote, urlsplit

_POSTGRESQL = frozenset({"postgres", "postgresql", "postgresql+psycopg"})
_MEMORY = ":memory:"


@dataclass(frozen=True, slots=True)
class DatabaseUrl:
    """Where a database is. ``name`` is its file on SQLite, else what its server calls it.

    ``options`` is the query of the URL, such as ``sslmode``, for the driver.
    """

    is_sqlite: bool
    name: str
    host: str = ""
    port: int | None = None
    user: str = ""
    password: str = field(default="", repr=False)
    options: Mapping[str, str] = field(default_factory=dict)


def database_url(text: str) -> DatabaseUrl:
    """Parse the URL of a database; user, password, host and name may be percent-encoded.

    :raises ValueError: with what is wrong, and without the text, which may hold a password.
    """
    try:
        parts = urlsplit(text.strip())
        port = parts.port
    except ValueError:
        raise ValueError(_NO_URL) from None
    if not parts.scheme or not text.strip().startswith(f"{parts.scheme}://") or parts.fragment:
        raise ValueError(_NO_URL)
    if parts.scheme != "sqlite" and parts.scheme not in _POSTGRESQL:
        raise ValueError("only sqlite:///path and postgres://… are supported")
    name = unquote(parts.path[1:])
    options = dict(parse_qsl(parts.query))
    if parts.scheme == "sqlite":
        if not name or parts.netloc or name == _MEMORY:
            raise ValueError("the URL names no file, e.g. sqlite:///var/worklist.sqlite3")
        return DatabaseUrl(is_sqlite=True, name=name, options=options)
    if not name:
        raise ValueError("the URL names no database")
    return DatabaseUrl(
        is_sqlite=False,
        name=name,
        host=unquote(parts.hostname or ""),
        port=port,
        user=unquote(parts.username or ""),
        password=unquote(parts.password or ""),
        options=options,
    )


def sqlite_url(path: Path) -> str:
    """Return the URL of a file of SQLite's."""
    return f"sqlite:///{quote(str(path))}"


_NO_URL = "not a database URL such as sqlite:///path or postgres://user:password@host/name"
