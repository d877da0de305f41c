"""A new entry is one page: patient, requested procedure, steps."""

from datetime import time
from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from mwl_admin.models import Patient, RequestedProcedure, ScheduledProcedureStep, StepStatus
from tests.factory import make_code, make_patient, make_procedure, make_requested, make_station, make_step
from tests.mwl_admin.pages import ADD_ENTRY, STEP, add_entry, errors, open_form

pytestmark = pytest.mark.django_db

CHANGE_ENTRY = "admin:mwl_admin_requestedprocedure_change"
NEW_PATIENT = {
    "new_patient_id": "P-2002",
    "new_family_name": "Doe",
    "new_given_name": "Jane",
    "new_patient_birth_date": "1970-02-28",
    "new_patient_sex": "F",
}


def test_an_entry_for_a_known_patient_is_added(browser: Client) -> None:
    patient = make_patient()
    response = add_entry(
        browser, patient=patient.pk, accession_number="ACC-7", step_modality="CT", step_scheduled_time="10:30"
    )
    assert response.status_code == 302
    step = ScheduledProcedureStep.objects.get()
    assert step.scheduled_date == timezone.localdate()
    assert step.scheduled_time == time(10, 30)
    assert step.requested_procedure.patient == patient
    assert step.requested_procedure.accession_number == "ACC-7"


@pytest.mark.parametrize("typed", ["08:05", "8:05", "08.05", "0805", "08:05:00"])
def test_a_time_may_be_typed_in_several_ways(browser: Client, typed: str) -> None:
    add_entry(browser, **NEW_PATIENT, step_modality="CT", step_scheduled_time=typed)
    assert ScheduledProcedureStep.objects.get().scheduled_time == time(8, 5)


def test_an_entry_with_a_new_patient_is_added(browser: Client) -> None:
    response = add_entry(browser, **NEW_PATIENT, step_modality="CT", step_scheduled_time="10:30")
    assert response.status_code == 302
    patient = ScheduledProcedureStep.objects.get().requested_procedure.patient
    assert patient.patient_name == "Doe^Jane"
    assert patient.patient_sex == "F"
    assert str(patient.patient_birth_date) == "1970-02-28"
    assert LogEntry.objects.filter(object_id=str(patient.pk), content_type__model="patient").count() == 1


def test_identifiers_left_empty_are_made(browser: Client) -> None:
    add_entry(browser, **NEW_PATIENT, step_modality="CT", step_scheduled_time="10:30")
    step = ScheduledProcedureStep.objects.get()
    assert step.scheduled_procedure_step_id
    assert step.requested_procedure.accession_number
    assert step.requested_procedure.requested_procedure_id
    assert step.requested_procedure.study_instance_uid.startswith("2.25.")


def test_picking_a_procedure_fills_the_rest(browser: Client) -> None:
    station = make_station()
    protocol = make_code("P1", coding_scheme_designator="99LOCAL", code_meaning="Thorax low dose")
    procedure = make_procedure(usual_station=station)
    procedure.protocol_codes.add(protocol)
    response = add_entry(browser, **NEW_PATIENT, procedure=procedure.pk, step_scheduled_time="10:30")
    assert response.status_code == 302, errors(response)
    step = ScheduledProcedureStep.objects.get()
    assert step.modality == "CT"
    assert step.scheduled_procedure_step_description == "CT thorax"
    assert list(step.stations.all()) == [station]
    assert list(step.protocol_codes.all()) == [protocol]
    assert step.requested_procedure.requested_procedure_description == "CT thorax"
    assert step.requested_procedure.code_value == "169069000"


