"""What a caller may see, whatever it asks for: the department's rules and the station's profile, as conditions."""

from __future__ import annotations

import datetime
from collections.abc import Iterator

from django.db.models import Q
from django.utils.translation import gettext_noop

from mwl_admin.models.status import OPEN, StepStatus
from mwl_admin.worklist.directory import StationEntry
from mwl_admin.worklist.identifier import Identifier
from mwl_admin.worklist.matching import NOTHING, Condition, is_undated, stations_q
from mwl_admin.worklist.policy import Policy
from mwl_admin.worklist.spans import moments_around


def conditions(
    identifier: Identifier,
    caller: StationEntry | None,
    policy: Policy,
    now: datetime.datetime,
    address: str,
    *,
    calling_ae: str,
) -> Iterator[Condition]:
    """Yield the rules that hold for this caller's query; ``now`` is the department's wall clock."""
    if policy.hide_ended:
        yield Condition(gettext_noop("finished and cancelled steps are hidden"), Q(status__in=sorted(OPEN)))
    if not policy.offer_started:
        yield Condition(
            gettext_noop("steps that another station has started are not offered"), _not_started_by_another(calling_ae)
        )
    if policy.default_days is not None and is_undated(identifier):
        first, last = (now.date() + datetime.timedelta(days=days) for days in policy.default_days)
        yield Condition(gettext_noop("days that a query without a date sees"), Q(scheduled_date__range=(first, last)))
    if caller is None:
        if not policy.unknown_see:
            yield Condition(gettext_noop("the calling AE title belongs to no station"), NOTHING)
        return
    yield from profile(caller, policy, now, address)


def _not_started_by_another(calling_ae: str) -> Q:
    own = calling_ae.strip(" ")
    return (
        ~Q(status=StepStatus.STARTED)
        | Q(started_by=None)
        | Q(started_by__calling_ae_title=own)
        | Q(started_by__performed_station_ae_title=own)
    )


def profile(caller: StationEntry, policy: Policy, now: datetime.datetime, address: str) -> Iterator[Condition]:
    """Yield what holds for a station whatever it asks, and by whichever door (the HTTP API too)."""
    if not caller.enabled:
        yield Condition(gettext_noop("the station is switched off"), NOTHING)
        return
    if address and not caller.expects(address):
        yield Condition(gettext_noop("the station calls from an address where it is not expected"), NOTHING)
        return
    if policy.own_only:
        yield Condition(
            gettext_noop("a station sees its own steps, and its modality's that have no station"), stations_q([caller])
        )
    elif caller.station_ae_key == "OWN":
        yield Condition(gettext_noop("the station's profile asks for its own AE title"), stations_q([caller]))
    if caller.days_back is not None or caller.days_ahead is not None:
        yield Condition(gettext_noop("days that the station sees"), _days(caller, now.date()))
    if caller.hours_back is not None or caller.hours_ahead is not None:
        back, ahead = _hours(caller.hours_back), _hours(caller.hours_ahead)
        yield Condition(gettext_noop("hours that the station sees"), moments_around(now, back, ahead))


def _days(caller: StationEntry, today: datetime.date) -> Q:
    q = Q()
    if caller.days_back is not None:
        q &= Q(scheduled_date__gte=today - datetime.timedelta(days=caller.days_back))
    if caller.days_ahead is not None:
        q &= Q(scheduled_date__lte=today + datetime.timedelta(days=caller.days_ahead))
    return q


def _hours(hours: int | None) -> datetime.timedelta | None:
    return None if hours is None else datetime.timedelta(hours=hours)
