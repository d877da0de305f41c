"""Free times of a station, by the usual duration of what is booked."""

import datetime
from collections.abc import Iterable, Iterator

from django.conf import settings

from mwl_admin.models import ScheduledProcedureStep, Station
from mwl_admin.models.status import OPEN

DEFAULT_MINUTES = 15
"""How long a step takes whose procedure is not in the catalogue."""
OFFERED = 10
_GRID = 5

Busy = tuple[datetime.datetime, datetime.datetime]


def free(
    station: Station, day: datetime.date, minutes: int, now: datetime.datetime, *, count: int = OFFERED
) -> list[datetime.time]:
    """Return times at which ``minutes`` are free, within the department's hours and not before ``now``."""
    opening, closing = settings.DEPARTMENT_HOURS
    start = datetime.datetime.combine(day, opening)
    if day < now.date():
        return []
    if day == now.date():
        start = max(start, _rounded_up(now))
    end = datetime.datetime.combine(day, closing)
    found: list[datetime.time] = []
    for moment in _gaps(booked(station, day), start, end, datetime.timedelta(minutes=minutes)):
        found.append(moment.time())
        if len(found) == count:
            break
    return found


def booked(station: Station, day: datetime.date) -> list[Busy]:
    """Return from when to when the station is booked, by start."""
    steps = ScheduledProcedureStep.objects.filter(stations=station, scheduled_date=day, status__in=OPEN).values_list(
        "scheduled_time", "requested_procedure__procedure__usual_minutes"
    )
    spans = []
    for start, minutes in steps.order_by("scheduled_time"):
        first = datetime.datetime.combine(day, start)
        spans.append((first, first + datetime.timedelta(minutes=minutes or DEFAULT_MINUTES)))
    return spans


def _gaps(
    busy: Iterable[Busy], start: datetime.datetime, end: datetime.datetime, length: datetime.timedelta
) -> Iterator[datetime.datetime]:
    moment = start
    for first, last in [*busy, (end, end)]:
        while moment + length <= min(first, end):
            yield moment
            moment += length
        moment = max(moment, _rounded_up(last))


def _rounded_up(moment: datetime.datetime) -> datetime.datetime:
    whole = moment.replace(second=0, microsecond=0)
    if whole < moment:
        whole += datetime.timedelta(minutes=1)
    return whole + datetime.timedelta(minutes=-whole.minute % _GRID)
