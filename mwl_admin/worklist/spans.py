"""Scheduled start date and time: two attributes, one moment (PS3.4 §K.6.1.2.2), in the department's time or another."""

from __future__ import annotations

import datetime
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import reduce
from operator import or_
from zoneinfo import ZoneInfo

from django.db.models import Q

from mwl_admin.worklist.keys import Span

DATE = "ScheduledProcedureStepStartDate"
TIME = "ScheduledProcedureStepStartTime"

Dates = Sequence[Span[datetime.date]]
Times = Sequence[Span[datetime.time]]

_NO_SHIFT = datetime.timedelta()
_DAY = datetime.timedelta(days=1)
_NOON = datetime.timedelta(hours=12)
_TICK = datetime.timedelta(microseconds=1)
_LONGEST = 400 * _DAY
_FIRST = datetime.time.min
_LAST = datetime.time.max


@dataclass(frozen=True, slots=True)
class Zoned:
    """The department's time zone and its present moment, local and without zone."""

    zone: ZoneInfo
    now: datetime.datetime

    def asked_at(self, offset: datetime.timedelta | None) -> Asked:
        """Return what times at ``offset`` from UTC are here; None when the query's times are the department's own."""
        return Asked(self.zone, self.now, offset)


@dataclass(frozen=True, slots=True)
class Asked:
    """The time that a query's dates and times are in: the department's own, or one at ``offset`` from UTC."""

    zone: ZoneInfo
    now: datetime.datetime
    offset: datetime.timedelta | None

    def shift(self, moment: datetime.datetime | None = None) -> datetime.timedelta:
        """Return the difference between the query's UTC offset and the department's at ``moment``.

        Added to a moment of the query, it gives the department's local time. The department's offset depends on the day
        (daylight saving); a time without a date has no ``moment``, and today's offset counts.
        """
        if self.offset is None:
            return _NO_SHIFT
        if moment is None:
            return (self.now.replace(tzinfo=self.zone).utcoffset() or _NO_SHIFT) - self.offset
        try:
            asked = moment.replace(tzinfo=datetime.timezone(self.offset))
            return (asked.astimezone(self.zone).utcoffset() or _NO_SHIFT) - self.offset
        except OverflowError:
            return _NO_SHIFT  # the first and the last day of the calendar


def start_condition(dates: Dates, times: Times, asked: Asked) -> Iterator[tuple[str, Q]]:
    """Yield conditions on a step's start, each with the keyword of the key that it comes from."""
    if asked.offset is not None and dates:
        yield from _shifted(dates, times, asked)
    elif _is_one_span(dates, times):
        yield DATE, _moments(_low(dates[0], times[0]), _high(dates[0], times[0]))
    else:
        if dates:
            yield DATE, any_span("scheduled_date", dates)
        if times:
            yield (
                TIME,
                any_span("scheduled_time", [part for span in times for part in _shift_time(span, asked.shift())]),
            )


def _is_one_span(dates: Dates, times: Times) -> bool:
    return len(dates) == len(times) == 1 and dates[0].ranged and times[0].ranged


def _shifted(dates: Dates, times: Times, asked: Asked) -> Iterator[tuple[str, Q]]:
    """A day elsewhere is no day here: it becomes a span of moments."""
    day = Span(_FIRST, _LAST, ranged=True)
    whole = not times or _is_one_span(dates, times)
    if whole or all(not span.ranged for span in dates):
        q = Q(pk__in=())
        for span in dates:
            for time in times or (day,):
                q |= _moments(_here(_low(span, time), asked), _here(_high(span, time), asked))
        yield DATE, q
        return
    # A range of days, and a time on each of them: shifted spans of moments, and the shifted time in each.
    parts = [part for span in dates for part in _by_clock(_low(span, day), _high(span, day), asked)]
    moments = [_moments(_here(low, asked), _here(high, asked)) for low, high, _ in parts]
    if len({shift for _, _, shift in parts}) == 1:
        yield DATE, reduce(or_, moments)
        yield TIME, _shifted_times(times, parts[0][2])
        return
    clocks = [_shifted_times(times, shift) for _, _, shift in parts]
    yield DATE, reduce(or_, (q & clock for q, clock in zip(moments, clocks, strict=True)), Q(pk__in=()))


