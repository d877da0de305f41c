"""Remembers the old patient ID whenever a record gets another one, whoever changed it."""

from typing import Any

from mwl_admin.models import FormerPatientID, Patient
from mwl_admin.patients.change_signal import ChangeKind, PatientChange


def remember(change: PatientChange, **_: Any) -> None:
    """Note the old ID of an updated record; a merge notes its own."""
    before, after = change.before, change.after
    if change.kind is ChangeKind.UPDATED and (before.patient_id, before.issuer) != (after.patient_id, after.issuer):
        FormerPatientID.objects.note(before, Patient.objects.get(pk=change.record), merged=False)
