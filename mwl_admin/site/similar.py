"""Patients who may be the same person, entered twice."""

import datetime
from difflib import SequenceMatcher

from django.db.models import Q

from gateway_link import names
from mwl_admin.models import Patient

ALIKE = 0.72
"""From this ratio on two names are similar (1.0 is the same): Meyer and Maier are, Meyer and Smith are not."""
_LOOKED_AT = 300


def probable_duplicates(
    family_name: str, given_name: str, birth_date: datetime.date | None, patient_id: str = ""
) -> list[Patient]:
    """Return those with the same birth date and a similar name, the same patient ID, or the very same name.

    The same name with two different birth dates is two people.
    """
    wanted = names.folded(names.join((family_name, given_name)))
    condition = Q(patient_id__iexact=patient_id.strip()) if patient_id.strip() else Q(pk__in=())
    if wanted:
        condition |= Q(name_folded=wanted)
    if birth_date:
        condition |= Q(patient_birth_date=birth_date)
    found = []
    for patient in Patient.objects.filter(condition)[:_LOOKED_AT]:
        known = patient.patient_birth_date
        if (patient_id.strip() and patient.patient_id.lower() == patient_id.strip().lower()) or (
            wanted and (known is None or birth_date is None or known == birth_date) and _alike(wanted, patient)
        ):
            found.append(patient)
    return found[:10]


def _alike(wanted: str, patient: Patient) -> bool:
    known = patient.name_folded
    swapped = "^".join(reversed(known.split("^")[:2]))
    return max(_ratio(wanted, known), _ratio(wanted, swapped)) >= ALIKE


def _ratio(one: str, other: str) -> float:
    return SequenceMatcher(None, one, other).ratio()