def test_several_steps_and_several_stations_fit_one_entry(browser: Client) -> None:
    stations = [make_station(title, "US") for title in ("US1", "US2")]
    values = open_form(browser, ADD_ENTRY)
    second = {name.replace("-0-", "-1-"): value for name, value in values.items() if name.startswith(STEP)}
    values |= second | {
        "patient": make_patient().pk,
        "scheduled_procedure_steps-TOTAL_FORMS": 2,
        f"{STEP}scheduled_time": "10:30",
        f"{STEP}stations": [station.pk for station in stations],
        "scheduled_procedure_steps-1-scheduled_time": "11:00",
        "scheduled_procedure_steps-1-modality": "ct",
    }
    response = browser.post(reverse(ADD_ENTRY), values)
    assert response.status_code == 302, errors(response)
    first, other = ScheduledProcedureStep.objects.all()
    assert set(first.stations.all()) == set(stations)
    assert (first.modality, other.modality) == ("US", "CT")
    assert first.requested_procedure == other.requested_procedure


REFUSED: list[tuple[dict[str, Any], dict[str, str]]] = [
    ({"new_family_name": "Doe^Jane"}, {"new_family_name": "may not contain “^”"}),
    ({"new_patient_id": "a\\b"}, {"new_patient_id": "backslash"}),
    ({"new_patient_id": ""}, {"new_patient_id": "cannot be blank"}),
    ({"new_patient_id": "P-1001"}, {"new_patient_id": "exists already"}),
    ({"new_family_name": "x" * 40, "new_given_name": "y" * 40}, {"new_family_name": "81 characters"}),
    ({"new_patient_birth_date": "2999-01-01"}, {"new_patient_birth_date": "lies in the future"}),
    ({"new_patient_birth_date": "soon"}, {"new_patient_birth_date": "valid date"}),
    ({"accession_number": "x" * 17}, {"accession_number": "at most 16 characters"}),
    ({"accession_number": "TAKEN"}, {"__all__": "Another requested procedure has this accession number"}),
    ({"study_instance_uid": "1.02"}, {"study_instance_uid": "may begin with a zero"}),
    ({"referring_physician_name": "a=b=c=d"}, {"referring_physician_name": "at most three forms"}),
    ({"step_modality": ""}, {"step_modality": "Give the modality"}),
    ({"step_modality": "C-T"}, {"step_modality": "not “-”"}),
    ({"step_scheduled_time": "25:00"}, {"step_scheduled_time": "valid time"}),
    ({"step_scheduled_procedure_step_location": "a\\b"}, {"step_scheduled_procedure_step_location": "backslash"}),
    (dict.fromkeys(NEW_PATIENT, ""), {"patient": "Pick a patient, or enter a new one below."}),
]


def test_the_departments_issuer_makes_no_second_record(browser: Client, settings: Any) -> None:
    settings.PATIENT_ID_ISSUER = "HOSPITAL"
    make_patient(patient_id="P-2002", family_name="Doe", given_name="Jane")
    for given_name in ("Jane", "John"):
        values = {**NEW_PATIENT, "new_given_name": given_name, "new_issuer_of_patient_id": "HOSPITAL"}
        response = add_entry(browser, **values, step_modality="CT", step_scheduled_time="10:30")
        assert set(errors(response)) == {"new_patient_id"}
    assert Patient.objects.count() == 1


@pytest.mark.parametrize(("changes", "expected"), REFUSED)
def test_what_is_wrong_is_told_next_to_the_field_and_nothing_is_saved(
    browser: Client, changes: dict[str, Any], expected: dict[str, str]
) -> None:
    make_requested(accession_number="TAKEN")
    values = {**NEW_PATIENT, "step_modality": "CT", "step_scheduled_time": "10:30", **changes}
    response = add_entry(browser, **values)
    assert response.status_code == 200
    found = errors(response)
    assert set(found) == set(expected)
    for field, words in expected.items():
        assert len(found[field]) == 1
        assert words in found[field][0]
    assert Patient.objects.count() == RequestedProcedure.objects.count() == 1
    assert not ScheduledProcedureStep.objects.exists()


