"""What helps with an entry: duplicates, catalogue, free times, copies, moving, merging, pre-flight."""

from datetime import date, datetime, time, timedelta
from typing import Any

import pytest
from django.contrib.messages import get_messages
from django.test import Client
from django.urls import reverse

from mwl_admin.models import Patient, PatientRead, RequestedProcedure, ScheduledProcedureStep, StepStatus
from mwl_admin.site import preflight, slots
from mwl_admin.site.similar import probable_duplicates
from tests.clock import TOMORROW
from tests.factory import make_patient, make_procedure, make_requested, make_station, make_step
from tests.mwl_admin.pages import ADD_ENTRY, STEP, add_entry, errors, form_values
from tests.site.markup import markup

pytestmark = pytest.mark.django_db
BORN = date(1950, 7, 1)


@pytest.mark.parametrize(
    ("family", "given", "born", "found"),
    [
        ("Mueller", "Anne", BORN, True),
        ("MULLER", "ÄNNE", BORN, True),
        ("Änne", "Müller", BORN, True),
        ("Müller", "Änne", None, True),
        ("Müller", "Änne", BORN + timedelta(days=1), False),
        ("Smith", "Peter", BORN, False),
    ],
)
def test_similar_names_born_on_the_same_day_are_probably_one_person(
    family: str, given: str, born: date | None, found: bool
) -> None:
    patient = make_patient(patient_birth_date=BORN)
    assert probable_duplicates(family, given, born) == ([patient] if found else [])


def test_a_probable_duplicate_is_shown_while_typing_and_refused_until_confirmed(desk: Client) -> None:
    make_patient(patient_birth_date=BORN)
    typed = {"family_name": "Muller", "given_name": "Anne", "birth_date": "01/07/1950"}
    assert "P-1001" in desk.get(reverse("similar_patients"), typed).content.decode()
    values = {
        "new_patient_id": "P-2",
        "new_family_name": "Muller",
        "new_given_name": "Anne",
        "new_patient_birth_date": "01/07/1950",
        "step_modality": "CT",
        "step_scheduled_time": "10:30",
    }
    found = errors(add_entry(desk, **values))
    assert "Perhaps known already: Müller, Änne (P-1001)" in found["new_family_name"][0]
    assert add_entry(desk, **values, is_another_person="on").status_code == 302
    assert Patient.objects.count() == 2


def test_the_catalogue_tells_what_it_fills_in(desk: Client) -> None:
    procedure = make_procedure(usual_station=make_station(), usual_minutes=20)
    told = desk.get(reverse("entry_procedure", args=[procedure.pk])).json()
    assert (told["modality"], told["minutes"], told["station"]["text"]) == ("CT", 20, "CT1 (CT room 1)")


def test_free_times_leave_out_what_is_booked_by_its_duration() -> None:
    station = make_station()
    entry = make_requested(procedure=make_procedure(usual_minutes=40))
    make_step(entry, scheduled_date=TOMORROW, scheduled_time=time(8, 20)).stations.add(station)
    cancelled = make_step(entry, scheduled_date=TOMORROW, scheduled_time=time(9, 0), status="CANCELLED")
    cancelled.stations.add(station)
    now = datetime.combine(TOMORROW - timedelta(days=1), time(12))
    assert slots.free(station, TOMORROW, 20, now, count=3) == [time(8, 0), time(9, 0), time(9, 20)]
    later = datetime.combine(TOMORROW, time(9, 3))
    assert slots.free(station, TOMORROW, 20, later, count=1) == [time(9, 5)]
    assert slots.free(station, TOMORROW, 20, later + timedelta(days=1)) == []
    assert slots.free(station, TOMORROW, 20, datetime.combine(TOMORROW, time(17, 50))) == []


def test_free_times_are_offered_for_the_stations_of_the_modality(desk: Client) -> None:
    make_station()
    make_station("CT2")
    make_station("MR1", "MR")
    page = desk.get(reverse("free_slots"), {"date": TOMORROW.strftime("%d/%m/%Y"), "modality": "ct"}).content.decode()
    assert page.count('data-slot="08:00"') == 2
    assert desk.get(reverse("free_slots"), {"date": "", "station": "x", "procedure": "y"}).status_code == 200


def test_a_copy_starts_with_everything_but_identifiers_and_times(desk: Client) -> None:
    station = make_station()
    source = make_requested(requested_procedure_description="CT thorax", referring_physician_name="House^Gregory")
    make_step(source, scheduled_procedure_step_description="first").stations.add(station)
    make_step(source, scheduled_procedure_step_description="second")
    values = form_values(desk.get(reverse(ADD_ENTRY), {"copy": source.pk}))
    assert values["patient"] == str(source.patient_id)
    assert (values["accession_number"], values[f"{STEP}scheduled_time"]) == ("", "")
    values |= {f"{STEP}scheduled_time": "10:30", "scheduled_procedure_steps-1-scheduled_time": "11:00"}
    response = desk.post(reverse(ADD_ENTRY), values)
    assert response.status_code == 302, errors(response)
    copy = RequestedProcedure.objects.exclude(pk=source.pk).get()
    assert copy.accession_number != source.accession_number
    assert copy.referring_physician_name == "House^Gregory"
    first, second = copy.scheduled_procedure_steps.order_by("scheduled_time")
    assert (first.scheduled_procedure_step_description, second.scheduled_procedure_step_description) == (
        "first",
        "second",
    )
    assert list(first.stations.all()) == [station]


def move(client: Client, *steps: ScheduledProcedureStep, **to: Any) -> Any:
    values: dict[str, Any] = {"step": [step.pk for step in steps], **to}
    return client.post(reverse("reschedule"), values | {f"version-{step.pk}": step.version for step in steps})


