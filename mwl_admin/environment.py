"""What Django makes of the settings that only the site reads: its database, and the key that signs its sessions."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from environs import FileAwareEnv

from gateway_settings.databases import database_url
from gateway_settings.environment import read
from gateway_settings.private import make_folder
from gateway_settings.shared import kept

SQLITE = "django.db.backends.sqlite3"
POSTGRESQL = "django.db.backends.postgresql"

# Written straight after the connection opens. FULL, the default of `synchronous`, stays: what a modality was told to
# be stored must outlive a power cut. Foreign keys are switched on by Django.
SQLITE_PRAGMAS = "PRAGMA journal_mode=WAL;"
SQLITE_BUSY_SECONDS = 20
_SHORTEST_KEY = 32
_OPEN_SECONDS = 60
"""How long a connection stays open: the last one who closes a file of SQLite's brings it up to date, which with each
request would be each time."""


def database(text: str) -> dict[str, Any]:
    """Parse a database URL into an entry of Django's ``DATABASES``; the folder of SQLite's file is made.

    :raises ValueError: with what is wrong.
    """
    url = database_url(text)
    if url.is_sqlite:
        path = Path(url.name).resolve()
        make_folder(path.parent)
        # IMMEDIATE: a transaction that reads before it writes would otherwise fail at once when another has written.
        options = {
            "transaction_mode": "IMMEDIATE",
            "timeout": SQLITE_BUSY_SECONDS,
            "init_command": SQLITE_PRAGMAS,
            **url.options,
        }
        return {"ENGINE": SQLITE, "NAME": str(path), "OPTIONS": options, "CONN_MAX_AGE": _OPEN_SECONDS}
    return {
        "ENGINE": POSTGRESQL,
        "NAME": url.name,
        "USER": url.user,
        "PASSWORD": url.password,
        "HOST": url.host,
        "PORT": url.port or "",
        "OPTIONS": dict(url.options),
        "CONN_MAX_AGE": _OPEN_SECONDS,
        "CONN_HEALTH_CHECKS": True,
    }


def database_files(databases: Mapping[str, Mapping[str, Any]]) -> list[Path]:
    """Return the files of those of Django's ``DATABASES`` that are files."""
    return [Path(config["NAME"]) for config in databases.values() if config["ENGINE"] == SQLITE]


def secret_key(env: FileAwareEnv, data_dir: Path) -> str:
    """Return ``DJANGO_SECRET_KEY``; where it isn't set, the one that was made once and is kept in ``data_dir``.

    :raises BadSetting: when it is too short, or none is set and none can be kept.
    """
    return read(env, "DJANGO_SECRET_KEY", _long_enough, "") or kept("DJANGO_SECRET_KEY", data_dir / "secret_key")


def _long_enough(text: str) -> str:
    if text and len(text) < _SHORTEST_KEY:
        raise ValueError(f"must have at least {_SHORTEST_KEY} characters")
    return text
