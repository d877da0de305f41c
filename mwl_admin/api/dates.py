"""Dates and moments in query parameters: as DICOM writes them (PS3.5 §6.2, VR DA and DT), or ISO 8601."""

from __future__ import annotations

import datetime
import re

from django.utils import timezone

from mwl_admin.api.errors import bad_request

Days = tuple[datetime.date | None, datetime.date | None]

DAYS = "a day or a range of days: 20260504, 20260504-20260508, 20260504-, -20260508, 2026-05-04"
MOMENT = "a moment: 20260504103000+0100, 20260504, 2026-05-04T10:30:00Z"

_DAY = r"\d{4}-\d{2}-\d{2}|\d{8}"
_RANGE = re.compile(rf"({_DAY})?(-)?({_DAY})?", re.ASCII)
_DATE_TIME = re.compile(
    r"(\d{4})(\d{2})?(\d{2})?(\d{2})?(\d{2})?(\d{2})?(?:\.(\d{1,6}))?([+-]\d{4})?",
    re.ASCII,
)


def days(text: str, name: str) -> Days:
    """Return the first and the last day of a range; None where it is open. A single date is both.

    :raises Refused: 400, naming the parameter.
    """
    found = _RANGE.fullmatch(text.strip())
    if found is None or not (found[1] or found[3]):
        raise bad_request("must be a date or a range: 20260504, 20260504-20260508, 20260504-, -20260508.", name)
    if bool(found[1] and found[3]) and not found[2]:
        raise bad_request("must be a date or a range, e.g. 20260504-20260508.", name)
    first, last = (_day(part, name) if part else None for part in (found[1], found[3]))
    return (first, first) if not found[2] else (first, last)


def _day(text: str, name: str) -> datetime.date:
    try:
        return datetime.datetime.strptime(text.replace("-", ""), "%Y%m%d").date()  # noqa: DTZ007 - a day has no zone
    except ValueError:
        raise bad_request("holds a date that does not exist.", name) from None


def moment(text: str, name: str) -> datetime.datetime:
    """Return a moment; without an offset from UTC it is the department's time, without a time the day's beginning.

    :raises Refused: 400, naming the parameter.
    """
    # A plus that was not encoded comes as a space.
    text = re.sub(r" (?=\d{2}:?\d{2}$)", "+", text.strip(), flags=re.ASCII)
    try:
        return _aware(_date_time(text) or datetime.datetime.fromisoformat(text))
    except (ValueError, OverflowError):
        raise bad_request("must be a moment: 20260504103000+0100, 20260504, or 2026-05-04T10:30:00Z.", name) from None


def _date_time(text: str) -> datetime.datetime | None:
    """Return a moment as DICOM writes it; None when it is written otherwise."""
    found = _DATE_TIME.fullmatch(text)
    if found is None:
        return None
    *parts, fraction, offset = found.groups()
    if fraction and parts[-1] is None:
        return None
    year, month, day, *clock = (int(part) if part else None for part in parts)
    zone = datetime.datetime.strptime(offset, "%z").tzinfo if offset else None
    hour, minute, second = (number or 0 for number in clock)
    micro = int((fraction or "").ljust(6, "0"))
    return datetime.datetime(year or 0, month or 1, day or 1, hour, minute, second, micro, zone)


def _aware(found: datetime.datetime) -> datetime.datetime:
    aware = found if found.tzinfo else timezone.make_aware(found)
    return aware.astimezone(datetime.UTC)
