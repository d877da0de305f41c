"""The start page: what it shows, how it is narrowed, and what can be done on it."""

import re
from datetime import time, timedelta
from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse
from django.utils import timezone
from django.utils.html import escape

from mwl_admin.models import PerformedProcedureStep, ScheduledProcedureStep, StepStatus
from tests.factory import make_patient, make_requested, make_station, make_step
from tests.site.markup import markup

pytestmark = pytest.mark.django_db


def make_today(number: int = 1, *, family_name: str = "Doe", **values: Any) -> ScheduledProcedureStep:
    patient = make_patient(patient_id=f"P-{number}", family_name=family_name, given_name="Jane")
    entry = make_requested(patient, accession_number=f"ACC-{number}")
    return make_step(entry, **{"scheduled_date": timezone.localdate(), "scheduled_time": time(23, 59), **values})


def shown(client: Client, **query: str) -> str:
    response = client.get(reverse("today"), query)
    assert response.status_code == 200
    return markup(response).partition('<section id="list"')[2]


def test_steps_stand_under_their_station_by_time(desk: Client) -> None:
    ct1, ct2 = make_station(), make_station("CT2")
    make_today(1, family_name="Late", scheduled_time=time(23, 58)).stations.add(ct1)
    make_today(2, family_name="Early", scheduled_time=time(23, 50)).stations.add(ct1)
    make_today(3, family_name="Both").stations.add(ct1, ct2)
    make_today(4, family_name="Other").stations.add(ct2)
    make_today(5, family_name="Free")
    page = shown(desk)
    order = ["Early", "Late", "CT1, CT2", "Both", "CT room 2", "Other", "Any CT", "Free"]
    places = [
        page.index(f">{word}") if word[0] == "C" or word[:3] == "Any" else page.index(f"{word}, Jane")
        for word in order
        if word != "CT room 2"
    ]
    assert places == sorted(places)


def test_status_is_told_in_words_and_counted(desk: Client) -> None:
    make_today(1).transition(StepStatus.ARRIVED)
    make_today(2)
    page = shown(desk)
    assert '<span class="g-status g-arrived">arrived</span>' in page
    assert ">1 arrived</a>" in page
    assert ">1 scheduled</a>" in page
    assert ">2 steps</a>" in page


@pytest.mark.parametrize(("hour", "minute", "told"), [(10, 20, "late 40 min"), (8, 0, "late 3 hours"), (11, 30, "")])
def test_a_late_step_stands_out(login: Any, hour: int, minute: int, told: str) -> None:
    make_today(1, scheduled_time=time(hour, minute))
    row = shown(login("Radiographer")).partition("Doe, Jane")[2]
    assert re.findall(r"late \d+ \w+", row) == ([told] if told else [])


def test_unmatched_ones_stand_out(login: Any) -> None:
    step = make_today(1, scheduled_time=time(0, 0))
    step.scheduled_date -= timedelta(days=1)
    step.save()
    client = Client()
    client.force_login(User.objects.create_superuser("boss"))
    assert "not done" in shown(client, day=step.scheduled_date.isoformat())
    PerformedProcedureStep.objects.create(
        sop_instance_uid="1.2.3", performed_procedure_step_status="COMPLETED", patient_name="Stray^Cat"
    )
    page = shown(client)
    assert "1 examination without an entry" in page
    assert "Stray, Cat" in page


def test_filters_stay_and_the_day_does_not(desk: Client) -> None:
    make_station()
    make_today(1)
    make_today(2, family_name="Roe", modality="MR")
    shown(desk, station="", modality="MR", status="open", day="2026-05-04")
    page = shown(desk)
    assert "Roe, Jane" in page
    assert "Doe, Jane" not in page
    assert "Doe, Jane" in shown(desk, modality="", status="")


@pytest.mark.parametrize(
    "query", [{"day": "2026-99-99"}, {"day": "x"}, {"status": "x"}, {"station": "x"}, {"q": "\x00"}]
)
def test_odd_parameters_do_no_harm(desk: Client, query: dict[str, str]) -> None:
    make_today(1)
    shown(desk, **query)