def test_a_known_and_a_new_patient_at_once_are_refused(browser: Client) -> None:
    response = add_entry(
        browser, **NEW_PATIENT, patient=make_patient().pk, step_modality="CT", step_scheduled_time="10:30"
    )
    assert errors(response) == {"patient": ["Either pick a patient here or enter a new one below, not both."]}


def test_an_entry_without_a_step_is_refused(browser: Client) -> None:
    response = add_entry(browser, **NEW_PATIENT, **{"scheduled_procedure_steps-TOTAL_FORMS": 0})
    assert response.status_code == 200
    assert not RequestedProcedure.objects.exists()


def test_an_entry_is_changed(browser: Client) -> None:
    step = make_step()
    entry = step.requested_procedure
    values = open_form(browser, CHANGE_ENTRY, entry.pk)
    values |= {"requested_procedure_description": "New words", f"{STEP}scheduled_time": "11:45"}
    response = browser.post(reverse(CHANGE_ENTRY, args=[entry.pk]), values)
    assert response.status_code == 302, errors(response)
    entry.refresh_from_db()
    step.refresh_from_db()
    assert entry.requested_procedure_description == "New words"
    assert step.scheduled_time == time(11, 45)
    assert (entry.version, step.version) == (2, 2)


def test_the_second_of_two_editors_is_told_and_overwrites_nothing(browser: Client) -> None:
    entry = make_step().requested_procedure
    stale = open_form(browser, CHANGE_ENTRY, entry.pk)
    fresh = {**stale, "requested_procedure_description": "First"}
    assert browser.post(reverse(CHANGE_ENTRY, args=[entry.pk]), fresh).status_code == 302
    response = browser.post(
        reverse(CHANGE_ENTRY, args=[entry.pk]), {**stale, "requested_procedure_description": "Second"}
    )
    assert response.status_code == 200
    assert "This entry was changed by anna at" in errors(response)["__all__"][0]
    entry.refresh_from_db()
    assert entry.requested_procedure_description == "First"


def test_a_step_that_a_modality_started_meanwhile_is_not_set_back(browser: Client) -> None:
    step = make_step()
    values = open_form(browser, "admin:mwl_admin_scheduledprocedurestep_change", step.pk)
    ScheduledProcedureStep.objects.filter(pk=step.pk).transition(StepStatus.STARTED)
    response = browser.post(
        reverse("admin:mwl_admin_scheduledprocedurestep_change", args=[step.pk]),
        {**values, "scheduled_time": "12:00"},
    )
    assert response.status_code == 200
    step.refresh_from_db()
    assert (step.status, step.scheduled_time) == ("STARTED", time(10, 30))


def test_saving_without_a_change_writes_nothing(browser: Client) -> None:
    step = make_step()
    entry = step.requested_procedure
    url = reverse(CHANGE_ENTRY, args=[entry.pk])
    assert browser.post(url, open_form(browser, CHANGE_ENTRY, entry.pk)).status_code == 302
    entry.refresh_from_db()
    step.refresh_from_db()
    assert (entry.version, step.version) == (1, 1)


def test_a_step_can_be_removed_and_another_added(browser: Client) -> None:
    entry = make_step().requested_procedure
    values = open_form(browser, CHANGE_ENTRY, entry.pk)
    values |= {
        "scheduled_procedure_steps-TOTAL_FORMS": 2,
        f"{STEP}DELETE": "on",
        "scheduled_procedure_steps-1-modality": "MR",
        "scheduled_procedure_steps-1-scheduled_date": "2026-05-06",
        "scheduled_procedure_steps-1-scheduled_time": "08:00",
        "scheduled_procedure_steps-1-requested_procedure": entry.pk,
    }
    response = browser.post(reverse(CHANGE_ENTRY, args=[entry.pk]), values)
    assert response.status_code == 302, errors(response)
    assert [step.modality for step in entry.scheduled_procedure_steps.all()] == ["MR"]
