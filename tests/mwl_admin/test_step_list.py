"""The list of steps: filters, search, actions; and every other page opens."""

from datetime import time, timedelta
from typing import Any

import pytest
from django.contrib import admin
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import User
from django.contrib.messages import get_messages
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from mwl_admin.models import (
    PerformedProcedureStep,
    ScheduledProcedureStep,
    StepStatus,
    WorklistDelivery,
    WorklistQuery,
)
from tests.factory import make_patient, make_procedure, make_requested, make_station, make_step

pytestmark = pytest.mark.django_db

STEPS = "admin:mwl_admin_scheduledprocedurestep_changelist"


def listed(browser: Client, **query: str) -> list[ScheduledProcedureStep]:
    response: Any = browser.get(reverse(STEPS), query)
    assert response.status_code == 200
    return list(response.context_data["cl"].result_list)


@pytest.fixture
def today() -> ScheduledProcedureStep:
    entry = make_requested(make_patient(), accession_number="ACC-1", requested_procedure_id="RP-1")
    return make_step(entry, scheduled_date=timezone.localdate(), scheduled_procedure_step_id="SPS-1")


@pytest.fixture
def tomorrow() -> ScheduledProcedureStep:
    entry = make_requested(make_patient(patient_id="Q-2", family_name="山田", given_name=""))
    return make_step(entry, modality="MR", scheduled_date=timezone.localdate() + timedelta(days=1))


def test_it_opens_with_today(browser: Client, today: Any, tomorrow: Any) -> None:
    assert listed(browser) == [today]


def test_days_are_filtered(browser: Client, today: Any, tomorrow: Any) -> None:
    assert listed(browser, day="tomorrow") == [tomorrow]
    assert listed(browser, day="week") == [today, tomorrow]
    assert listed(browser, day="yesterday") == []
    assert listed(browser, day="all") == [today, tomorrow]
    day = tomorrow.scheduled_date
    assert listed(
        browser,
        scheduled_date__year=str(day.year),
        scheduled_date__month=str(day.month),
        scheduled_date__day=str(day.day),
    ) == [tomorrow]


def test_modality_station_and_status_are_filtered(browser: Client, today: Any, tomorrow: Any) -> None:
    ct1, ct2 = make_station(), make_station("CT2")
    make_station("MR1", "MR")
    today.stations.add(ct1)
    assert listed(browser, day="all", modality="MR") == [tomorrow]
    assert listed(browser, day="all", station="CT1") == [today]
    assert listed(browser, day="all", station="CT2") == []
    assert listed(browser, day="all", station="MR1") == [tomorrow]
    today.transition(StepStatus.COMPLETED)
    assert listed(browser, day="all", status="open") == [tomorrow]
    assert listed(browser, day="all", status="COMPLETED") == [today]
    assert ct2.scheduled_procedure_steps.count() == 0


@pytest.mark.parametrize(
    "text",
    [
        "muller",
        "MÜLLER",
        "anne müll",
        "müller, änne",
        "Müller^Änne",
        "P-1001",
        "p-10",
        "100",
        "ACC-1",
        "cc-1",
        "SPS-1",
        "PS-1",
        "RP-1",
    ],
)
def test_search_finds_by_name_and_by_identifier_on_any_day(
    browser: Client, today: Any, tomorrow: Any, text: str
) -> None:
    assert listed(browser, q=text) == [today]


@pytest.mark.parametrize("text", ["miller", "1002", "%", "_", "\\", "müller doe"])
def test_search_does_not_find_what_is_not_there(browser: Client, today: Any, tomorrow: Any, text: str) -> None:
    assert listed(browser, q=text) == []


def test_search_finds_names_in_other_scripts(browser: Client, today: Any, tomorrow: Any) -> None:
    assert listed(browser, q="山田") == [tomorrow]


def act(browser: Client, action: str, *steps: ScheduledProcedureStep) -> list[str]:
    response = browser.post(
        f"{reverse(STEPS)}?day=all", {"action": action, "_selected_action": [step.pk for step in steps]}
    )
    assert response.status_code == 302
    return [str(message) for message in get_messages(response.wsgi_request)]


@pytest.mark.parametrize(
    ("action", "status"),
    [
        ("arrived", "ARRIVED"),
        ("ready", "READY"),
        ("start", "STARTED"),
        ("complete", "COMPLETED"),
        ("discontinue", "DISCONTINUED"),
        ("cancel", "CANCELLED"),
    ],
)
def test_actions_change_the_status_and_leave_a_history(
    browser: Client, anna: User, today: ScheduledProcedureStep, action: str, status: str
) -> None:
    assert act(browser, action, today) == ["1 step changed."]
    today.refresh_from_db()
    assert today.status == status
    entry = LogEntry.objects.get(object_id=str(today.pk))
    assert (entry.user, entry.change_message) == (anna, f"Status: {status.lower()}.")


