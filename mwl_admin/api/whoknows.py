"""What a refusal tells of the patient that it is about: only to who may read that patient."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from django.http import HttpRequest

from mwl_admin.api.asked import client_of, reach_of
from mwl_admin.entries import entry_patients
from mwl_admin.entries.problems import DIFFERS, ConflictError, EntryError, Problem
from mwl_admin.models import Patient
from mwl_admin.patients import identity


def with_values(error: EntryError, request: HttpRequest) -> EntryError:
    """Return the refusal with what the record holds, where the client may read that record; else as it is."""
    if not isinstance(error, ConflictError) or error.record is None:
        return error
    patient = readable(request, error.record)
    return error if patient is None else ConflictError(_told(error, patient), error.record)


def readable(request: HttpRequest, record: int) -> Patient | None:
    """Return a record that the client may read."""
    if not client_of(request).can_read:
        return None
    return reach_of(request).patients().filter(pk=record).first()


def where(patient: Patient) -> list[Problem]:
    """Return where a former patient ID led to."""
    text = entry_patients.out_of_use()
    told = [Problem("PatientID", text, entry_patients.MERGED, known=patient.patient_id)]
    if patient.issuer_of_patient_id:
        told.append(Problem("IssuerOfPatientID", text, entry_patients.MERGED, known=patient.issuer_of_patient_id))
    return told


def _told(error: ConflictError, patient: Patient) -> Iterator[Problem]:
    person = identity.of_record(patient)
    values = {
        "PatientName": person.name,
        "PatientBirthDate": f"{person.birth_date:%Y%m%d}" if person.birth_date else "",
        "PatientSex": person.sex,
    }
    for problem in error.problems:
        if problem.code == entry_patients.MERGED:
            yield from where(patient)
        else:
            yield replace(problem, known=values.get(problem.attribute, "")) if problem.code == DIFFERS else problem
