"""Identifiers that are not as they say: text in a character set that is not named, data in another transfer syntax."""

from __future__ import annotations

from dataclasses import replace

from mwl_admin.worklist.charset import CharacterSet, split_terms
from mwl_admin.worklist.identifier import Identifier, Key

_UNNAMED = frozenset({("",), ("ISO_IR 6",)})
_LOST = "\ufffd"
_USUAL = ("ISO_IR 192", "ISO_IR 100")
"""What text is taken for that is none in the station's own set: nothing is UTF-8 by accident, anything is Latin-1."""


def readable(identifier: Identifier, station_set: str) -> Identifier:
    """Return an identifier with its text in the sets that it is in, where it names none and text is more than ASCII.

    ``station_set`` is the value of Specific Character Set that the station is answered in, which it surely can write.
    """
    keys = {tag: _readable_key(key, station_set) for tag, key in identifier.keys.items()}
    charset = identifier.charset
    if charset.terms in _UNNAMED:
        values = [key.value for key in identifier if key.items is None and not key.value.isascii()]
        charset = _set_of(values, station_set) if values else charset
    return Identifier(keys, charset)


def _readable_key(key: Key, station_set: str) -> Key:
    if not key.items:
        return key
    return replace(key, items=tuple(readable(item, station_set) for item in key.items))


def _set_of(values: list[bytes], station_set: str) -> CharacterSet:
    candidates = [CharacterSet(split_terms(terms)) for terms in (station_set, *_USUAL) if terms]
    carrying = (charset for charset in candidates if not any(_LOST in charset.decode(value) for value in values))
    return next(carrying, candidates[0])