def test_several_steps_are_moved_at_once_and_keep_their_distance(desk: Client) -> None:
    entry, station = make_requested(), make_station()
    steps = [make_step(entry, scheduled_time=time(9)), make_step(entry, scheduled_time=time(10))]
    response = move(desk, *steps, date=TOMORROW.strftime("%d/%m/%Y"), later="30", station=station.pk)
    assert response.status_code == 302
    moved = ScheduledProcedureStep.objects.order_by("pk")
    assert [(step.scheduled_date, step.scheduled_time) for step in moved] == [
        (TOMORROW, time(9, 30)),
        (TOMORROW, time(10, 30)),
    ]
    assert all(list(step.stations.all()) == [station] for step in moved)


def test_what_was_changed_meanwhile_is_not_moved_but_told(desk: Client) -> None:
    step = make_step()
    stale = ScheduledProcedureStep.objects.get(pk=step.pk)
    step.transition(StepStatus.ARRIVED)
    response = move(desk, stale, date=TOMORROW.strftime("%d/%m/%Y"), time="10:30")
    assert "was changed meanwhile" in str(next(iter(get_messages(response.wsgi_request))))
    step.refresh_from_db()
    assert step.scheduled_date != TOMORROW


@pytest.mark.parametrize("to", [{}, {"date": "soon"}, {"time": "25:00"}])
def test_nowhere_and_nonsense_are_refused(desk: Client, to: dict[str, str]) -> None:
    response = move(desk, make_step(), **to)
    assert response.status_code == 200
    assert "errorlist" in markup(response)


def test_started_steps_are_not_offered_for_moving(desk: Client) -> None:
    step = make_step(status="STARTED")
    assert desk.get(reverse("reschedule"), {"step": step.pk}).status_code == 302


def test_the_list_leads_to_moving_many(desk: Client) -> None:
    entry = make_requested()
    steps = [make_step(entry), make_step(entry)]
    response = desk.post(
        f"{reverse('admin:mwl_admin_scheduledprocedurestep_changelist')}?day=all",
        {"action": "reschedule", "_selected_action": [step.pk for step in steps]},
    )
    assert all(f"step={step.pk}" in response["Location"] for step in steps)


@pytest.fixture
def twins() -> tuple[Patient, Patient]:
    kept = make_patient(patient_birth_date=BORN)
    other = make_patient(patient_id="P-2", family_name="Mueller", patient_birth_date=BORN, patient_sex="F")
    make_step(make_requested(other, accession_number="ACC-OTHER"))
    return kept, other


def merge_form(client: Client, kept: Patient, other: Patient) -> dict[str, Any]:
    page: Any = client.get(reverse("merge_patients", args=[kept.pk]), {"other": other.pk})
    html = markup(page)
    assert "ACC-OTHER" in html
    assert "taken over" in html
    return {
        "other": other.pk,
        "kept_version": kept.version,
        "other_version": other.version,
        "entries": len(page.context_data["entries"]),
    }


def test_two_records_are_merged_after_showing_what_moves(manager: Client, twins: tuple[Patient, Patient]) -> None:
    kept, other = twins
    assert "P-2" in manager.get(reverse("merge_patients", args=[kept.pk])).content.decode()
    values = merge_form(manager, kept, other)
    assert manager.post(reverse("merge_patients", args=[kept.pk]), values).status_code == 302
    assert RequestedProcedure.objects.get().patient == kept
    kept.refresh_from_db()
    assert (kept.patient_sex, kept.family_name) == ("F", "Müller")
    assert list(Patient.objects.all()) == [kept]


def test_a_merge_of_what_was_not_shown_is_refused(manager: Client, twins: tuple[Patient, Patient]) -> None:
    kept, other = twins
    values = merge_form(manager, kept, other)
    make_requested(other, accession_number="NEW")
    manager.post(reverse("merge_patients", args=[kept.pk]), values)
    assert Patient.objects.count() == 2


def test_pre_flight_tells_what_a_station_could_not_show() -> None:
    make_station("OLD", response_character_set="ISO_IR 6")
    step = make_step(patient=make_patient(), scheduled_procedure_step_description="CT")
    told = list(preflight.warnings(step))
    assert any("OLD can't show “Äü” in the name" in text for text in told)
    assert any("neither a description nor a code" in text for text in told)


def test_pre_flight_is_silent_where_all_is_well() -> None:
    make_station(response_character_set="ISO_IR 6", transliterate_names=True)
    entry = make_requested(requested_procedure_description="CT")
    step = make_step(entry, scheduled_procedure_step_description="CT")
    assert list(preflight.warnings(step)) == []


def test_pre_flight_speaks_when_an_entry_is_saved(desk: Client) -> None:
    make_station(response_character_set="ISO_IR 6")
    response = add_entry(desk, patient=make_patient().pk, step_modality="CT", step_scheduled_time="10:30")
    told = [str(message) for message in get_messages(response.wsgi_request)]  # type: ignore[attr-defined]
    assert any("can't show" in text for text in told)


def test_reads_of_records_are_noted_when_so_set(desk: Client, settings: Any) -> None:
    step = make_step()
    entry = reverse("admin:mwl_admin_requestedprocedure_change", args=[step.requested_procedure_id])
    desk.get(entry)
    assert not PatientRead.objects.exists()
    settings.RECORD_PATIENT_READS = True
    desk.get(entry)
    desk.get(reverse("admin:mwl_admin_patient_change", args=[step.requested_procedure.patient_id]))
    desk.get(reverse("step_delivery", args=[step.pk]))
    assert {(read.user_name, read.page) for read in PatientRead.objects.all()} == {
        ("reception", "entry"),
        ("reception", "patient"),
        ("reception", "delivery"),
    }
