"""Noting who opened whose record, where the department asks for it."""

from django.conf import settings
from django.http import HttpRequest

from mwl_admin.models import Patient, PatientRead


def note(request: HttpRequest, patient: Patient, page: str) -> None:
    """Note that this person has opened a page with this patient's data."""
    if settings.RECORD_PATIENT_READS and request.user.is_authenticated:
        PatientRead.objects.create(
            user=request.user,
            user_name=request.user.get_username(),
            patient=patient,
            patient_identifier=patient.patient_id,
            page=page,
        )