def test_an_action_tells_which_steps_could_not_change(browser: Client, today: Any, tomorrow: Any) -> None:
    ScheduledProcedureStep.objects.filter(pk=tomorrow.pk).transition(StepStatus.COMPLETED)
    assert set(act(browser, "arrived", today, tomorrow)) == {
        f"{tomorrow.scheduled_procedure_step_id}: A step that is completed can't become arrived.",
        "1 step changed.",
    }


def test_completion_can_be_taken_back(browser: Client, today: ScheduledProcedureStep) -> None:
    act(browser, "complete", today)
    act(browser, "undo", today)
    today.refresh_from_db()
    assert today.status == "SCHEDULED"


def test_actions_need_the_permission_to_change(client: Client, today: ScheduledProcedureStep) -> None:
    viewer = User.objects.create_user("viewer", is_staff=True)
    client.force_login(viewer)
    assert client.post(reverse(STEPS), {"action": "cancel", "_selected_action": [today.pk]}).status_code == 403
    today.refresh_from_db()
    assert today.status == "SCHEDULED"


def test_adding_a_step_leads_to_the_page_of_a_whole_entry(browser: Client) -> None:
    response = browser.get(reverse("admin:mwl_admin_scheduledprocedurestep_add"))
    assert response["Location"] == reverse("admin:mwl_admin_requestedprocedure_add")


def test_a_list_takes_the_same_number_of_queries_however_long(
    browser: Client, today: ScheduledProcedureStep, django_assert_max_num_queries: Any
) -> None:
    station = make_station()
    for _ in range(20):
        make_step(today.requested_procedure, scheduled_date=today.scheduled_date).stations.add(station)
    with django_assert_max_num_queries(15):
        assert len(listed(browser)) == 21


def test_every_list_and_page_opens(browser: Client, today: ScheduledProcedureStep) -> None:
    make_station(response_character_set="ISO_IR 100")
    make_procedure()
    PerformedProcedureStep.objects.create(sop_instance_uid="1.2.3", performed_procedure_step_status="IN PROGRESS")
    query = WorklistQuery.objects.create(
        received_at=timezone.now(), calling_ae_title="CT1", called_ae_title="MWL_SCP", status=0xFE00
    )
    WorklistDelivery.objects.create(query=query, step=today, station_ae_title="CT1", delivered_at=timezone.now())
    assert browser.get(reverse("admin:index")).status_code == 200
    for model in admin.site._registry:
        if model._meta.app_label != "mwl_admin":
            continue
        name = f"admin:mwl_admin_{model._meta.model_name}"
        assert browser.get(reverse(f"{name}_changelist"), {"q": "x"}).status_code == 200
        assert browser.get(reverse(f"{name}_changelist")).status_code == 200
        row = model._default_manager.first()
        if row is not None:
            assert browser.get(reverse(f"{name}_change", args=[row.pk]), follow=True).status_code == 200


def test_patients_are_offered_while_typing(browser: Client) -> None:
    patient = make_patient()
    response = browser.get(
        reverse("admin:autocomplete"),
        {"app_label": "mwl_admin", "model_name": "requestedprocedure", "field_name": "patient", "term": "mul an"},
    )
    assert response.json()["results"] == [{"id": str(patient.pk), "text": "Müller, Änne (P-1001)"}]


@pytest.mark.parametrize("term", ["\x00", "a\nb", "%", "=^="])
def test_odd_search_terms_do_no_harm(browser: Client, today: ScheduledProcedureStep, term: str) -> None:
    query = {"app_label": "mwl_admin", "model_name": "requestedprocedure", "field_name": "patient", "term": term}
    assert browser.get(reverse("admin:autocomplete"), query).status_code == 200
    assert browser.get(reverse(STEPS), {"q": term}).status_code == 200


def test_records_of_what_modalities_did_can_be_read_but_not_changed(browser: Client) -> None:
    performed = PerformedProcedureStep.objects.create(
        sop_instance_uid="1.2.3", performed_procedure_step_status="COMPLETED"
    )
    url = reverse("admin:mwl_admin_performedprocedurestep_change", args=[performed.pk])
    assert browser.get(url).status_code == 200
    assert browser.post(url, {"patient_id": "X"}).status_code == 403


def test_strangers_see_only_the_login(client: Client) -> None:
    response = client.get(reverse(STEPS))
    assert response.status_code == 302
    assert response["Location"].startswith(reverse("admin:login"))


def test_the_site_opens_with_today(browser: Client) -> None:
    assert browser.get("/").headers["Location"] == reverse("today")


def test_the_list_tells_time_as_a_timetable_does(browser: Client, today: ScheduledProcedureStep) -> None:
    make_step(today.requested_procedure, scheduled_time=time(14, 5))
    page = browser.get(reverse(STEPS), {"day": "all"}).content.decode()
    assert ">10:30<" in page
    assert ">Mon 4 May 2026, 14:05<" in page
