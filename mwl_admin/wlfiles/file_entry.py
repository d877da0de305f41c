"""From a data set to an entry: values by keyword, as `mwl_admin.entries` takes them.

Files of other systems hold odd values. What is not needed to know who, what and when is left out with a note, so that
nobody stays off the list for the sake of a priority.
"""

from __future__ import annotations

import datetime
import re
import struct
import textwrap
import uuid
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from django.core.exceptions import ValidationError
from django.utils.translation import gettext as _

from dicom_encoding.elements import WHOLE_VRS
from mwl_admin.entries import values
from mwl_admin.entries.entry_attributes import PROCEDURE_CODE, READ_ONLY, REASON_CODE, STATIONS, STEPS
from mwl_admin.entries.problems import Problem
from mwl_admin.entries.step import STEP_ID
from mwl_admin.validators import LO_LENGTH, SH_LENGTH, validate_uid
from mwl_admin.wlfiles.file_errors import FileError
from mwl_admin.wlfiles.marker import is_for_any_station
from mwl_admin.worklist.attributes import ATTRIBUTES, WorklistAttribute
from mwl_admin.worklist.identifier import Identifier, Key

START_DATE, START_TIME = "ScheduledProcedureStepStartDate", "ScheduledProcedureStepStartTime"
JOINED = ("Allergies", "MedicalAlerts")
"""What is true of a patient whichever file tells it: all of it together."""
_WHO_AND_WHAT = frozenset({
    "PatientID", "IssuerOfPatientID", "PatientName", "AccessionNumber", "StudyInstanceUID", "ScheduledProcedureStepID"
})  # fmt: skip
"""What says whose entry it is, and which one: of several values, one may be somebody else's."""

"""VRs in which backslash and line break are text."""
_SPACES = re.compile(r"[\x00-\x1f\x7f]+")
_UIDS = uuid.UUID("6a1c1c5e-6d1f-4b0e-9b1a-3d0a6c1f6a55")
"""Namespace of the UIDs that are made of what a file has instead of one: the same each time it is read."""


@dataclass(slots=True)
class FileEntry:
    """What a file says, and ``notes`` of what was left out of it. ``birth_date`` is one that can't be used."""

    values: dict[str, Any] = field(default_factory=dict)
    steps: list[dict[str, Any]] = field(default_factory=list)
    notes: list[Problem] = field(default_factory=list)
    birth_date: str = ""

    def leave_out(self, keyword: str, text: str, why: str) -> None:
        """Note that a value is left out."""
        shown = text if len(text) <= LO_LENGTH else f"{text[:LO_LENGTH]}…"
        self.notes.append(Problem(keyword, _("“%(value)s” is left out: %(why)s") % {"value": shown, "why": why}))


def entry_of(ds: Identifier) -> FileEntry:
    """Return the entry that a data set tells of.

    :raises FileError: when it tells of none.
    """
    entry = FileEntry()
    reader = _Reader(entry)
    entry.values = reader.data_set(ds, ATTRIBUTES, "")
    entry.steps = entry.values.pop(STEPS, [])
    if not entry.steps:
        raise FileError(Problem("", _("holds no scheduled procedure step")))
    if len(entry.steps) == 1 and is_for_any_station(ds, entry.steps[0].get(STATIONS) or []):
        del entry.steps[0][STATIONS]
    _find_study(entry)
    return entry


