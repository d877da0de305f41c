"""An identifier for the record of queries, which keeps no more of it than so many bytes.

A modality's query has a few hundred bytes; a stranger's may have megabytes, and more as JSON than on the wire.
"""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

from mwl_admin.worklist.identifier import Identifier, Key
from mwl_admin.worklist.jsonmodel import element

MARK = "…"
"""What stands where a value was cut."""

_ELEMENT_BYTES = 32
"""Tag, VR and punctuation of one element."""
_SHARE = 4
"""One value may take this part of the whole, so that the keys after it are kept too."""


def cut(identifier: Identifier, limit: int) -> tuple[str, bool]:
    """Return the keys as the text of DICOM JSON, of about ``limit`` bytes at most, and whether any was cut."""
    cutter = _Cutter(limit)
    found = cutter.data_set(identifier)
    return json.dumps(found), cutter.cut


class _Cutter:
    def __init__(self, limit: int) -> None:
        self._left = limit
        self._share = limit // _SHARE
        self.cut = False

    def data_set(self, identifier: Identifier) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for key in identifier:
            if not self._take(_ELEMENT_BYTES):
                break
            found[f"{key.tag:08X}"] = self._sequence(key) if key.items is not None else self._element(identifier, key)
        return found

    def _take(self, count: int) -> bool:
        if self._left < count:
            self.cut = True
            return False
        self._left -= count
        return True

    def _sequence(self, key: Key) -> dict[str, Any]:
        items = []
        for item in key.items or ():
            if not self._take(_ELEMENT_BYTES):
                break
            items.append(self.data_set(item))
        return {"vr": key.vr, "Value": items} if items else {"vr": key.vr}

    def _element(self, identifier: Identifier, key: Key) -> dict[str, Any]:
        room = min(self._share, self._left)
        shortened = len(key.value) > room
        made = element(identifier, replace(key, value=key.value[:room]) if shortened else key)
        given = made.get("Value", [])
        values = self._fitting(given, room)
        if shortened or len(values) < len(given):
            self.cut = True
            following = given[len(values)] if len(values) < len(given) else ""
            start = "" if values else _start(_text(following), room // 2)
            self._left -= len(json.dumps(start))
            values.append({"Alphabetic": start + MARK} if key.vr == "PN" else start + MARK)
        return {**made, "Value": values} if values else made

    def _fitting(self, values: list[Any], room: int) -> list[Any]:
        """Return the first values that fit; an empty one is longer as JSON than on the wire."""
        for count, value in enumerate(values):
            size = len(json.dumps(value)) + 2
            if size > room:
                return values[:count]
            room -= size
            self._left -= size
        return list(values)


def _text(value: Any) -> str:
    return "=".join(value.values()) if isinstance(value, dict) else value or ""


def _start(text: str, room: int) -> str:
    """Return as much of a text as has room as JSON, which writes some characters in six or twelve."""
    return text[: room * len(text) // len(json.dumps(text))]
