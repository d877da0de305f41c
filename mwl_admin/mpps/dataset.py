"""A modality's data set as DICOM JSON (PS3.18 Annex F), in which it is kept whole, and back into bytes for N-GET.

Text is kept as it came, numbers in text (DS, IS) included: what a modality reported is not ours to correct.
"""

from __future__ import annotations

import base64
import struct
from collections.abc import Iterator
from typing import Any

from dicom_encoding.elements import SHORT_LIMIT, WHOLE_VRS
from dicom_encoding.syntaxes import SYNTAXES, Syntax
from dicom_encoding.walk import HIGHEST_NESTING
from mwl_admin.worklist.charset import CharacterSet
from mwl_admin.worklist.identifier import Identifier, Key, parse

DataSet = dict[str, Any]
"""DICOM JSON: an element by its tag in hexadecimal."""

MAX_ELEMENTS = 200_000
"""Elements of one report, those of its items included: some tens of thousands of images."""

_NUMBERS = {"FD": "d", "FL": "f", "SL": "l", "SS": "h", "SV": "q", "UL": "L", "US": "H", "UV": "Q"}
_BINARY = frozenset({"OB", "OD", "OF", "OL", "OV", "OW", "UN"})
_NAME_GROUPS = ("Alphabetic", "Ideographic", "Phonetic")
_CHARACTER_SET = "00080005"
_UTF_8 = CharacterSet(("ISO_IR 192",))


def read(data: bytes, transfer_syntax: str) -> DataSet:
    """Read an encoded data set.

    How deep it may nest is the listener's to say, which has walked it.

    Specific Character Set is left out: DICOM JSON is UTF-8.

    :raises IdentifierError: when it is none.
    """
    return _to_json(parse(data, transfer_syntax, max_keys=MAX_ELEMENTS, max_nesting=HIGHEST_NESTING))


def write(ds: DataSet, transfer_syntax: str) -> bytes:
    """Encode a data set, its text in UTF-8 where ASCII does not do."""
    if not all(text.isascii() for text in _texts(ds)):
        ds = {**ds, _CHARACTER_SET: {"vr": "CS", "Value": ["ISO_IR 192"]}}
    syntax = SYNTAXES[transfer_syntax]
    return syntax.wrap(_encode(ds, syntax))


def is_same(element: dict[str, Any], other: dict[str, Any] | None) -> bool:
    """Whether two elements say the same; an absent one says as much as an empty one."""
    return bool(_said(element) == _said(other or {}))


def _said(element: dict[str, Any]) -> Any:
    """Return what an element says: its values, without what is empty in its items and whatever VR it came with."""
    if element.get("vr") == "TM":
        return [_moment(value) for value in element.get("Value", []) if value not in (None, "")] or None
    if element.get("vr") != "SQ":
        return [value for value in element.get("Value", []) if value not in (None, "")] or element.get("InlineBinary")
    items = ({tag: said for tag, child in item.items() if (said := _said(child))} for item in element.get("Value", []))
    return [item for item in items if item] or None


def _moment(value: Any) -> str:
    """Return a time with all its parts: `1200`, `120000` and `120000.000` are one (PS3.5 §6.2, VR TM)."""
    whole, _, fraction = str(value).strip(" ").replace(":", "").partition(".")
    return f"{whole:0<6}.{fraction:0<6}" if whole.isdigit() else str(value)


def _to_json(identifier: Identifier) -> DataSet:
    return {f"{key.tag:08X}": _element(identifier, key) for key in identifier if f"{key.tag:08X}" != _CHARACTER_SET}


def _element(identifier: Identifier, key: Key) -> dict[str, Any]:
    element: dict[str, Any] = {"vr": key.vr}
    if key.items is not None:
        values: list[Any] = [_to_json(item) for item in key.items]
    elif key.vr in _BINARY:
        if key.value:
            element["InlineBinary"] = base64.b64encode(key.value).decode("ascii")
        return element
    elif key.vr in _NUMBERS:
        form = struct.Struct("<" + _NUMBERS[key.vr])
        usable = len(key.value) - len(key.value) % form.size
        values = [value for (value,) in form.iter_unpack(key.value[:usable])]
    elif key.vr == "AT":
        pairs = struct.iter_unpack("<HH", key.value[: len(key.value) // 4 * 4])
        values = [f"{group:04X}{element_:04X}" for group, element_ in pairs]
    else:
        # PostgreSQL's JSON has no place for NUL, which no VR of text allows.
        text = identifier.text(key.tag).replace("\0", "")
        parts = [text] if key.vr in WHOLE_VRS else [part.strip(" ") for part in text.split("\\")]
        values = [_name(part) if key.vr == "PN" else part or None for part in parts] if text else []
    if values:
        element["Value"] = values
    return element


def _name(value: str) -> dict[str, str] | None:
    groups = dict(zip(_NAME_GROUPS, value.split("="), strict=False))
    return {group: text for group, text in groups.items() if text} or None


def name_text(value: Any) -> str:
    """Return a person's name as PN writes it."""
    if not isinstance(value, dict):
        return ""
    return "=".join(value.get(group, "") for group in _NAME_GROUPS).rstrip("=")


def _encode(ds: DataSet, syntax: Syntax) -> bytes:
    return b"".join(_encoded_element(int(tag, 16), ds[tag], syntax) for tag in sorted(ds))


def _encoded_element(tag: int, element: dict[str, Any], syntax: Syntax) -> bytes:
    vr = element["vr"]
    value = _value(vr, element, syntax)
    if len(value) > SHORT_LIMIT and len(syntax.header(0, vr, 0)) == 8 and not syntax.implicit:
        vr = "UN"  # too long for its own VR's length field (PS3.5 §6.2.2)
    return syntax.header(tag, vr, len(value)) + value


def _value(vr: str, element: dict[str, Any], syntax: Syntax) -> bytes:
    values = element.get("Value", [])
    if vr == "SQ":
        return b"".join(syntax.item(_encode(item, syntax)) for item in values)
    if vr in _BINARY:
        value = base64.b64decode(element.get("InlineBinary", ""))
    elif vr in _NUMBERS:
        value = b"".join(struct.pack("<" + _NUMBERS[vr], number) for number in values)
    elif vr == "AT":
        value = b"".join(struct.pack("<HH", int(text[:4], 16), int(text[4:], 16)) for text in values)
    else:
        text = "\\".join(name_text(part) if vr == "PN" else part or "" for part in values)
        value = _UTF_8.encode(text)
    pad = b"\0" if vr == "UI" or vr in _BINARY else b" "
    return value + pad * (len(value) % 2)


def _texts(ds: DataSet) -> Iterator[str]:
    for element in ds.values():
        for value in element.get("Value", ()):
            if element["vr"] == "SQ":
                yield from _texts(value)
            elif isinstance(value, dict):
                yield name_text(value)
            elif isinstance(value, str):
                yield value
