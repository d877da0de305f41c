"""The patient of an entry from outside, as the rule of identity sees it."""

from __future__ import annotations

import datetime
from collections.abc import Iterator, Mapping
from typing import Any

from django.utils.translation import gettext as _

from mwl_admin.entries import values
from mwl_admin.entries.problems import Problem
from mwl_admin.fields import normalise
from mwl_admin.models import Patient
from mwl_admin.models.prepared import Prepared
from mwl_admin.patients import identity

MERGED = "merged"
"""Code of a patient ID that is no longer in use."""


def out_of_use() -> str:
    """Return why nobody is entered under a patient ID that became another, in words for staff."""
    return _("is no longer in use: it was corrected, or its record was merged into another.")


def told(given: Mapping[str, Any], known: Patient | None = None) -> identity.Demographics:
    """Return who an entry says that it is about; ``known`` stands in for ID and issuer where it gives neither.

    An ID without an issuer is the department's. What can't be read is as absent: that it is wrong is told elsewhere.
    """
    patient_id, issuer = _text(given, "PatientID"), _text(given, "IssuerOfPatientID")
    if known is not None and not patient_id:
        patient_id, issuer = known.patient_id, issuer or known.issuer_of_patient_id
    return identity.Demographics(
        patient_id,
        issuer,
        _text(given, "PatientName"),
        _date(given.get("PatientBirthDate")),
        _text(given, "PatientSex"),
    )


def _text(given: Mapping[str, Any], keyword: str) -> str:
    return str(given.get(keyword) or "").strip(" ")


def _date(value: Any) -> Any:
    try:
        return values.date(value) if value else None
    except ValueError:
        return None


_ALIKE = Prepared(
    lambda name, born, patient_id, issuer: (
        Patient.objects.filter(name_folded=name, patient_birth_date=born)
        .exclude(patient_id=patient_id, issuer_of_patient_id=issuer)
        .order_by("pk")
        .values_list("patient_id")[:3]
    ),
    str,
    datetime.date,
    str,
    str,
)


def entered_twice(patient: Patient) -> Iterator[Problem]:
    """Yield a note for each record of the same name and birth date that has another patient ID."""
    patient.prepare([patient])
    if not patient.name_folded or patient.patient_birth_date is None:
        return
    own = (normalise(patient.patient_id), normalise(patient.issuer_of_patient_id))
    for (other,) in _ALIKE.rows(patient.name_folded, patient.patient_birth_date, *own):
        text = _("is perhaps the person of patient ID %(id)s: name and birth date are the same.")
        yield Problem("PatientID", text % {"id": other}, "entered_twice")
