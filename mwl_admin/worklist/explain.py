"""Why does my scanner not see the patient? Which key, or which rule, kept which entries out of a query.

A query is a list of named conditions (:mod:`mwl_admin.worklist.matching`, :mod:`mwl_admin.worklist.scope`); the
explanation takes them one by one, over the entries that staff would expect on the list.
"""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from dataclasses import dataclass
from zoneinfo import ZoneInfo

from django.conf import settings
from django.db.models import Q

from dicom_encoding.syntaxes import EXPLICIT_LITTLE
from mwl_admin.models import ScheduledProcedureStep, WorklistQuery
from mwl_admin.worklist.identifier import Identifier
from mwl_admin.worklist.jsonmodel import from_json
from mwl_admin.worklist.matching import Condition
from mwl_admin.worklist.policy import Policy
from mwl_admin.worklist.query import prepare
from mwl_admin.worklist.query_errors import QueryError

LISTED = 50
"""How many entries are named for a condition; the counts are always of all."""


@dataclass(frozen=True, slots=True)
class Effect:
    """What one condition does to the entries that were looked at.

    ``ruled_out`` is how many it does not let through, ``alone`` how many of those every other condition lets through:
    without this one they would be on the list. ``alone_pks`` are the first of these by start.
    """

    condition: Condition
    ruled_out: int
    alone: int
    alone_pks: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Missed:
    """An entry that is not found, and all the conditions that do not let it through."""

    pk: int
    conditions: tuple[Condition, ...]


@dataclass(frozen=True, slots=True)
class Explanation:
    """What became of the entries of a day: how many there are, how many match, and what each condition does.

    ``missed`` are the first of those that do not match, what the fewest conditions keep out before the others; none
    when only one entry is looked at. ``refused`` is the comment of the refusal when the query can't be answered at all.
    """

    day: datetime.date
    entries: int
    matches: int
    effects: tuple[Effect, ...]
    missed: tuple[Missed, ...] = ()
    refused: str = ""

    @property
    def culprits(self) -> tuple[Effect, ...]:
        """The conditions that by themselves kept entries out, the one that kept out most first."""
        return tuple(sorted((effect for effect in self.effects if effect.alone), key=lambda effect: -effect.alone))


def explain_recorded(
    recorded: WorklistQuery, policy: Policy, *, day: datetime.date | None = None, step: int | None = None
) -> Explanation:
    """Explain a recorded query over the entries of ``day``, by default the day on which it was sent.

    Rules that depend on the present moment are taken as they stood then; stations and entries as they are now. With
    ``step`` only that entry is looked at.
    """
    zone = ZoneInfo(settings.TIME_ZONE)
    moment = recorded.received_at.astimezone(zone).replace(tzinfo=None)
    return explain(
        from_json(recorded.keys),
        recorded.calling_ae_title,
        policy,
        now=moment,
        address=recorded.address or "",
        day=day,
        step=step,
    )


def explain(
    identifier: Identifier,
    calling_ae: str,
    policy: Policy,
    *,
    now: datetime.datetime,
    address: str = "",
    day: datetime.date | None = None,
    step: int | None = None,
) -> Explanation:
    """Explain what a query finds among the entries of ``day``, and by which condition it misses the others."""
    day = day or now.date()
    base = Q(pk=step) if step is not None else Q(scheduled_date=day)
    entries = _count(base)
    try:
        query = prepare(identifier, calling_ae, EXPLICIT_LITTLE, policy, now=now, address=address)
    except QueryError as error:
        return Explanation(day, entries, 0, (), refused=error.comment)
    conditions = query.conditions
    return Explanation(
        day,
        entries,
        _count(base, *(condition.q for condition in conditions)),
        tuple(_effect(base, entries, conditions, index) for index in range(len(conditions))),
        _missed(base, conditions) if step is None else (),
    )


def _effect(base: Q, entries: int, conditions: Sequence[Condition], index: int) -> Effect:
    condition = conditions[index]
    # A key and a rule may say the same (a station's own AE title): then either alone keeps nothing out.
    others = [other.q for place, other in enumerate(conditions) if place != index]
    passing = ScheduledProcedureStep.objects.filter(base, condition.q)
    kept_out = ScheduledProcedureStep.objects.filter(base, *others).exclude(pk__in=passing.order_by().values("pk"))
    alone = kept_out.count()
    return Effect(
        condition,
        entries - _count(base, condition.q),
        alone,
        tuple(kept_out.order_by("scheduled_date", "scheduled_time", "pk").values_list("pk", flat=True)[:LISTED])
        if alone
        else (),
    )


def _missed(base: Q, conditions: Sequence[Condition]) -> tuple[Missed, ...]:
    steps = ScheduledProcedureStep.objects.filter(base)
    passing = [set(steps.filter(condition.q).order_by().values_list("pk", flat=True)) for condition in conditions]
    found = [
        Missed(pk, tuple(condition for condition, passed in zip(conditions, passing, strict=True) if pk not in passed))
        for pk in steps.order_by("scheduled_date", "scheduled_time", "pk").values_list("pk", flat=True)
    ]
    return tuple(sorted((one for one in found if one.conditions), key=lambda one: len(one.conditions))[:LISTED])


def _count(*conditions: Q) -> int:
    return ScheduledProcedureStep.objects.filter(*conditions).count()
