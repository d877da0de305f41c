"""The rule of identity, by each way that an entry comes in."""

from __future__ import annotations

import datetime
from typing import Any

import pytest

from mwl_admin.entries.tables.files import Table
from mwl_admin.entries.tables.rows import TableReport, import_table
from mwl_admin.models import Patient, RequestedProcedure
from tests.api.bodies import ENTRY, WORKLIST, entry, problems
from tests.api.conftest import Caller, full_buckets, ris

__all__ = ["full_buckets", "ris"]

OTHERS = [
    ({"PatientName": "Doe^John"}, {"PatientName"}),
    ({"PatientName": "Müller^Anton"}, {"PatientName"}),
    ({"PatientBirthDate": "19710228"}, {"PatientBirthDate"}),
    ({"PatientSex": "M"}, {"PatientSex"}),
    ({"PatientName": "Doe^John", "PatientSex": "M"}, {"PatientName", "PatientSex"}),
]
SAME = [
    {"PatientName": "MULLER^ANNE"},
    {"PatientName": "Müller"},
    {"PatientBirthDate": ""},
    {"PatientSex": "", "PatientName": "Müller^Änne^^Dr"},
]


def refused_for(response: Any) -> set[str]:
    assert response.status_code == 409, response.content
    told = problems(response)
    assert told.pop("PatientID") == "other_patient"
    assert set(told.values()) <= {"differs"}
    return set(told)


def person() -> tuple[Any, ...]:
    patient = Patient.objects.get()
    return patient.patient_name, patient.patient_birth_date, patient.patient_sex


@pytest.mark.parametrize(("change", "differs"), OTHERS)
def test_another_person_is_refused_by_every_method_of_the_api(
    ris: Caller, change: dict[str, str], differs: set[str]
) -> None:
    ris.post(WORKLIST, entry())
    before = person()
    second = entry(**change, AccessionNumber="A-2")
    for refused in (
        ris.post(WORKLIST, second),
        ris.put(f"{WORKLIST}A-2", second),
        ris.post(WORKLIST, entry(**change)),
        ris.put(ENTRY, entry(**change)),
        ris.patch(ENTRY, change),
    ):
        assert refused_for(refused) == differs
    assert (person(), RequestedProcedure.objects.count()) == (before, 1)


@pytest.mark.parametrize("change", SAME)
def test_the_same_person_is_taken_and_loses_nothing(ris: Caller, change: dict[str, str]) -> None:
    ris.post(WORKLIST, entry())
    assert ris.post(WORKLIST, entry(**change, AccessionNumber="A-2")).status_code == 201
    assert ris.patch(ENTRY, change).status_code == 200
    # Who lost the given name, or the birth date, could be anybody next.
    assert refused_for(ris.put(ENTRY, entry(PatientName="Müller^Anton"))) == {"PatientName"}
    assert refused_for(ris.put(ENTRY, entry(PatientBirthDate="19710228"))) == {"PatientBirthDate"}
    assert refused_for(ris.put(ENTRY, entry(PatientSex="M"))) == {"PatientSex"}


def test_a_request_that_says_so_corrects_the_record_and_the_history_tells(ris: Caller) -> None:
    ris.post(WORKLIST, entry())
    corrected = ris.patch(f"{ENTRY}?update_patient=true", {"PatientName": "Meier^Änne", "PatientBirthDate": None})
    assert corrected.status_code == 200, corrected.content
    assert person() == ("Meier^Änne", None, "F")
    old = Patient.objects.get().history.order_by("history_id").first()
    assert (old.family_name, old.history_change_reason) == ("Müller", "API: RIS")


def test_an_absent_value_is_filled(ris: Caller) -> None:
    ris.post(WORKLIST, entry(PatientName="Müller", PatientBirthDate="", PatientSex=""))
    assert ris.post(WORKLIST, entry(AccessionNumber="A-2")).status_code == 201
    assert person() == ("Müller^Änne", datetime.date(1950, 7, 1), "F")
    assert refused_for(ris.post(WORKLIST, entry(AccessionNumber="A-3", PatientSex="M"))) == {"PatientSex"}


def test_an_id_that_stands_for_nobody_is_shared_by_no_two_who_are_not_surely_one(ris: Caller) -> None:
    vague = {"PatientID": "UNKNOWN", "PatientBirthDate": ""}
    assert ris.post(WORKLIST, entry(**vague)).status_code == 201
    assert ris.post(WORKLIST, entry(**vague)).status_code == 200
    assert refused_for(ris.post(WORKLIST, entry(**vague, AccessionNumber="A-2"))) == set()


def test_with_and_without_the_departments_issuer_it_is_one_record(ris: Caller, settings: Any) -> None:
    settings.PATIENT_ID_ISSUER = "HOSPITAL"
    ris.post(WORKLIST, entry())
    with_issuer = entry(IssuerOfPatientID="HOSPITAL", AccessionNumber="A-2")
    assert ris.post(WORKLIST, with_issuer).status_code == 201
    assert Patient.objects.count() == 1
    assert ris.post(WORKLIST, entry(IssuerOfPatientID="ELSEWHERE", AccessionNumber="A-3")).status_code == 201
    assert Patient.objects.count() == 2


GOOD = {
    "Accession number": "A-1",
    "Patient ID": "P-1001",
    "Family name": "Müller",
    "Given name": "Änne",
    "Birth date": "1950-07-01",
    "Sex": "F",
    "Date": "2026-05-04",
    "Time": "10:30",
    "Modality": "CT",
}


def imported(*rows: dict[str, str], **options: Any) -> TableReport:
    headings = list(rows[0])
    cells: list[tuple[int, list[Any]]] = [
        (number, [row.get(heading, "") for heading in headings]) for number, row in enumerate(rows, start=2)
    ]
    return import_table(Table(headings, cells), **options)


@pytest.mark.parametrize(
    ("change", "what"),
    [
        ({"Family name": "Doe"}, "name"),
        ({"Given name": "Anton", "Sex": "M"}, "name, sex"),
        ({"Birth date": "1971-02-28"}, "birth date"),
        ({"Sex": "M"}, "sex"),
    ],
)
@pytest.mark.django_db
def test_a_row_of_another_person_is_wrong_in_the_file_as_against_the_records(change: dict[str, str], what: str) -> None:
    other = {**GOOD, "Accession number": "A-2", **change}
    together = imported(GOOD, other)
    assert not together.applied
    assert [(row.number, row.problems) for row in together.rows if row.problems] == [
        (3, [("Patient ID", f"has another {what} in row 2.")])
    ]
    assert imported(GOOD).applied
    report = imported(other)
    assert not report.applied
    assert report.rows[0].problems == [("Patient ID", f"belongs to a patient with another {what}.")]
    assert imported(other, update_patients=True).applied


@pytest.mark.django_db
def test_who_is_entered_under_a_second_id_is_told() -> None:
    imported(GOOD)
    report = imported({**GOOD, "Accession number": "A-2", "Patient ID": "P-2"})
    assert report.applied
    assert "patient ID P-1001" in report.rows[0].note
