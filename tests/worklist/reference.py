"""A second worklist matcher, in memory, written from the text of PS3.4 §C.2.2.2 and §K.6.1.2.2 and nothing else.

It shares no code with the product. Slow and plain on purpose: what it says is what the standard, and design section 5
where the standard leaves a choice, say.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

FREE_TEXT = {
    "PatientID",
    "IssuerOfPatientID",
    "AccessionNumber",
    "RequestedProcedureID",
    "RequestedProcedureDescription",
    "AdmissionID",
    "CurrentPatientLocation",
    "ScheduledProcedureStepID",
    "ScheduledProcedureStepDescription",
    "ScheduledProcedureStepLocation",
    "ScheduledStationAETitle",
    "ScheduledStationName",
    "CodeValue",
    "CodingSchemeDesignator",
}
CODE_STRINGS = {"Modality", "ScheduledProcedureStepStatus", "RequestedProcedurePriority", "PatientSex"}
NAMES = {"PatientName", "ReferringPhysicianName", "RequestingPhysician", "ScheduledPerformingPhysicianName"}
SEQUENCES = {"RequestedProcedureCodeSequence", "ScheduledProtocolCodeSequence"}

_MISSING = "\0"
"""Stands for a component that is not there; no stored name has it, and no single character `?` means it."""


@dataclass
class Entry:
    """One step: the values of each attribute, and the items of each code sequence."""

    values: dict[str, list[str]]
    codes: dict[str, list[dict[str, str]]] = field(default_factory=dict)


@dataclass
class Keys:
    """One query: values by keyword, items of code sequences by keyword."""

    values: Mapping[str, str] = field(default_factory=dict)
    codes: Mapping[str, Mapping[str, str]] = field(default_factory=dict)


def is_match(entry: Entry, keys: Keys) -> bool:
    values = dict(keys.values)
    date = values.pop("ScheduledProcedureStepStartDate", "")
    time = values.pop("ScheduledProcedureStepStartTime", "")
    return (
        _start_matches(entry, date.strip(), time.strip())
        and all(_attribute_matches(entry, keyword, key) for keyword, key in values.items())
        and all(_sequence_matches(entry, keyword, item) for keyword, item in keys.codes.items())
    )


def _sequence_matches(entry: Entry, keyword: str, item: Mapping[str, str]) -> bool:
    if all(_universal(value) for value in item.values()):
        return True
    return any(
        all(_text_matches(code[name], value, str) for name, value in item.items()) for code in entry.codes[keyword]
    )


def _attribute_matches(entry: Entry, keyword: str, key: str) -> bool:
    if _universal(key):
        return True
    stored = entry.values[keyword]
    if keyword == "StudyInstanceUID":
        return stored[0] in [uid.strip() for uid in key.split("\\")]
    if keyword == "PatientBirthDate":
        return bool(stored[0]) and any(_in_range(stored[0], part.strip(), "99999999") for part in key.split("\\"))
    if keyword in NAMES:
        return any(_name_matches(stored[0], part) for part in _parts(key))
    prepare = str.upper if keyword in CODE_STRINGS else str
    return any(_text_matches(value, key, prepare) for value in stored)


def _universal(key: str) -> bool:
    """Zero length, or only `*`; the same for any of several values."""
    parts = key.split("\\")
    return all(not part.strip() for part in parts) or any(part.strip() and set(part.strip()) == {"*"} for part in parts)


def _parts(key: str) -> list[str]:
    return [unicodedata.normalize("NFC", part).strip() for part in key.split("\\") if part.strip()]


def _text_matches(stored: str, key: str, prepare: Callable[[str], str]) -> bool:
    if _universal(key):
        return True
    return bool(stored) and any(_like(stored, prepare(part)) for part in _parts(key))


def _like(text: str, pattern: str) -> bool:
    """`*`: any characters, none included. `?`: one character."""
    reachable = {0}
    for sign in pattern:
        if sign == "*":
            reachable = {end for start in reachable for end in range(start, len(text) + 1)}
        else:
            reachable = {start + 1 for start in reachable if start < len(text) and (text[start] == sign or sign == "?")}
    return len(text) in reachable


def _folded(name: str) -> str:
    text = unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).casefold())
    return "^".join(part.strip() for part in text.split("^"))


def _name_matches(stored: str, key: str) -> bool:
    groups = [*stored.split("="), "", ""][:3]
    wanted = key.split("=")
    if len(wanted) == 1:
        return any(_group_matches(group, key) for group in groups)
    return all(_group_matches(group, part) for group, part in zip(groups, wanted, strict=False))


def _group_matches(group: str, key: str) -> bool:
    pattern = _folded(key)
    if not pattern.strip("^"):
        return True
    name = _folded(group).rstrip("^")
    if not name:
        # What is not there is matched by `*` alone, with or without components that may follow.
        return pattern.startswith("*") and set(pattern) <= {"*", "^"}
    # A component that is missing is an empty one: as many of them may follow as one likes.
    return any(_like_name(name + _MISSING * missing, pattern) for missing in range(8))


def _like_name(text: str, pattern: str) -> bool:
    """As :func:`_like`, where `^` in the pattern also means a component that is missing."""
    reachable = {0}
    for sign in pattern:
        if sign == "*":
            reachable = {end for start in reachable for end in range(start, len(text) + 1)}
        else:
            reachable = {
                start + 1
                for start in reachable
                if start < len(text)
                and (
                    text[start] == sign
                    or (sign == "^" and text[start] == _MISSING)
                    or (sign == "?" and text[start] != _MISSING)
                )
            }
    return len(text) in reachable


def _in_range(value: str, key: str, filler: str) -> bool:
    """Compare as text: fixed-width digits sort as the dates and times that they stand for."""
    low, high = _bounds(key, filler)
    return low <= value <= high


def _bounds(key: str, filler: str) -> tuple[str, str]:
    first, dash, last = key.partition("-")
    first, last = first.strip(), last.strip()
    if not dash:
        last = first
    return (_least(first, filler) if first else ""), (_most(last, filler) if last else "~")


def _least(text: str, filler: str) -> str:
    return text.replace(":", "").replace(".", "").ljust(len(filler), "0")


def _most(text: str, filler: str) -> str:
    digits = text.replace(":", "").replace(".", "")
    return digits + filler[len(digits) :]


TIME_FILLER = "235959999999"


def _start_matches(entry: Entry, date: str, time: str) -> bool:
    stored_date = entry.values["ScheduledProcedureStepStartDate"][0]
    stored_time = _least(entry.values["ScheduledProcedureStepStartTime"][0], TIME_FILLER)
    dates = [] if _universal(date) else [part.strip() for part in date.split("\\") if part.strip()]
    times = [] if _universal(time) else [part.strip() for part in time.split("\\") if part.strip()]
    if len(dates) == len(times) == 1 and "-" in dates[0] and "-" in times[0]:
        return _in_span(stored_date, stored_time, dates[0], times[0])
    return (not dates or any(_in_range(stored_date, part, "99999999") for part in dates)) and (
        not times or any(_in_range(stored_time, part, TIME_FILLER) for part in times)
    )


def _in_span(stored_date: str, stored_time: str, date: str, time: str) -> bool:
    """One span, from the first date at the first time to the last date at the last time."""
    first_date, last_date = (part.strip() for part in date.split("-"))
    first_time, last_time = (part.strip() for part in time.split("-"))
    moment = stored_date + stored_time
    low = first_date + _least(first_time or "00", TIME_FILLER) if first_date else ""
    high = last_date + _most(last_time or "23", TIME_FILLER) if last_date else "~"
    return low <= moment <= high


def matching(entries: Sequence[Entry], keys: Keys) -> list[int]:
    """Return the indexes of the entries that match."""
    return [index for index, entry in enumerate(entries) if is_match(entry, keys)]