class _Reader:
    def __init__(self, entry: FileEntry) -> None:
        self._entry = entry

    def data_set(self, ds: Identifier, attributes: Iterable[WorklistAttribute], path: str) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for attribute in attributes:
            key = ds.get(attribute.tag)
            if key is None or attribute.keyword in READ_ONLY - {"ScheduledStationName"}:
                continue
            value = self._items(key, attribute, path) if attribute.vr == "SQ" else self._value(ds, key, attribute, path)
            if value:
                found[attribute.keyword] = value
        return found

    def _items(self, key: Key, attribute: WorklistAttribute, path: str) -> list[dict[str, Any]]:
        items = []
        for number, item in enumerate(key.items or (), start=1):
            value = self.data_set(item, attribute.children, f"{path}{attribute.keyword}[{number}].")
            # Empty items, and codes without a value, are how other systems write "none".
            if value and (attribute.keyword == STEPS or value.get("CodeValue")):
                items.append(value)
        if len(items) > 1 and attribute.keyword in {PROCEDURE_CODE, REASON_CODE}:
            told = _("has %(n)d values, and only the first was taken: %(first)s")
            first = items[0]["CodeValue"]
            self._entry.notes.append(Problem(path + attribute.keyword, told % {"n": len(items), "first": first}))
            del items[1:]
        return items

    def _value(self, ds: Identifier, key: Key, attribute: WorklistAttribute, path: str) -> Any:
        keyword = path + attribute.keyword
        if attribute.vr == "US":
            return self._number(key, keyword)
        text = ds.text(attribute.tag)
        if attribute.vr in WHOLE_VRS or not text:
            return text
        parts = [self._line(part, keyword) for part in text.split("\\")]
        if attribute.keyword in JOINED:
            return [line for part in parts for line in self._wrapped(part, keyword)]
        if attribute.multiple:
            return parts if attribute.keyword == "ScheduledStationName" else [part for part in parts if part]
        given = [part for part in parts if part]
        if len(set(given)) > 1 and attribute.keyword in _WHO_AND_WHAT:
            raise FileError(Problem(keyword, _("has several values, and nobody can say which one is meant.")))
        if len(given) > 1:
            told = _("has %(n)d values, and only the first was taken: %(first)s")
            self._entry.notes.append(Problem(keyword, told % {"n": len(given), "first": given[0]}))
        return self._typed(attribute, given[0], keyword) if given else ""

    def _line(self, text: str, keyword: str) -> str:
        text = text.strip("\0 ")
        plain = _SPACES.sub(" ", text)
        if plain != text:
            self._entry.notes.append(Problem(keyword, _("holds control characters; spaces were put in their place.")))
        return plain.strip(" ")

    def _wrapped(self, text: str, keyword: str) -> list[str]:
        if len(text) <= LO_LENGTH:
            return [text] if text else []
        # An allergy is not left out for its length, nor cut.
        self._entry.notes.append(Problem(keyword, _("is longer than 64 characters, and was taken as several values.")))
        return textwrap.wrap(text, LO_LENGTH)

    def _number(self, key: Key, keyword: str) -> str:
        """US is a number of two bytes; in which order is seen by its size: none that is taken here is large."""
        if not key.value:
            return ""
        if len(key.value) == 2:
            return str(min(struct.unpack(order + "H", key.value)[0] for order in "<>"))
        text = key.value.decode("ascii", "replace").strip("\0 ")
        if text.isascii() and text.isdecimal():
            return text
        self._entry.leave_out(keyword, text, _("it is no number."))
        return ""

    def _typed(self, attribute: WorklistAttribute, text: str, keyword: str) -> Any:
        try:
            if attribute.vr == "DA":
                return values.date(text.replace(".", "-"))
            if attribute.vr == "TM":
                return values.time(text)
            if attribute.vr == "UI":
                validate_uid(text)
        except (ValueError, ValidationError):
            return self._unusable(attribute, text, keyword)
        return text.upper() if attribute.vr == "CS" else text

    def _unusable(self, attribute: WorklistAttribute, text: str, keyword: str) -> Any:
        if attribute.keyword == START_DATE:
            raise FileError(Problem(keyword, _("“%(value)s” is not a date.") % {"value": text}))
        if attribute.keyword == "StudyInstanceUID":
            made = _uid(text)
            told = _("“%(value)s” is not a UID; %(made)s was made of it.")
            self._entry.notes.append(Problem(keyword, told % {"value": text, "made": made}))
            return made
        if attribute.keyword == "PatientBirthDate":
            self._entry.birth_date = text
        kinds = {"DA": _("it is not a date."), "TM": _("it is not a time of day.")}
        self._entry.leave_out(keyword, text, kinds.get(attribute.vr, _("it is not a UID.")))
        return ""


def _uid(*parts: str) -> str:
    """Return the UID that stands for what a file has instead of one (PS3.5 §B.2)."""
    return f"2.25.{uuid.uuid5(_UIDS, chr(0).join(parts)).int}"


def _find_study(entry: FileEntry) -> None:
    """Give an order that has neither accession number nor UID a UID by which it is known when it is read again."""
    given = entry.values
    number = given.get("AccessionNumber", "")
    if len(number) > SH_LENGTH:
        del given["AccessionNumber"]
        given.setdefault("StudyInstanceUID", _uid(number))
        entry.leave_out("AccessionNumber", number, _("DICOM allows 16 characters; another one was made."))
    if given.get("AccessionNumber") or given.get("StudyInstanceUID"):
        return
    person = [str(given.get(keyword, "")) for keyword in ("PatientID", "IssuerOfPatientID", "PatientName")]
    steps = [
        str(step.get(keyword, "")) for step in entry.steps for keyword in (STEP_ID, "Modality", START_DATE, START_TIME)
    ]
    given["StudyInstanceUID"] = _uid(*person, str(given.get("RequestedProcedureID", "")), *steps)
    entry.notes.append(
        Problem("StudyInstanceUID", _("is absent, and so is the accession number; a UID was made of the entry."))
    )


def time_of(step: dict[str, Any]) -> datetime.time:
    """Return a step's time of day; one that is not known is midnight, with which the day begins."""
    time: datetime.time | None = step.get(START_TIME)
    return time or datetime.time()
