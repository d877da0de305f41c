"""The life of a scheduled procedure step, and which changes of its status are lawful."""

from django.db import models
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from mwl_admin.exceptions import TransitionError


class StepStatus(models.TextChoices):
    """The first four are defined terms of Scheduled Procedure Step Status (0040,0020); the others are ours."""

    SCHEDULED = "SCHEDULED", _("scheduled")
    ARRIVED = "ARRIVED", _("arrived")
    READY = "READY", _("ready")
    STARTED = "STARTED", _("started")
    COMPLETED = "COMPLETED", _("completed")
    DISCONTINUED = "DISCONTINUED", _("discontinued")
    CANCELLED = "CANCELLED", _("cancelled")


WAITING = frozenset({StepStatus.SCHEDULED, StepStatus.ARRIVED, StepStatus.READY})
OPEN = WAITING | {StepStatus.STARTED}
"""Steps that are on the worklist."""
ENDED = frozenset(StepStatus) - OPEN

SOURCES: dict[StepStatus, frozenset[StepStatus]] = {
    # Stages may be skipped: not every department notes arrivals, not every modality sends MPPS.
    StepStatus.ARRIVED: frozenset({StepStatus.SCHEDULED}),
    StepStatus.READY: frozenset({StepStatus.SCHEDULED, StepStatus.ARRIVED}),
    StepStatus.STARTED: WAITING,
    StepStatus.COMPLETED: OPEN,
    StepStatus.DISCONTINUED: OPEN,
    StepStatus.CANCELLED: WAITING,
}
"""From which statuses each status may be reached; SCHEDULED only by undoing."""


def unlawful(current: str, target: StepStatus) -> TransitionError:
    """The refusal of a change from ``current`` to ``target``."""
    return TransitionError(
        gettext("A step that is %(current)s can't become %(target)s.")
        % {"current": StepStatus(current).label, "target": target.label}
    )
