"""What a setting may hold: parsers of its text. What is wrong is the text of a ValueError."""

from __future__ import annotations

from collections.abc import Callable
from datetime import time
from pathlib import Path
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

from dicom_encoding import ae_titles as titles
from gateway_settings.private import make_folder

_TRUE = frozenset({"1", "true", "yes", "on"})
_FALSE = frozenset({"", "0", "false", "no", "off"})
_LONGEST_SECONDS = 1e7
_MOST_DAYS = 1e5


def boolean(text: str) -> bool:
    """Parse 1 or 0, and the usual words for them."""
    word = text.strip().lower()
    if word in _TRUE:
        return True
    if word in _FALSE:
        return False
    raise ValueError(f"{text!r} is neither 1 nor 0")


def words(text: str) -> list[str]:
    """Parse a comma-separated list."""
    return [word.strip() for word in text.split(",") if word.strip()]


def choice(*allowed: str) -> Callable[[str], str]:
    """Return a parser of one of the given words, in any case."""

    def parse(text: str) -> str:
        for word in allowed:
            if word.lower() == text.strip().lower():
                return word
        raise ValueError(f"{text!r} is none of {', '.join(allowed)}")

    return parse


def whole_number(minimum: int, maximum: int | None = None) -> Callable[[str], int]:
    """Return a parser of whole numbers from ``minimum`` to ``maximum``."""
    meant = f"a whole number from {minimum}" + ("" if maximum is None else f" to {maximum}")

    def parse(text: str) -> int:
        digits = text.strip().removeprefix("+").removeprefix("-")
        if not (digits.isascii() and digits.isdecimal()):
            raise ValueError(f"{text!r} is not {meant}")
        value = int(text)
        if value < minimum or (maximum is not None and value > maximum):
            raise ValueError(f"{text!r} is not {meant}")
        return value

    return parse


def seconds(text: str) -> float:
    """Parse a positive number of seconds."""
    value = _number(text, "a positive number of seconds")
    if not 0 < value < _LONGEST_SECONDS:
        raise ValueError(f"{text!r} is not a positive number of seconds")
    return value


def days(text: str) -> float:
    """Parse a number of days, 0 or more."""
    value = _number(text, "a number of days")
    if not 0 <= value < _MOST_DAYS:
        raise ValueError(f"{text!r} is not a number of days")
    return value


def _number(text: str, meant: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise ValueError(f"{text!r} is not {meant}") from None


def non_empty(text: str) -> str:
    """Parse any text that is there."""
    if not text.strip():
        raise ValueError("must not be empty")
    return text


def long_string(text: str) -> str:
    """Parse a value of VR LO (PS3.5 §6.2): at most 64 characters on one line, without backslash."""
    text = text.strip()
    if len(text) > 64 or "\\" in text or not text.isprintable():
        raise ValueError("must have at most 64 characters on one line, without backslash")
    return text


def ae_title(text: str) -> str:
    """Parse an AE title: 1 to 16 characters of the default repertoire, no backslash, no control."""
    title = text.strip(" ")
    if not 1 <= len(title) <= titles.MAX_LENGTH:
        raise ValueError(f"{text!r} is not an AE title: it needs 1 to {titles.MAX_LENGTH} characters")
    if titles.wrong_character(title):
        raise ValueError(f"{text!r} is not an AE title: only printable ASCII without backslash")
    return title


def ae_titles(text: str) -> frozenset[str]:
    """Parse a comma-separated list of AE titles; empty means no restriction."""
    return frozenset(map(ae_title, words(text)))


def time_zone(text: str) -> str:
    """Parse the name of a time zone, such as Europe/London."""
    try:
        ZoneInfo(text)
    except (KeyError, ValueError, OSError):
        raise ValueError(f"{text!r} is not a time zone such as Europe/London") from None
    return text


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


def http_url(text: str) -> str:
    """Parse the address of a service, such as http://127.0.0.1:8248; empty means none."""
    text = text.strip()
    if not text:
        return ""
    try:
        parts = urlsplit(text)
        is_usable = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:
        is_usable = False  # a port that is no number, an address that is none
    if not is_usable:
        raise ValueError(f"{text!r} is not an http:// or https:// address")
    return text


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


def folder(text: str) -> Path:
    """Parse a folder and make it where it is missing; the path is absolute."""
    if not text.strip():
        raise ValueError("must name a folder")
    path = Path(text).resolve()
    try:
        make_folder(path)
    except OSError as error:
        raise ValueError(f"{text!r} can't be made: {error.strerror}") from error
    return path


def optional_file(text: str) -> Path | None:
    """Parse the path of a file that must be readable; empty means none."""
    if not text.strip():
        return None
    path = Path(text)
    try:
        with path.open("rb"):
            return path
    except OSError as error:
        raise ValueError(f"cannot read {text!r}: {error.strerror}") from None
