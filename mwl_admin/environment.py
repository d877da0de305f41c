"""Reads settings from the environment.

The package is imported by the worklist provider but imports no listener, so it parses its settings by itself.
"""

import ipaddress
from collections.abc import Callable, Mapping
from datetime import time
from pathlib import Path
from typing import Any, TypeVar
from zoneinfo import ZoneInfo

import dj_database_url
from environs import EnvError, FileAwareEnv

from gateway_settings.environment import BadSetting
from gateway_settings.private import make_folder
from gateway_settings.secrets import kept_secret

T = TypeVar("T")

SQLITE = "django.db.backends.sqlite3"
POSTGRESQL = "django.db.backends.postgresql"

# Written straight after the connection opens. FULL, the default of `synchronous`, stays: what a modality was told to
# be stored must outlive a power cut. Foreign keys are switched on by Django.
SQLITE_PRAGMAS = "PRAGMA journal_mode=WAL;"
SQLITE_BUSY_SECONDS = 20


def read(env: FileAwareEnv, name: str, parse: Callable[[str], T], default: str) -> T:
    """Return the setting as ``parse`` understands it; ``parse`` raises ValueError with what is wrong.

    :raises BadSetting: when it doesn't understand it.
    """
    try:
        return parse(env.str(name, default))
    except (EnvError, ValueError, OSError) as error:
        raise BadSetting(f"{name}: {' '.join(str(error).split())}") from error


def boolean(text: str) -> bool:
    """Parse 1 or 0, and the usual words for them."""
    word = text.lower()
    if word in {"1", "true", "yes", "on"}:
        return True
    if word in {"", "0", "false", "no", "off"}:
        return False
    raise ValueError(f"{text!r} is neither 1 nor 0")


def words(text: str) -> list[str]:
    """Parse a comma-separated list."""
    return [word.strip() for word in text.split(",") if word.strip()]


def host_names(text: str) -> list[str]:
    """Parse names that the site is reached by."""
    for name in words(text):
        if "/" in name or " " in name:
            raise ValueError(f"{name!r} is not a host name; leave out scheme and path")
    return words(text)


def origins(text: str) -> list[str]:
    """Parse origins, i.e. scheme and host, such as https://worklist.example."""
    for origin in words(text):
        scheme, separator, host = origin.partition("://")
        if scheme not in {"http", "https"} or not separator or not host or "/" in host:
            raise ValueError(f"{origin!r} is not an origin such as https://worklist.example")
    return words(text)


def choice(*allowed: str) -> Callable[[str], str]:
    """Return a parser of one of the given words, in any case."""

    def parse(text: str) -> str:
        for word in allowed:
            if word.lower() == text.lower():
                return word
        raise ValueError(f"{text!r} is none of {', '.join(allowed)}")

    return parse


def whole_number(minimum: int, maximum: int) -> Callable[[str], int]:
    """Return a parser of whole numbers from ``minimum`` to ``maximum``."""

    def parse(text: str) -> int:
        if not text.lstrip("+-").isdecimal() or not minimum <= int(text) <= maximum:
            raise ValueError(f"{text!r} is not a whole number from {minimum} to {maximum}")
        return int(text)

    return parse


def long_string(text: str) -> str:
    """Parse a value of VR LO: at most 64 characters on one line, without backslash."""
    text = text.strip()
    if len(text) > 64 or "\\" in text or not text.isprintable():
        raise ValueError("must have at most 64 characters on one line, without backslash")
    return text


def time_zone(text: str) -> str:
    """Parse the name of a time zone, such as Europe/London."""
    try:
        ZoneInfo(text)
    except (KeyError, ValueError, OSError):
        raise ValueError(f"{text!r} is not a time zone such as Europe/London") from None
    return text


def bind(text: str) -> str:
    """Parse ``host:port``; an IPv6 address stands in brackets; port 0 lets the system choose."""
    host, separator, port = text.rpartition(":")
    if not separator or not port.isdecimal() or int(port) > 65535:
        raise ValueError(f"{text!r} is not host:port with a port from 0 to 65535")
    if host.startswith("["):
        ipaddress.IPv6Address(host.strip("[]"))
    elif ":" in host:
        raise ValueError(f"{text!r}: an IPv6 address stands in brackets")
    return text


def networks(text: str) -> list[ipaddress.IPv4Network | ipaddress.IPv6Network]:
    """Parse a comma-separated list of addresses and networks, such as 172.20.0.0/16."""
    try:
        return [ipaddress.ip_network(word) for word in words(text)]
    except ValueError as error:
        raise ValueError(f"{error}; addresses and networks such as 172.20.0.0/16 are taken") from None


