"""Cancelling what another system has ordered: the waiting steps of an entry, or one of them."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from django.db import transaction
from django.utils.translation import gettext as _

from mwl_admin.entries import entry_attributes, fair_lock
from mwl_admin.entries.problems import ConflictError, Problem, UnknownEntryError
from mwl_admin.entries.steps import StepWriter
from mwl_admin.models import RequestedProcedure, ScheduledProcedureStep
from mwl_admin.models.base import history_reason
from mwl_admin.models.status import WAITING


def cancel(
    accession_number: str,
    step_id: str = "",
    *,
    source: str = "",
    reason: str = "",
    before: Callable[[], None] = lambda: None,
) -> list[str]:
    """Cancel the waiting steps of an entry, or the one named; return the IDs of those that were cancelled now.

    What is cancelled already stays so.

    :raises UnknownEntryError: there is no such entry, or no such step in it.
    :raises ConflictError: a step has started, or has ended otherwise.
    """
    with fair_lock.writing(), transaction.atomic(), history_reason(source):
        before()
        order = RequestedProcedure.objects.select_for_update().filter(accession_number=accession_number).first()
        if order is None or not accession_number:
            raise UnknownEntryError([Problem("AccessionNumber", _("No entry has this accession number."), "unknown")])
        steps = order.scheduled_procedure_steps.select_for_update().order_by("pk")
        if step_id:
            steps = steps.filter(scheduled_procedure_step_id=step_id)
            if not steps:
                raise UnknownEntryError(
                    [Problem("ScheduledProcedureStepID", _("The entry has no step of this ID."), "unknown")]
                )
        return _cancel(steps, reason)


def _cancel(steps: Iterable[ScheduledProcedureStep], reason: str) -> list[str]:
    waiting, past = [], []
    for step in steps:
        if step.status in WAITING:
            waiting.append(step)
        elif step.status != "CANCELLED":
            past.append(step)
    if past:
        raise ConflictError(
            Problem(
                entry_attributes.STATUS,
                _("Step %(id)s is %(status)s.")
                % {"id": step.scheduled_procedure_step_id, "status": step.get_status_display()},
                "status",
            )
            for step in past
        )
    for step in waiting:
        StepWriter.cancel(step, reason)
    return [step.scheduled_procedure_step_id for step in waiting]
