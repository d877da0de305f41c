"""The life of a scheduled procedure step, and which changes of its status are lawful."""

from django.db import models

from mwl_admin.exceptions import TransitionError


class StepStatus(models.TextChoices):
    """The first four are defined terms of Scheduled Procedure Step Status (0040,0020); the others are ours."""

    SCHEDULED = "SCHEDULED", "scheduled"
    ARRIVED = "ARRIVED", "arrived"
    READY = "READY", "ready"
    STARTED = "STARTED", "started"
    COMPLETED = "COMPLETED", "completed"
    DISCONTINUED = "DISCONTINUED", "discontinued"
    CANCELLED = "CANCELLED", "cancelled"


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
    return TransitionError(f"A step that is {StepStatus(current).label} can't become {target.label}.")
