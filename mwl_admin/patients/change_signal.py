"""A patient's record became another, or an order became another patient's: the one place where that is told.

Whoever has to follow, such as the receiver's stored studies (IHE RAD, Patient Information Reconciliation), connects to
the signal. It is sent in the transaction of the change: what a receiver writes is there exactly when the change is, and
what it raises undoes the change.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from django.dispatch import Signal

from mwl_admin.patients.identity import Demographics

patient_changed = Signal()
"""Sent with ``change``, a :class:`PatientChange`."""


class ChangeKind(Enum):
    """What happened.

    UPDATED: the record, whose patient ID and issuer may have changed too. MERGED: the record ``before`` is no more, and
    all that was its is of ``after``. MOVED: the studies told are no longer of ``before``, who stays.
    """

    UPDATED = "updated"
    MERGED = "merged"
    MOVED = "moved"


@dataclass(frozen=True, slots=True)
class PatientChange:
    """``record`` is the primary key of the record that ``after`` is of.

    ``study_instance_uids`` are those of the orders that changed hands; none of an update.
    """

    kind: ChangeKind
    before: Demographics
    after: Demographics
    record: int
    study_instance_uids: tuple[str, ...] = ()


def tell(change: PatientChange) -> None:
    """Tell all who have to follow; to be called within the transaction of the change."""
    patient_changed.send(sender=PatientChange, change=change)
