"""The keys of a query as rows of a table; long ones are shortened, and many are not all shown at once."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any

from django.utils.translation import gettext as _
from pydicom.datadict import dictionary_description

SHOWN = 200
SHOWN_CHARACTERS = 200


@dataclass(frozen=True, slots=True)
class KeyLine:
    """One key. ``depth`` is how many sequences it lies in."""

    tag: str
    name: str
    value: str
    depth: int


@dataclass(frozen=True, slots=True)
class Keys:
    """The keys that a page shows; ``shortened`` when they are not all that is recorded."""

    rows: tuple[KeyLine, ...]
    shortened: bool = False


def readable(keys: dict[str, Any], *, whole: bool = False) -> Keys:
    """Return keys as rows; not ``whole``, the first of them with as much of their values as a page has room for."""
    rows = _rows(keys, 0)
    if whole:
        return Keys(tuple(rows))
    found = list(islice(rows, SHOWN + 1))
    shortened = len(found) > SHOWN or any(len(row.value) > SHOWN_CHARACTERS for row in found)
    return Keys(tuple(KeyLine(row.tag, row.name, _short(row.value), row.depth) for row in found[:SHOWN]), shortened)


def _rows(keys: dict[str, Any], depth: int) -> Iterator[KeyLine]:
    for tag, element in sorted(keys.items()):
        values = element.get("Value", [])
        is_sequence = element.get("vr") == "SQ"
        text = "" if is_sequence else "\\".join(map(_value, values))
        yield KeyLine(f"({tag[:4]},{tag[4:]})", _keyword(tag), text, depth)
        if is_sequence and values:
            yield from _rows(values[0], depth + 1)


def _short(text: str) -> str:
    return text if len(text) <= SHOWN_CHARACTERS else f"{text[:SHOWN_CHARACTERS]}…"


def _value(value: Any) -> str:
    if isinstance(value, dict):
        return "=".join(str(part) for part in value.values())
    return "" if value is None else str(value)


def _keyword(tag: str) -> str:
    try:
        return str(dictionary_description(int(tag, 16)))
    except KeyError:
        return _("private or unknown")
