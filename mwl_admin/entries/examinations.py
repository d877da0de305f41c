"""What a modality has read under a step ID stays that examination, whichever way a change comes in.

The examination is the step's modality, description and protocol codes, and the description and code of its requested
procedure. What says nothing is no change: an attribute that was empty is filled where nothing else told what is to be
done. Case and spaces make no other examination, nor does another meaning of the same code.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Any

from django.conf import settings
from django.utils.translation import gettext

from mwl_admin.models import RequestedProcedure, ScheduledProcedureStep, StepStatus, WorklistDelivery

MODALITY = "Modality"
STEP = ("ScheduledProcedureStepDescription", "ScheduledProtocolCodeSequence")
ORDER = ("RequestedProcedureDescription", "RequestedProcedureCodeSequence")

Known = Mapping[str, Any]
"""Descriptions as text, codes as a set of pairs of value and scheme, by keyword."""


def changes(known: Known, told: Known) -> list[str]:
    """Return the keywords under which ``told`` is another examination than ``known``."""
    before = {keyword: _plain(value) for keyword, value in known.items()}
    after = {keyword: _plain(value) for keyword, value in told.items()}
    found = [MODALITY] if before.get(MODALITY, "") != after.get(MODALITY, "") else []
    for keywords in (STEP, ORDER):
        if any(before.get(keyword) for keyword in keywords):
            found += [keyword for keyword in keywords if before.get(keyword) != after.get(keyword)]
    return found


def _plain(value: Any) -> Any:
    return " ".join(value.split()).casefold() if isinstance(value, str) else frozenset(value or ())


def codes(*pairs: tuple[str, str]) -> frozenset[tuple[str, str]]:
    """Return codes as they are compared, by value and scheme."""
    return frozenset(pair for pair in pairs if any(pair))


def read_among(steps: Iterable[ScheduledProcedureStep]) -> frozenset[int]:
    """Return the primary keys of the steps that a modality has on its list.

    Where queries are not recorded, all must be taken for read.
    """
    known = frozenset(step.pk for step in steps if step.pk is not None)
    if not settings.RECORD_QUERIES or not known:
        return known
    return frozenset(WorklistDelivery.objects.filter(step__in=known).values_list("step_id", flat=True).distinct())


def standing(order: RequestedProcedure) -> list[ScheduledProcedureStep]:
    """Return the steps of an order that were read and are not cancelled: their examination is the order's."""
    steps = list(order.scheduled_procedure_steps.exclude(status=StepStatus.CANCELLED))
    read = read_among(steps)
    return [step for step in steps if step.pk in read]


def keep_cancelled(order: RequestedProcedure) -> None:
    """Leave no way back to the cancelled steps of an order that has become another examination."""
    cancelled = order.scheduled_procedure_steps.filter(status=StepStatus.CANCELLED)
    cancelled.exclude(previous_status="").update(previous_status="")


def refusal(keywords: Collection[str]) -> str:
    """Return why an examination stays, in words for staff and for other systems."""
    if {*keywords} & {*ORDER}:
        return gettext("A modality has this on its list: cancel its steps, and make others.")
    return gettext("A modality has this step on its list: cancel it, and make another.")