def _shifted_times(times: Times, shift: datetime.timedelta) -> Q:
    return any_span("scheduled_time", [part for span in times for part in _shift_time(span, shift)])


Part = tuple[datetime.datetime | None, datetime.datetime | None, datetime.timedelta]


def _by_clock(low: datetime.datetime | None, high: datetime.datetime | None, asked: Asked) -> Iterator[Part]:
    """Yield a range of days in parts, each under one clock of the department; a long or open one by its first day."""
    if low is None or high is None or high - low > _LONGEST:
        yield low, high, asked.shift(low or high)
        return
    start = low
    while start <= high:
        shift, end = asked.shift(start + _NOON), start
        while end <= high and asked.shift(end + _NOON) == shift:
            end += _DAY
        yield start, min(end - _TICK, high), shift
        start = end


def _here(moment: datetime.datetime | None, asked: Asked) -> datetime.datetime | None:
    return None if moment is None else _add(moment, asked.shift(moment))


def _low(date: Span[datetime.date], time: Span[datetime.time]) -> datetime.datetime | None:
    return None if date.low is None else datetime.datetime.combine(date.low, time.low or _FIRST)


def _high(date: Span[datetime.date], time: Span[datetime.time]) -> datetime.datetime | None:
    return None if date.high is None else datetime.datetime.combine(date.high, time.high or _LAST)


def _add(moment: datetime.datetime | None, shift: datetime.timedelta) -> datetime.datetime | None:
    if moment is None:
        return None
    try:
        return moment + shift
    except OverflowError:
        return moment  # the first and the last day of the calendar


def _moments(low: datetime.datetime | None, high: datetime.datetime | None) -> Q:
    """Return the condition that a start lies between two moments, written so that the date's index serves it."""
    q = Q()
    if low is not None and high is not None and low.date() == high.date():
        q &= Q(scheduled_date=low.date())
        if low.time() != _FIRST:
            q &= Q(scheduled_time__gte=low.time())
        return q & Q(scheduled_time__lte=high.time()) if high.time() != _LAST else q
    if low is not None:
        q &= Q(scheduled_date__gte=low.date())
        if low.time() != _FIRST:
            q &= Q(scheduled_date__gt=low.date()) | Q(scheduled_time__gte=low.time())
    if high is not None:
        q &= Q(scheduled_date__lte=high.date())
        if high.time() != _LAST:
            q &= Q(scheduled_date__lt=high.date()) | Q(scheduled_time__lte=high.time())
    return q


def moments_around(now: datetime.datetime, back: datetime.timedelta | None, ahead: datetime.timedelta | None) -> Q:
    """Return the condition that a start lies no longer before and after ``now`` than given; None is no limit."""
    return _moments(
        None if back is None else _add(now, -back),
        None if ahead is None else _add(now, ahead),
    )


def _shift_time(span: Span[datetime.time], shift: datetime.timedelta) -> Sequence[Span[datetime.time]]:
    if not shift:
        return (span,)
    low, high = _clock(span.low or _FIRST, shift), _clock(span.high or _LAST, shift)
    if low <= high:
        return (Span(low, high, ranged=True),)
    # What was one range of a day has midnight in it here.
    return (Span(low, None, ranged=True), Span(None, high, ranged=True))


def _clock(time: datetime.time, shift: datetime.timedelta) -> datetime.time:
    return (datetime.datetime.combine(datetime.date(2000, 1, 2), time) + shift).time()


def any_span(path: str, spans: Dates | Times) -> Q:
    """Return the condition that a date or time lies in one of ``spans``; every one does when there is none."""
    parts = [_span(path, span) for span in spans]
    return reduce(or_, parts) if parts else Q()


def _span(path: str, span: Span[datetime.date] | Span[datetime.time]) -> Q:
    if span.low is not None and span.low == span.high:
        return Q(**{path: span.low})
    q = Q()
    if span.low is not None:
        q &= Q(**{f"{path}__gte": span.low})
    if span.high is not None:
        q &= Q(**{f"{path}__lte": span.high})
    return q
