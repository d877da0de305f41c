"""The patient of an entry from outside, as the rule of identity sees it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from django.utils.translation import gettext as _

from mwl_admin import identity
from mwl_admin.exchange import values
from mwl_admin.exchange.problems import Problem
from mwl_admin.models import Patient


def told(given: Mapping[str, Any], known: Patient | None = None) -> identity.Person:
    """Return who an entry says that it is about; ``known`` stands in for ID and issuer where it gives neither.

    An ID without an issuer is the department's. What can't be read is as absent: that it is wrong is told elsewhere.
    """
    patient_id, issuer = _text(given, "PatientID"), _text(given, "IssuerOfPatientID")
    if known is not None and not patient_id:
        patient_id, issuer = known.patient_id, issuer or known.issuer_of_patient_id
    return identity.Person(
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


def entered_twice(patient: Patient) -> Iterator[Problem]:
    """Yield a note for each record of the same name and birth date that has another patient ID."""
    patient.prepare([patient])
    if not patient.name_folded or patient.patient_birth_date is None:
        return
    others = Patient.objects.filter(
        name_folded=patient.name_folded, patient_birth_date=patient.patient_birth_date
    ).exclude(patient_id=patient.patient_id, issuer_of_patient_id=patient.issuer_of_patient_id)
    for other in others.order_by("pk").values_list("patient_id", flat=True)[:3]:
        text = _("is perhaps the person of patient ID %(id)s: name and birth date are the same.")
        yield Problem("PatientID", text % {"id": other}, "entered_twice")