@pytest.mark.parametrize("text", ["ller", "MULLER", "änne mül", "P-9", "cc-9", "P-99 anne", "mull acc-99"])
def test_search_finds_by_any_part_today_and_on_other_days(desk: Client, text: str) -> None:
    make_today(1)
    entry = make_requested(make_patient(patient_id="P-99"), accession_number="ACC-99")
    step = make_step(entry, scheduled_date=timezone.localdate())
    page = shown(desk, q=text)
    assert "Müller, Änne" in page
    assert "Doe, Jane" not in page
    step.scheduled_date -= timedelta(days=400)
    step.save()
    page = shown(desk, q=text)
    assert "Other days" in page
    assert "Müller, Änne" in page.partition("Other days")[2]


def test_the_list_is_not_sent_again_while_nothing_has_changed(desk: Client) -> None:
    step = make_today(1)
    response = desk.get(reverse("today_list"))
    seen = markup(response).partition("&amp;seen=")[2].partition('"')[0]
    assert desk.get(reverse("today_list"), {"seen": seen}).status_code == 204
    step.transition(StepStatus.ARRIVED)
    assert desk.get(reverse("today_list"), {"seen": seen}).status_code == 200


def act(client: Client, step: ScheduledProcedureStep, target: str, **values: str) -> str:
    response = client.post(
        reverse("change_status", args=[step.pk, target]), values, headers={"X-Page-Query": "?q=&day="}
    )
    assert response.status_code == 200
    step.refresh_from_db()
    return markup(response)


def test_a_step_walks_through_its_day_one_click_each_and_back(desk: Client) -> None:
    step = make_today(1)
    for status in ("ARRIVED", "READY", "STARTED", "COMPLETED"):
        assert reverse("change_status", args=[step.pk, status]) in shown(desk)
        page = act(desk, step, status)
        assert step.status == status
        assert reverse("change_status", args=[step.pk, "undo"]) in page
    act(desk, step, "undo")
    assert step.status == "STARTED"


def test_a_step_is_cancelled_with_a_reason(desk: Client) -> None:
    step = make_today(1)
    assert "Reason" in desk.get(reverse("end_dialog", args=[step.pk, "CANCELLED"])).content.decode()
    assert "Patient unwell" in act(desk, step, "CANCELLED", reason="Patient unwell")
    assert (step.status, step.status_reason) == ("CANCELLED", "Patient unwell")
    assert LogEntry.objects.get(object_id=str(step.pk)).change_message == "Status: cancelled. Patient unwell"
    assert "backslash" in act(desk, make_today(2), "CANCELLED", reason="a\\b")


@pytest.mark.parametrize(
    ("status", "target"), [("COMPLETED", "ARRIVED"), ("STARTED", "CANCELLED"), ("READY", "NONSENSE")]
)
def test_what_is_not_lawful_is_told_and_not_done(desk: Client, status: str, target: str) -> None:
    step = make_today(1, status=status)
    page = act(desk, step, target)
    assert 'role="alert"' in page
    assert step.status == status


def test_names_cannot_become_markup(desk: Client) -> None:
    make_today(1, family_name="<b>Doe")
    assert escape("<b>Doe") in shown(desk)
    assert "<b>Doe" not in shown(desk)


def test_history_tells_who_changed_the_status(desk: Client) -> None:
    step = make_today(1)
    step.stations.add(make_station())
    act(desk, step, "ARRIVED")
    newest = step.history.first()
    assert (newest.status, newest.history_user.username) == ("ARRIVED", "reception")
    assert newest.stations.count() == 1


def test_a_day_takes_the_same_number_of_queries_however_long(desk: Client, django_assert_max_num_queries: Any) -> None:
    station = make_station()
    for number in range(30):
        make_today(number).stations.add(station)
    shown(desk)
    with django_assert_max_num_queries(14):
        assert shown(desk).count("g-name") == 30
    with django_assert_max_num_queries(18):
        shown(desk, q="doe")
