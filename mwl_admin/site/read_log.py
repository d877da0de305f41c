"""Noting who opened whose record, where the department asks for it.

A line names the person, the page and the patient IDs that it showed, never names. The API is left out: its clients are
systems, and its access log tells what they asked for.
"""

from collections.abc import Iterable
from datetime import timedelta

from django.conf import settings
from django.db.models import Model
from django.http import HttpRequest
from django.utils import timezone

from mwl_admin.models import (
    Patient,
    PatientRead,
    PerformedProcedureStep,
    ReceivedStudy,
    RequestedProcedure,
    ScheduledProcedureStep,
    StudyNotice,
    WorklistDelivery,
)
from mwl_admin.models.reading import SEPARATOR

LONGEST = 500
"""Patient IDs that a line tells; a longer list is cut, and its length told."""
AGAIN = timedelta(hours=1)
"""For how long a page that only shows anew what it has shown is the same read."""


_OWNERS: dict[type[Model], str] = {
    RequestedProcedure: "patient",
    ScheduledProcedureStep: "requested_procedure",
    WorklistDelivery: "step",
    StudyNotice: "study",
}
"""Where the patient of a record is found."""
_UIDS: dict[type[Model], str] = {
    Patient: "patient_id",
    PerformedProcedureStep: "sop_instance_uid",
    ReceivedStudy: "study_instance_uid",
}


def note(request: HttpRequest, patient: Patient, page: str) -> None:
    """Record that this account has opened a page with this patient's data."""
    _write(request, page, [patient.patient_id], patient)


def note_all(request: HttpRequest, page: str, identifiers: Iterable[str], *, again: bool = False) -> None:
    """Record that this account has seen these patients on one page.

    ``identifiers`` is read only where reads are recorded (``RECORD_PATIENT_READS``). ``again``: the page refreshes
    itself, which counts as a read only when it shows another patient than before.
    """
    if not settings.RECORD_PATIENT_READS:
        return
    found = list(dict.fromkeys(filter(None, identifiers)))
    if found and not (again and _has_seen(request, page, found)):
        _write(request, page, found)


def is_of_patient(record: Model) -> bool:
    """Whether a record is one of a patient, or of what was done for one."""
    return type(record) in _OWNERS or type(record) in _UIDS


def identifier(record: Model) -> str:
    """Return the patient ID that a record is of; where it has none, its own UID."""
    while (owner := _OWNERS.get(type(record))) is not None:
        record = getattr(record, owner)
    return str(getattr(record, "patient_id", "") or getattr(record, _UIDS[type(record)]))


def _has_seen(request: HttpRequest, page: str, identifiers: list[str]) -> bool:
    lately = PatientRead.objects.filter(user=request.user.pk, page=page, read_at__gte=timezone.now() - AGAIN)
    seen = {one for text in lately.values_list("patient_identifiers", flat=True)[:50] for one in text.split(SEPARATOR)}
    return seen.issuperset(identifiers[:LONGEST])


def _write(request: HttpRequest, page: str, identifiers: list[str], patient: Patient | None = None) -> None:
    if settings.RECORD_PATIENT_READS and request.user.is_authenticated:
        PatientRead.objects.create(
            user=request.user,
            user_name=request.user.get_username(),
            patient=patient,
            patient_identifiers=SEPARATOR.join(identifiers[:LONGEST]),
            records=len(identifiers),
            page=page,
        )
