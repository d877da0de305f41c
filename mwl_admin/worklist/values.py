"""The values of attributes: from a row's columns to the text that a data element holds (PS3.5 §6.2).

Each function takes the query's :class:`ResponseContext` and the columns that the attributes' table names for it.
Several values are separated by backslashes; no value is the empty text.
"""

from __future__ import annotations

import datetime
import json
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from functools import lru_cache
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

if TYPE_CHECKING:
    from mwl_admin.worklist.directory import Directory, StationEntry


@dataclass(frozen=True, slots=True)
class ResponseContext:
    """What a response depends on beside its row.

    ``caller`` is the station that asks, or None when its AE title is not known; ``zone`` is the department's.
    ``own_statuses``: not for a modality, so that a step that is over is told to be so, in words of our own.
    ``asker`` is the caller as a station, known or not, which a step without stations is told to be for;
    ``assigned_only``: such a step is told to be for none.
    """

    directory: Directory
    caller: StationEntry | None
    zone: ZoneInfo
    transliterate: bool = False
    own_statuses: bool = False
    asker: StationEntry | None = None
    assigned_only: bool = False


@lru_cache(maxsize=65536)
def _date_text(value: datetime.date) -> str:
    return f"{value.year:04d}{value.month:02d}{value.day:02d}"


def date(_context: ResponseContext, value: datetime.date | None) -> str:
    """DA."""
    return "" if value is None else _date_text(value)


@lru_cache(maxsize=4096)
def _time_text(value: datetime.time) -> str:
    text = f"{value.hour:02d}{value.minute:02d}{value.second:02d}"
    return f"{text}.{value.microsecond:06d}" if value.microsecond else text


def time(_context: ResponseContext, value: datetime.time) -> str:
    """TM, to the second, and with a fraction only where there is one."""
    return _time_text(value)


def decimal(_context: ResponseContext, value: Decimal | None) -> str:
    """DS: no exponent, no zeros that say nothing."""
    if value is None:
        return ""
    text = f"{value:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def number(_context: ResponseContext, value: int | None) -> str:
    """A whole number; US is made of it where bytes are made."""
    return "" if value is None else str(value)


def lines(_context: ResponseContext, value: str) -> str:
    """LO with several values, stored one a line."""
    return "\\".join(line.strip() for line in value.splitlines() if line.strip())


def age(_context: ResponseContext, born: datetime.date | None, on: datetime.date) -> str:
    """AS: Patient's Age on the day of the step, in the unit in which ages of that size are given."""
    if born is None or born > on:
        return ""
    months = (on.year - born.year) * 12 + on.month - born.month - (on.day < born.day)
    if months >= 24:
        return f"{min(months // 12, 999):03d}Y"
    if months >= 3:
        return f"{months:03d}M"
    return f"{(on - born).days:03d}D"


def step_status(context: ResponseContext, status: str) -> str:
    """Scheduled Procedure Step Status (0040,0020): DICOM's own terms leave, ours do not."""
    return status if context.own_statuses or status in {"SCHEDULED", "ARRIVED", "READY", "STARTED"} else ""


def timezone_offset(context: ResponseContext, date_: datetime.date, time_: datetime.time) -> str:
    """The department's offset from UTC at the step's start, `+0100`: what its date and time are to be read by."""
    return datetime.datetime.combine(date_, time_, context.zone).strftime("%z")[:5]


def patient_name(context: ResponseContext, *parts: str) -> str:
    """Patient's Name: five components, then the ideographic and the phonetic group."""
    name = "^".join(parts[:5]).rstrip("^")
    if parts[5] or parts[6]:
        name = f"{name}={parts[5]}={parts[6]}".rstrip("=")
    return name if name.isascii() else person_name(context, name)


def person_name(context: ResponseContext, name: str) -> str:
    """PN, without accents for a station that cannot show them."""
    return transliterated(name) if context.transliterate and not name.isascii() else name


# What takes two letters when its mark cannot be written.
_LETTERS = str.maketrans(
    {"ß": "ss", "æ": "ae", "Æ": "AE", "œ": "oe", "Œ": "OE", "ø": "o", "Ø": "O", "đ": "d", "Đ": "D"}
    | {"ð": "d", "Ð": "D", "ł": "l", "Ł": "L", "þ": "th", "Þ": "Th", "ı": "i"}
)


def transliterated(name: str) -> str:
    """Latin letters without their marks; other scripts stay, and the character set decides about them."""
    apart = unicodedata.normalize("NFD", name)
    kept = "".join(sign for sign in apart if not "\u0300" <= sign <= "\u036f")
    return unicodedata.normalize("NFC", kept.translate(_LETTERS))


def stations_of(context: ResponseContext, station_ids: str | None, modality: str) -> Sequence[StationEntry]:
    """The stations that a step is told to be for: its own, or else whoever asks, or else all of its modality.

    Whoever asks, since Scheduled Station AE Title is never empty (type 1) and many take one value only. Stations that
    were deleted since the query began are none.
    """
    own = context.directory.by_ids(station_ids) if station_ids else ()
    if own or context.assigned_only:
        return own
    return (context.asker,) if context.asker else context.directory.of_modality(modality)


def station_ae_titles(context: ResponseContext, station_ids: str | None, modality: str) -> str:
    """Scheduled Station AE Title, several where several stations may do the step."""
    return "\\".join(station.ae_title for station in stations_of(context, station_ids, modality))


def station_names(context: ResponseContext, station_ids: str | None, modality: str) -> str:
    """Scheduled Station Name, in the order of the AE titles."""
    return "\\".join(
        station.station_name for station in stations_of(context, station_ids, modality) if station.station_name
    )


def step_location(context: ResponseContext, location: str, station_ids: str | None, modality: str) -> str:
    """The step's own location, or else the station's."""
    if location:
        return location
    return next((station.location for station in stations_of(context, station_ids, modality) if station.location), "")


def one_code(_context: ResponseContext, value: str, scheme: str, version: str, meaning: str) -> list[tuple[str, ...]]:
    """Items of a code sequence that holds one code or none."""
    return [(value, scheme, version, meaning)] if value else []


def reason_code(_context: ResponseContext, value: str, scheme: str, meaning: str) -> list[tuple[str, ...]]:
    """Items of the reason's code sequence."""
    return [(value, scheme, "", meaning)] if value else []


def protocol_codes(_context: ResponseContext, codes: str | None) -> list[tuple[str, ...]]:
    """Items of the Scheduled Protocol Code Sequence."""
    if not codes:
        return []
    loaded: Iterable[Iterable[str]] = json.loads(codes)
    return sorted(tuple(code) for code in loaded)


def no_items(_context: ResponseContext) -> list[tuple[str, ...]]:
    """A sequence that this worklist never fills."""
    return []
