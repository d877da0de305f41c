"""Identifiers as DICOM JSON (PS3.18 Annex F) for the web, and in the short form with keywords and bare values."""

from __future__ import annotations

import struct
from typing import Any

from pydicom.datadict import dictionary_VM, keyword_for_tag

from mwl_admin.worklist.identifier import Identifier
from mwl_admin.worklist.jsonmodel import to_json

MEDIA_TYPE = "application/dicom+json"
DataSet = dict[str, Any]
_GROUPS = ("Alphabetic", "Ideographic", "Phonetic")


def to_dicom_json(identifier: Identifier) -> DataSet:
    """Return an identifier with all of its values; it was encoded in Explicit VR Little Endian."""
    data_set = to_json(identifier)
    for key in identifier:
        element = data_set[f"{key.tag:08X}"]
        if key.vr == "US" and key.value:
            element["Value"] = [value for (value,) in struct.iter_unpack("<H", key.value)]
        elif key.vr == "DS" and "Value" in element:
            element["Value"] = [_number(value) for value in element["Value"]]
    return data_set


def _number(value: str | None) -> int | float | None:
    if value is None:
        return None
    number = float(value)
    return int(number) if number.is_integer() else number


def to_keywords(data_set: DataSet) -> dict[str, Any]:
    """Return the short form: keywords, bare values, nothing that is empty. It can be sent back as an entry."""
    found: dict[str, Any] = {}
    for tag, element in data_set.items():
        values = element.get("Value", [])
        if not values:
            continue
        number = int(tag, 16)
        short = [_short(element["vr"], value) for value in values]
        single = element["vr"] != "SQ" and str(dictionary_VM(number)) == "1"
        found[keyword_for_tag(number)] = short[0] if single else short
    return found


def _short(vr: str, value: Any) -> Any:
    if vr == "SQ":
        return to_keywords(value)
    if vr == "PN" and isinstance(value, dict):
        return "=".join(value.get(group, "") for group in _GROUPS).rstrip("=")
    return "" if value is None else value
