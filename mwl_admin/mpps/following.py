"""From reports to the status of the scheduled steps that they are about."""

from __future__ import annotations

from collections.abc import Iterable

from mwl_admin.models import PerformedProcedureStep, ScheduledProcedureStep, StepStatus
from mwl_admin.models.performed import Doubt, PerformedStatus


def follow(performed: PerformedProcedureStep) -> None:
    """Bring the scheduled steps of a report to where their reports say they are."""
    steps = set(performed.scheduled_procedure_steps.values_list("pk", flat=True))
    lock(steps)
    _bring(steps)


def withdraw(performed: PerformedProcedureStep) -> None:
    """Take a report away from its scheduled steps, which it was not performed for, and have staff look at it.

    The steps are where their other reports say they are; without any they are on the worklist again (IHE RAD, exception
    management of the performed procedure step).
    """
    steps = set(performed.scheduled_procedure_steps.values_list("pk", flat=True))
    if not steps:
        return
    lock(steps)
    performed.scheduled_procedure_steps.clear()
    doubt(performed, steps, Doubt.WRONG_ENTRY)
    ScheduledProcedureStep.objects.filter(pk__in=steps, started_by=performed).update(started_by=None)
    _bring(steps)


def doubt(performed: PerformedProcedureStep, steps: Iterable[int], why: Doubt) -> None:
    """Have staff look at a report that names these steps and is not about them."""
    performed.doubted_steps.add(*steps)
    # Another patient is the graver of the two, and what staff have looked at once they have.
    PerformedProcedureStep.objects.filter(pk=performed.pk, doubt="").update(doubt=why)
    performed.refresh_from_db(fields=["doubt"])


def lock(steps: set[int]) -> None:
    """Hold scheduled steps until the transaction ends, always in the same order; before anything refers to them."""
    list(ScheduledProcedureStep.objects.filter(pk__in=steps).order_by("pk").select_for_update().values_list("pk"))


def _bring(steps: Iterable[int]) -> None:
    for step in ScheduledProcedureStep.objects.filter(pk__in=steps).order_by("pk"):
        row = ScheduledProcedureStep.objects.filter(pk=step.pk)
        counted = list(PerformedProcedureStep.objects.counted_for(step).order_by("pk"))
        by_status: dict[str, list[PerformedProcedureStep]] = {}
        for report in counted:
            by_status.setdefault(report.performed_procedure_step_status, []).append(report)
        if at_work := by_status.get(PerformedStatus.IN_PROGRESS):
            row.report_started(at_work[-1])
        elif PerformedStatus.COMPLETED in by_status:
            row.report_ended(StepStatus.COMPLETED)
        elif discontinued := by_status.get(PerformedStatus.DISCONTINUED):
            row.report_ended(StepStatus.DISCONTINUED, _reason(discontinued))
        else:
            row.report_withdrawn()


def _reason(discontinued: Iterable[PerformedProcedureStep]) -> str:
    """Return why, in what a column takes: all reasons that differ."""
    reasons = dict.fromkeys(report.discontinuation_reason for report in discontinued)
    return ", ".join(filter(None, reasons))[:64].strip()
