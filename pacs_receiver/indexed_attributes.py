"""The attributes that the index keeps: which tag, at which level, in which column, and how a value becomes text."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from pacs_receiver import character_sets
from pacs_receiver.character_sets import decoded

SPECIFIC_CHARACTER_SET = 0x00080005
SOP_CLASS_UID = 0x00080016
SOP_INSTANCE_UID = 0x00080018
STUDY_INSTANCE_UID = 0x0020000D
SERIES_INSTANCE_UID = 0x0020000E
PATIENT_ID, PATIENT_ID_ISSUER = 0x00100020, 0x00100021

Level = Literal["patient", "study", "series", "instance"]


@dataclass(frozen=True, slots=True)
class IndexedAttribute:
    """One indexed attribute. ``encoded`` marks the VRs that Specific Character Set applies to (PS3.5 §6.1.2.3)."""

    tag: int
    level: Level
    column: str
    encoded: bool = False


INDEXED = (
    IndexedAttribute(PATIENT_ID, "patient", "patient_id", encoded=True),
    IndexedAttribute(PATIENT_ID_ISSUER, "patient", "issuer", encoded=True),
    IndexedAttribute(0x00100010, "patient", "name", encoded=True),
    IndexedAttribute(0x00100030, "patient", "birth_date"),
    IndexedAttribute(0x00100040, "patient", "sex"),
    IndexedAttribute(0x00080020, "study", "study_date"),
    IndexedAttribute(0x00080030, "study", "study_time"),
    IndexedAttribute(0x00080050, "study", "accession_number", encoded=True),
    IndexedAttribute(0x00200010, "study", "study_id", encoded=True),
    IndexedAttribute(0x00081030, "study", "description", encoded=True),
    IndexedAttribute(0x00080060, "series", "modality"),
    IndexedAttribute(0x00200011, "series", "series_number"),
    IndexedAttribute(0x0008103E, "series", "description", encoded=True),
    IndexedAttribute(0x00180015, "series", "body_part"),
    IndexedAttribute(0x00200013, "instance", "instance_number"),
)

WANTED = frozenset(
    {SPECIFIC_CHARACTER_SET, SOP_CLASS_UID, SOP_INSTANCE_UID, STUDY_INSTANCE_UID, SERIES_INSTANCE_UID}
    | {attribute.tag for attribute in INDEXED}
)

_BY_LEVEL: dict[str, tuple[IndexedAttribute, ...]] = {
    level: tuple(attribute for attribute in INDEXED if attribute.level == level)
    for level in ("patient", "study", "series", "instance")
}
_OF_PATIENT = (SPECIFIC_CHARACTER_SET, *(attribute.tag for attribute in _BY_LEVEL["patient"]))


def patient_key(values: Mapping[int, bytes]) -> tuple[bytes, ...]:
    """Give what names the patient, encoded: equal for instances that name one in the same bytes."""
    return tuple(values.get(tag, b"") for tag in _OF_PATIENT)


def columns(level: Level, values: Mapping[int, bytes], default: str = character_sets.DEFAULT) -> dict[str, str]:
    """Give the text of every column of ``level``, empty where the data set has no value.

    ``default`` is the character set of what declares none and is no UTF-8.
    """
    terms = values.get(SPECIFIC_CHARACTER_SET, b"")
    return {
        attribute.column: decoded(values.get(attribute.tag, b""), terms if attribute.encoded else b"", default)
        for attribute in _BY_LEVEL[level]
    }
