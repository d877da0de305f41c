"""The attributes that the index keeps: which tag, at which level, in which column, and how a value becomes text."""

from __future__ import annotations

import threading
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

from pydicom import charset

SPECIFIC_CHARACTER_SET = 0x00080005
SOP_CLASS_UID = 0x00080016
SOP_INSTANCE_UID = 0x00080018
STUDY_INSTANCE_UID = 0x0020000D
SERIES_INSTANCE_UID = 0x0020000E
PATIENT_ID, PATIENT_ID_ISSUER = 0x00100020, 0x00100021

Level = Literal["patient", "study", "series", "instance"]


@dataclass(frozen=True, slots=True)
class Attribute:
    """One indexed attribute. ``encoded`` marks the VRs that Specific Character Set applies to (PS3.5 §6.1.2.3)."""

    tag: int
    level: Level
    column: str
    encoded: bool = False


INDEXED = (
    Attribute(PATIENT_ID, "patient", "patient_id", encoded=True),
    Attribute(PATIENT_ID_ISSUER, "patient", "issuer", encoded=True),
    Attribute(0x00100010, "patient", "name", encoded=True),
    Attribute(0x00100030, "patient", "birth_date"),
    Attribute(0x00100040, "patient", "sex"),
    Attribute(0x00080020, "study", "study_date"),
    Attribute(0x00080030, "study", "study_time"),
    Attribute(0x00080050, "study", "accession_number", encoded=True),
    Attribute(0x00200010, "study", "study_id", encoded=True),
    Attribute(0x00081030, "study", "description", encoded=True),
    Attribute(0x00080060, "series", "modality"),
    Attribute(0x00200011, "series", "series_number"),
    Attribute(0x0008103E, "series", "description", encoded=True),
    Attribute(0x00180015, "series", "body_part"),
    Attribute(0x00200013, "instance", "instance_number"),
)

WANTED = frozenset(
    {SPECIFIC_CHARACTER_SET, SOP_CLASS_UID, SOP_INSTANCE_UID, STUDY_INSTANCE_UID, SERIES_INSTANCE_UID}
    | {attribute.tag for attribute in INDEXED}
)

_BY_LEVEL: dict[str, tuple[Attribute, ...]] = {
    level: tuple(attribute for attribute in INDEXED if attribute.level == level)
    for level in ("patient", "study", "series", "instance")
}
_decoding = threading.Lock()


def columns(level: Level, values: Mapping[int, bytes]) -> dict[str, str]:
    """Give the text of every column of ``level``, empty where the data set has no value."""
    terms = values.get(SPECIFIC_CHARACTER_SET, b"")
    return {
        attribute.column: _text(values.get(attribute.tag, b""), terms if attribute.encoded else b"")
        for attribute in _BY_LEVEL[level]
    }


@lru_cache(maxsize=4096)
def _text(value: bytes, terms: bytes) -> str:
    """Decode ``value`` by the Specific Character Set ``terms`` (PS3.3 §C.12.1.1.2); what it can't say shows as �."""
    value = value.strip(b"\0 ")
    if value.isascii() and b"\x1b" not in value:
        return _printable(value.decode("ascii"))
    known = [term for term in terms.decode("ascii", "replace").split("\\") if term.strip() in charset.python_encoding]
    codecs = [charset.python_encoding[term.strip()] for term in known] or ["latin-1"]
    if len(codecs) == 1 and not codecs[0].startswith("iso2022"):
        return _printable(value.decode(codecs[0], "replace"))
    # pydicom warns where this wants a replacement character; the filters belong to the process, hence the lock.
    with _decoding, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return _printable(charset.decode_bytes(value, codecs, set(b"^=\\")))


def _printable(text: str) -> str:
    """Leave out control characters: they have no place in these VRs, in a log line or in a terminal."""
    return "".join(character for character in text if character >= " " and character != "\x7f").strip()
