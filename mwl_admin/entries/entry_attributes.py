"""Which attributes of an entry can be written, and in which column each is kept.

Derived from the worklist's own table, so that what a C-FIND response tells and what an entry is made of can't differ.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum

from django.db import models
from pydicom.datadict import keyword_for_tag, tag_for_keyword

from mwl_admin.models import Patient, RequestedProcedure, ScheduledProcedureStep
from mwl_admin.worklist.attributes import ATTRIBUTES, STEP_ATTRIBUTES, WorklistAttribute

STEPS = "ScheduledProcedureStepSequence"
STATIONS = "ScheduledStationAETitle"
STATUS = "ScheduledProcedureStepStatus"
REASON = "ReasonForCancellation"
PROTOCOLS = "ScheduledProtocolCodeSequence"
PROCEDURE_CODE = "RequestedProcedureCodeSequence"
REASON_CODE = "ReasonForRequestedProcedureCodeSequence"

READ_ONLY = frozenset(
    {
        "PatientAge",
        "ReferencedPatientSequence",
        "ReferencedStudySequence",
        "ScheduledStationName",
        "SpecificCharacterSet",
        "TimezoneOffsetFromUTC",
    }
)
"""What is sent but not kept. An entry may hold it, so that what was read can be sent back; it is passed over."""


class Level(Enum):
    """Whose attribute it is."""

    PATIENT = "requested_procedure__patient__"
    REQUESTED = "requested_procedure__"
    STEP = ""


_MODELS: dict[Level, type[models.Model]] = {
    Level.PATIENT: Patient,
    Level.REQUESTED: RequestedProcedure,
    Level.STEP: ScheduledProcedureStep,
}


@dataclass(frozen=True, slots=True)
class Column:
    """An attribute that is kept in one column as it is."""

    attribute: WorklistAttribute
    level: Level
    name: str

    @property
    def keyword(self) -> str:
        """The attribute's keyword."""
        return self.attribute.keyword

    @property
    def field(self) -> models.Field[object, object]:
        """The model's field."""
        return _MODELS[self.level]._meta.get_field(self.name)  # type: ignore[return-value]


def _columns() -> Iterator[Column]:
    for attribute in (*ATTRIBUTES, *STEP_ATTRIBUTES):
        single = len(attribute.columns) == 1 or attribute.keyword == "ScheduledProcedureStepLocation"
        if not single or attribute.items is not None or attribute.keyword in {*READ_ONLY, STATUS}:
            continue
        path = attribute.columns[0]
        level = next(level for level in Level if path.startswith(level.value))
        yield Column(attribute, level, path.removeprefix(level.value))


COLUMNS = {column.keyword: column for column in _columns()}
"""By keyword. Names, stations, codes and status are made of several columns and not here."""

NAME_FIELDS = ("family_name", "given_name", "middle_name", "name_prefix", "name_suffix")
KEYWORDS = {attribute.keyword: attribute for attribute in ATTRIBUTES}
STEP_KEYWORDS = {attribute.keyword: attribute for attribute in STEP_ATTRIBUTES}


def keyword_of(name: str) -> str:
    """Return the keyword for a keyword or a tag of eight hexadecimal digits; empty when it is neither."""
    if len(name) == 8 and all(character in "0123456789ABCDEFabcdef" for character in name):
        return keyword_for_tag(int(name, 16))
    return name if tag_for_keyword(name) is not None else ""


def keyword_of_field(level: Level, name: str) -> str:
    """Return the keyword of the attribute that a model's field belongs to; empty when it is none's."""
    for column in COLUMNS.values():
        if column.level is level and column.name == name:
            return column.keyword
    if level is Level.PATIENT and (name in NAME_FIELDS or name in {"ideographic_name", "phonetic_name"}):
        return "PatientName"
    if level is Level.REQUESTED and name.startswith("reason_"):
        return REASON_CODE
    if level is Level.REQUESTED and name.startswith(("code_", "coding_")):
        return PROCEDURE_CODE
    return {"stations": STATIONS, "status": STATUS}.get(name, "")
