"""What was done in a downtime, with its real times: entered by the desk where no modality could report it."""

from __future__ import annotations

import datetime
from collections.abc import Iterator
from typing import Any

from django.db import transaction
from django.db.models import F
from django.utils import timezone
from django.utils.translation import gettext as _

from mwl_admin.exceptions import TransitionError
from mwl_admin.models import DowntimeRecord, PerformedProcedureStep, ScheduledProcedureStep, StepStatus
from mwl_admin.models.base import history_reason
from mwl_admin.models.status import OPEN, unlawful


def problems(
    start: datetime.datetime | None, end: datetime.datetime | None, now: datetime.datetime | None = None
) -> Iterator[tuple[str, str]]:
    """Yield the field and what is wrong with it: nothing was done in the future, and nothing ended before it began."""
    now = now or timezone.now()
    if start and start > now:
        yield "start", _("That lies in the future.")
    if end and end > now:
        yield "end", _("That lies in the future.")
    if start and end and end <= start:
        yield "end", _("The end must be after the start.")


def refusal(step: ScheduledProcedureStep) -> str:
    """Return why no times can be entered for a step; empty when they can."""
    if PerformedProcedureStep.objects.counted_for(step).exists():
        return _("The modality has reported this examination itself: its own times stand.")
    if step.status not in OPEN | {StepStatus.COMPLETED}:
        return str(unlawful(step.status, StepStatus.COMPLETED))
    return ""


def enter(step: ScheduledProcedureStep, start: datetime.datetime, end: datetime.datetime, user: Any) -> DowntimeRecord:
    """Complete a step that was done in a downtime, and keep its times; those entered before are corrected.

    What a modality reports later is kept beside them, and its own times then stand for the step.

    :raises TransitionError: the step was cancelled or discontinued, or a modality has reported it.
    """
    with transaction.atomic(), history_reason(_("done in a downtime")):
        locked = ScheduledProcedureStep.objects.select_for_update(no_key=True).get(pk=step.pk)
        refused = refusal(locked)
        if refused:
            raise TransitionError(refused)
        if locked.status in OPEN:
            locked.transition(StepStatus.COMPLETED)
        else:
            # the step is what others follow, and it shows these times
            ScheduledProcedureStep.objects.filter(pk=step.pk).update(
                version=F("version") + 1, updated_at=timezone.now()
            )
        record = DowntimeRecord.objects.select_for_update().filter(step=locked).first() or DowntimeRecord(step=locked)
        record.performed_start_at, record.performed_end_at = start, end
        record.entered_by_id = getattr(user, "pk", None)
        record.save()
    step.refresh_from_db(fields=["status", "previous_status", "version", "updated_at"])
    return record
