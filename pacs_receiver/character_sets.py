"""How an encoded value becomes text (PS3.3 §C.12.1.1.2), also where its character set is undeclared or misspelt."""

from __future__ import annotations

import re
import threading
import warnings
from functools import lru_cache

from pydicom import charset

DEFAULT = "ISO_IR 100"
"""What is read so that says nothing of its character set and is no UTF-8."""

_ESCAPE = b"\x1b"
_MISSPELT = re.compile(r"ISO[ _-]*(2022|)[ _-]*IR[ _-]*(\d+)", re.IGNORECASE)
_ASCII = frozenset({"", "ISO_IR 6", "ISO 2022 IR 6"})
"""Whoever says so and sends other bytes has not declared what they are."""
_decoding = threading.Lock()


def default_character_set(text: str) -> str:
    """Parse a defined term as `ISO_IR 100` or `ISO 2022 IR 87` (PS3.3 §C.12.1.1.2).

    :raises ValueError: when it is none.
    """
    term = text.strip()
    if term not in charset.python_encoding:
        raise ValueError(f"{text!r} is no defined term of Specific Character Set, as ISO_IR 100")
    return term


@lru_cache(maxsize=4096)
def decoded(value: bytes, terms: bytes, default: str = DEFAULT) -> str:
    """Decode ``value`` by the Specific Character Set ``terms``; what it can't say shows as �.

    Terms that nobody knows, and none: UTF-8 where the bytes are that, else what was misspelt, else ``default``.
    """
    value = value.strip(b"\0 ")
    if value.isascii() and _ESCAPE not in value:
        return _printable(value.decode("ascii"))
    named = [term.strip() for term in terms.decode("ascii", "replace").strip("\0 ").split("\\")]
    known = [term for term in named if term in charset.python_encoding]
    if not any(term not in _ASCII for term in known):
        if _ESCAPE not in value and (text := _utf8(value)) is not None:
            return _printable(text)
        known = [right for term in named if (right := _spelt_right(term)) not in _ASCII] or [default]
    codecs = [charset.python_encoding[term] for term in known]
    if len(codecs) == 1 and not codecs[0].startswith("iso2022"):
        return _printable(value.decode(codecs[0], "replace"))
    # pydicom warns where this wants a replacement character; the filters belong to the process, hence the lock.
    with _decoding, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return _printable(charset.decode_bytes(value, codecs, set(b"^=\\")))


def _utf8(value: bytes) -> str | None:
    try:
        return value.decode("utf-8")
    except UnicodeDecodeError:
        return None


def _spelt_right(term: str) -> str:
    found = _MISSPELT.fullmatch(term)
    if found is None:
        return ""
    right = f"ISO 2022 IR {found[2]}" if found[1] else f"ISO_IR {found[2]}"
    return right if right in charset.python_encoding else ""


def _printable(text: str) -> str:
    """Leave out control characters: they have no place in these VRs, in a log line or in a terminal."""
    return "".join(character for character in text if character >= " " and character != "\x7f").strip()
