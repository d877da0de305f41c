"""An identifier as DICOM JSON (PS3.18 Annex F), as recorded queries keep it; and back, to explain them."""

from __future__ import annotations

from typing import Any

from mwl_admin.worklist.identifier import Identifier, Key

_GROUPS = ("Alphabetic", "Ideographic", "Phonetic")
_BINARY = frozenset({"AT", "FD", "FL", "OB", "OD", "OF", "OL", "OV", "OW", "SL", "SS", "SV", "UL", "UN", "US", "UV"})


def to_json(identifier: Identifier) -> dict[str, Any]:
    """Return the keys as DICOM JSON. Values that are not text are left out: no worklist key is matched by them."""
    return {f"{key.tag:08X}": element(identifier, key) for key in identifier}


def element(identifier: Identifier, key: Key) -> dict[str, Any]:
    """Return one key of an identifier as an element of DICOM JSON."""
    made: dict[str, Any] = {"vr": key.vr}
    if key.items is not None:
        if key.items:
            made["Value"] = [to_json(item) for item in key.items]
    elif key.vr not in _BINARY and (text := identifier.text(key.tag).replace("\0", "")):
        whole = key.vr in {"LT", "ST", "UT"}
        values = [text] if whole else text.split("\\")
        made["Value"] = [_name(value) if key.vr == "PN" else value or None for value in values]
    return made


def _name(value: str) -> dict[str, str] | None:
    groups = dict(zip(_GROUPS, value.split("=", 2), strict=False))
    return {group: text for group, text in groups.items() if text} or None


def from_json(keys: dict[str, Any]) -> Identifier:
    """Return the identifier that was recorded, its text in Unicode."""
    found: dict[int, Key] = {}
    for tag, element in sorted(keys.items()):
        vr, values = element["vr"], element.get("Value", [])
        if vr == "SQ":
            found[int(tag, 16)] = Key(int(tag, 16), vr, items=tuple(from_json(item) for item in values))
        else:
            text = "\\".join(_text(value) for value in values)
            found[int(tag, 16)] = Key(int(tag, 16), vr, text.encode())
    return Identifier.in_unicode(found)


def _text(value: Any) -> str:
    if isinstance(value, dict):
        return "=".join(value.get(group, "") for group in _GROUPS).rstrip("=")
    return "" if value is None else str(value)