def http_url(text: str) -> str:
    """Parse the address of a service, such as http://127.0.0.1:8248; empty means none."""
    scheme, separator, host = text.partition("://")
    if text and (scheme not in {"http", "https"} or not separator or not host.strip("/")):
        raise ValueError(f"{text!r} is not an http:// or https:// address")
    return text


def is_loopback(address: str) -> bool:
    """Tell whether what is bound to ``host:port`` can only be reached from its own machine."""
    host = address.rpartition(":")[0].strip("[]")
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def hours(text: str) -> tuple[time, time]:
    """Parse from when to when something is open, such as 08:00-18:00."""
    first, _, last = text.partition("-")
    try:
        opening, closing = time.fromisoformat(first.strip()), time.fromisoformat(last.strip())
    except ValueError:
        raise ValueError(f"{text!r} is not from when to when, such as 08:00-18:00") from None
    if opening >= closing:
        raise ValueError(f"{text!r} ends before it begins")
    return opening, closing


def folder(text: str) -> Path:
    """Parse a folder and make it where it is missing."""
    if not text:
        raise ValueError("must name a folder")
    path = Path(text).resolve()
    try:
        make_folder(path)
    except OSError as error:
        raise ValueError(f"{text!r} can't be made: {error.strerror}") from error
    return path


def database(text: str) -> dict[str, Any]:
    """Parse a database URL into an entry of Django's ``DATABASES``."""
    try:
        config: dict[str, Any] = {**dj_database_url.parse(text)}
    except (dj_database_url.ParseError, dj_database_url.UnknownSchemeError, ValueError):
        # The text isn't repeated: it may hold a password.
        raise ValueError("not a database URL such as postgres://user:password@host/name") from None
    if config.get("ENGINE") == SQLITE:
        return _sqlite(config)
    if config.get("ENGINE") != POSTGRESQL:
        raise ValueError("only sqlite:// and postgres:// are supported")
    if not config.get("NAME"):
        raise ValueError("the URL names no database")
    config["CONN_HEALTH_CHECKS"] = True
    config["CONN_MAX_AGE"] = 60
    return config


def database_files(databases: Mapping[str, Mapping[str, Any]]) -> list[Path]:
    """Return the files of those of Django's ``DATABASES`` that are files."""
    sqlite = [config for config in databases.values() if config["ENGINE"] == SQLITE and config["NAME"] != ":memory:"]
    return [Path(config["NAME"]) for config in sqlite]


def _sqlite(config: dict[str, Any]) -> dict[str, Any]:
    # IMMEDIATE: a transaction that reads before it writes would otherwise fail at once when another has written.
    config["OPTIONS"] = {
        "transaction_mode": "IMMEDIATE",
        "timeout": SQLITE_BUSY_SECONDS,
        "init_command": SQLITE_PRAGMAS,
        **config.get("OPTIONS", {}),
    }
    # The last one who closes a file of SQLite's brings it up to date: with each request that would be each time.
    config["CONN_MAX_AGE"] = 60
    name = config.get("NAME")
    if not name:
        raise ValueError("the URL names no file, e.g. sqlite:///var/worklist.sqlite3")
    if name != ":memory:":
        path = Path(name).resolve()
        make_folder(path.parent)
        config["NAME"] = str(path)
    return config


def secret_key(env: FileAwareEnv, data_dir: Path) -> str:
    """Return ``DJANGO_SECRET_KEY``; where it isn't set, the one that was made once and is kept in ``data_dir``."""
    return read(env, "DJANGO_SECRET_KEY", _long_enough, "") or _kept("DJANGO_SECRET_KEY", data_dir / "secret_key")


def link_secret(env: FileAwareEnv, data_dir: Path) -> str:
    """Return ``PACS_NOTIFY_SECRET``; where it isn't set, the one that was made once, by site or receiver."""
    given = read(env, "PACS_NOTIFY_SECRET", str, "")
    path = read(env, "PACS_NOTIFY_SECRET_PATH", Path, str(data_dir / "link_secret"))
    return given or _kept("PACS_NOTIFY_SECRET", path)


def _kept(name: str, path: Path) -> str:
    try:
        return kept_secret(path)
    except OSError as error:
        raise BadSetting(f"{name}: must be set, since none can be kept in {path.parent} ({error.strerror})") from error
    except ValueError as error:
        raise BadSetting(f"{name}: {error}") from error


def _long_enough(text: str) -> str:
    if text and len(text) < 32:
        raise ValueError("must have at least 32 characters")
    return text
