"""The receiver's notices: who may tell, what is kept, what it does to the worklist, and what does not fit."""

from __future__ import annotations

import datetime
import json
import uuid
from typing import Any

import pytest
from django.contrib.auth import get_user_model
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from mwl_admin.images import alarms, arrivals
from mwl_admin.images.alarms import AlarmKind
from mwl_admin.models import (
    PerformedProcedureStep,
    ReceivedStudy,
    RequestedProcedure,
    ScheduledProcedureStep,
    StepStatus,
    StudyNotice,
)
from pacs_receiver.notify import headers as signed_headers
from pacs_receiver.notify import post
from tests.api.bodies import problems
from tests.api.conftest import Caller
from tests.factory import make_patient, make_requested, make_station, make_step

pytestmark = pytest.mark.django_db

PATH = "/api/notices/study-complete"
UID = "2.25.4711"


def iso(moment: datetime.datetime) -> str:
    return moment.astimezone(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def notice(study: dict[str, Any] | None = None, patient: dict[str, Any] | None = None, **values: Any) -> dict[str, Any]:
    """A notice as the receiver makes it."""
    now = timezone.now()
    return {
        "id": str(uuid.uuid4()),
        "event": "study.complete",
        "at": iso(now),
        "study": {
            "uid": UID,
            "date": "2026-05-04",
            "time": None,
            "id": None,
            "description": "CT thorax",
            "accession_number": "",
            "modalities": ["CT"],
            "series": 2,
            "instances": 40,
            "bytes": 21_000_000,
            "first_arrival": iso(now - datetime.timedelta(minutes=10)),
            "last_arrival": iso(now - datetime.timedelta(minutes=1)),
            **(study or {}),
        },
        "patient": {"id": "P-1001", "issuer": "", "name": "MULLER^ANNE", "birth_date": None, "sex": "F"}
        | (patient or {}),
        "senders": [{"ae_title": "CT1", "address": "192.0.2.7"}],
        **values,
    }


def send(body: dict[str, Any] | bytes, secret: str, **changes: Any) -> Any:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    event_id = body["id"] if isinstance(body, dict) else str(uuid.uuid4())
    sign = {"event_id": str(event_id), "secret": secret, "timestamp": int(timezone.now().timestamp()), **changes}
    sent = {**signed_headers(data, **sign)}
    return Caller().call("POST", PATH, data, headers=sent)


@pytest.fixture
def step() -> ScheduledProcedureStep:
    """An entry of today for the study of the notices, at a station without MPPS."""
    station = make_station(completes_with_images=True)
    entry = make_requested(make_patient(given_name="Anne"), study_instance_uid=UID, accession_number="A-1")
    made = make_step(entry, scheduled_date=timezone.localdate(), scheduled_time=datetime.time(0, 1))
    made.stations.add(station)
    return made


def test_a_notice_of_the_receiver_marks_that_images_arrived(secret: str, step: ScheduledProcedureStep) -> None:
    answer = send(notice(), secret)
    assert answer.status_code == 200, answer.content
    study = ReceivedStudy.objects.get()
    assert study.requested_procedure == step.requested_procedure
    assert (study.series_count, study.instance_count, study.senders) == (2, 40, ["CT1"])
    assert answer.json() == {"repeated": False, "completed": [step.scheduled_procedure_step_id]}
    step.refresh_from_db()
    assert step.status == StepStatus.COMPLETED
    assert alarms.alarms() == []


def test_a_repeat_is_taken_and_changes_nothing(secret: str) -> None:
    body = notice()
    assert send(body, secret).json()["repeated"] is False
    changed = {**body, "study": {**body["study"], "instances": 1}}
    assert send(changed, secret).json()["repeated"] is True
    assert ReceivedStudy.objects.get().instance_count == 40
    assert StudyNotice.objects.count() == 1


def test_a_study_that_has_grown_is_told_anew_and_an_older_notice_does_not_undo_it(secret: str) -> None:
    old = notice()
    later = iso(timezone.now() + datetime.timedelta(hours=1))
    assert send(notice({"instances": 50}, at=later), secret).status_code == 200
    assert send(old, secret).status_code == 200
    assert ReceivedStudy.objects.get().instance_count == 50
    assert StudyNotice.objects.count() == 2


BORIS = {"id": "P-2", "issuer": "", "name": "Roe^Boris", "birth_date": "19810203", "sex": "M"}


@pytest.mark.parametrize("first", ["alone", "both"])
def test_a_study_of_different_patients_is_a_mix_up_and_completes_nothing(
    secret: str, step: ScheduledProcedureStep, first: str
) -> None:
    assert send(notice(other_patients=[BORIS] if first == "both" else []), secret).status_code == 200
    later = iso(timezone.now() + datetime.timedelta(hours=1))
    assert send(notice({"instances": 41}, other_patients=[BORIS], at=later), secret).status_code == 200
    [alarm] = alarms.alarms()
    assert (alarm.kind, "Roe, Boris (P-2)" in alarm.text) == (AlarmKind.MIXED_UP, True)
    step.refresh_from_db()
    assert (step.status == StepStatus.COMPLETED) is (first == "alone")


def test_a_mix_up_of_no_entry_is_told_and_goes_when_the_images_went(secret: str) -> None:
    send(notice(other_patients=[BORIS]), secret)
    assert [alarm.kind for alarm in alarms.alarms()] == [AlarmKind.MIXED_UP, AlarmKind.NO_ENTRY]
    later = iso(timezone.now() + datetime.timedelta(hours=1))
    send(notice({"instances": 20}, other_patients=[], at=later), secret)
    assert [alarm.kind for alarm in alarms.alarms()] == [AlarmKind.NO_ENTRY]


def test_what_was_settled_stays_so_when_only_fewer_images_lie_aside(secret: str) -> None:
    content = {**notice()["study"], "set_aside": 2}
    send(notice(content), secret)
    assert AlarmKind.SET_ASIDE in [alarm.kind for alarm in alarms.alarms()]
    ReceivedStudy.objects.all().settle(None)
    for hour, (set_aside, settled) in enumerate([(1, True), (0, True), (1, False)], start=1):
        at = iso(timezone.now() + datetime.timedelta(hours=hour))
        send(notice({**content, "set_aside": set_aside}, at=at), secret)
        study = ReceivedStudy.objects.get()
        assert (study.set_aside_count, study.settled_at is not None) == (set_aside, settled)


@pytest.mark.parametrize(
    "changes",
    [
        {"secret": "another secret"},
        {"secret": ""},
        {"timestamp": 1},
        {"timestamp": 99999999999},
    ],
)
def test_who_can_not_sign_is_refused(secret: str, changes: dict[str, Any]) -> None:
    refused = send(notice(), **{"secret": secret, **changes})
    assert refused.status_code == 403
    assert not ReceivedStudy.objects.exists()


@pytest.mark.parametrize("name", ["X-Gateway-Signature", "X-Gateway-Timestamp"])
@pytest.mark.parametrize("value", ["", "x", "sha256=00", "1e3", "é"])
def test_a_header_that_is_wrong_is_refused(secret: str, name: str, value: str) -> None:
    body = notice()
    data = json.dumps(body).encode()
    sent = {
        **signed_headers(data, event_id=body["id"], secret=secret, timestamp=int(timezone.now().timestamp())),
        name: value,
    }
    assert Caller().call("POST", PATH, data, headers=sent).status_code == 403


def test_a_body_that_was_changed_on_its_way_is_refused(secret: str) -> None:
    body = notice()
    sent = signed_headers(
        json.dumps(body).encode(), event_id=body["id"], secret=secret, timestamp=int(timezone.now().timestamp())
    )
    body["study"]["instances"] = 1
    assert Caller().call("POST", PATH, body, headers={**sent}).status_code == 403


def test_without_a_secret_nothing_is_taken(settings: Any) -> None:
    settings.PACS_NOTIFY_SECRET = ""
    assert send(notice(), "").status_code == 503


def test_an_id_that_differs_between_header_and_body_is_refused(secret: str) -> None:
    assert send(notice(), secret, event_id=str(uuid.uuid4())).status_code == 400


@pytest.mark.parametrize(
    ("body", "attribute"),
    [
        (notice(event="study.gone"), "event"),
        (notice(id="../x"), "id"),
        (notice({"uid": ""}), "study.uid"),
        (notice({"uid": "1..2"}), "study.uid"),
        (notice({"instances": "40"}), "study.instances"),
        (notice({"series": -1}), "study.series"),
        (notice({"instances": 2**40}), "study.instances"),
        (notice({"last_arrival": "yesterday"}), "study.last_arrival"),
        (notice({"first_arrival": "2026-05-04T10:00:00"}), "study.first_arrival"),
        (notice(at=None), "at"),
        (b"{", ""),
        (b"[]", "event"),
    ],
)
def test_what_is_no_notice_is_named(secret: str, body: Any, attribute: str) -> None:
    refused = send(body, secret)
    assert refused.status_code == 422
    assert attribute in problems(refused)


def test_odd_values_from_images_lose_no_notice(secret: str) -> None:
    odd = notice(
        {"accession_number": "A" * 500, "modalities": [1, None], "description": "a\x00\nb"},
        {"id": None, "name": "x" * 900, "birth_date": "never"},
        senders="nobody",
    )
    assert send(odd, secret).status_code == 200
    study = ReceivedStudy.objects.get()
    assert (len(study.accession_number), study.patient_id, study.senders, study.description) == (64, "", [], "ab")


def test_a_uid_that_the_receiver_stores_is_taken_by_the_site_too(secret: str) -> None:
    assert send(notice({"uid": "1.002.3"}), secret).status_code == 200
    assert ReceivedStudy.objects.get().study_instance_uid == "1.002.3"


def test_an_entry_is_found_by_its_accession_number_too(secret: str, step: ScheduledProcedureStep) -> None:
    send(notice({"uid": "1.2.3", "accession_number": "A-1"}), secret)
    assert ReceivedStudy.objects.get().requested_procedure == step.requested_procedure


def test_images_that_came_first_find_their_entry_when_it_is_made(secret: str) -> None:
    send(notice(), secret)
    assert alarms.count()[AlarmKind.NO_ENTRY] == 1
    entry = make_requested(make_patient(given_name="Anne"), study_instance_uid=UID)
    assert ReceivedStudy.objects.get().requested_procedure == entry
    assert alarms.count()[AlarmKind.NO_ENTRY] == 0


def completed_by(secret: str, step: ScheduledProcedureStep, body: dict[str, Any]) -> bool:
    assert send(body, secret).status_code == 200
    step.refresh_from_db()
    return step.status == StepStatus.COMPLETED


def test_steps_of_a_station_with_mpps_are_left_to_it(secret: str, step: ScheduledProcedureStep) -> None:
    step.stations.update(completes_with_images=False)
    assert not completed_by(secret, step, notice())


def test_a_step_that_is_reported_by_mpps_is_left_to_it(secret: str, step: ScheduledProcedureStep) -> None:
    performed = PerformedProcedureStep.objects.create(
        sop_instance_uid="1.2.3", performed_procedure_step_status="IN PROGRESS"
    )
    performed.scheduled_procedure_steps.add(step)
    assert not completed_by(secret, step, notice())


def test_a_step_of_another_day_is_not_completed(secret: str, step: ScheduledProcedureStep) -> None:
    step.scheduled_date += datetime.timedelta(days=1)
    step.save()
    assert not completed_by(secret, step, notice())


def test_a_step_of_another_modality_is_not_completed(secret: str, step: ScheduledProcedureStep) -> None:
    assert not completed_by(secret, step, notice({"modalities": ["MR"]}))


def test_a_step_is_completed_when_images_come_through_another_ae(secret: str, step: ScheduledProcedureStep) -> None:
    assert completed_by(secret, step, notice(senders=[{"ae_title": "ROUTER", "address": "192.0.2.1"}]))


def test_images_of_somebody_else_complete_nothing_and_raise_the_alarm(
    secret: str, step: ScheduledProcedureStep
) -> None:
    assert not completed_by(secret, step, notice(patient={"id": "P-9"}))
    (alarm,) = alarms.alarms()
    assert alarm.kind is AlarmKind.MIXED_UP
    assert "P-9" in alarm.text
    assert "P-1001" in alarm.text


@pytest.mark.parametrize(
    ("name", "fits"),
    [
        ("Müller^Anne", True),
        ("MULLER^ANNE^^^", True),
        ("muller ^ anne", True),
        ("Müller^Anne=ideographic", True),
        ("Müller^Anne^Maria", True),
        ("", True),
        ("Müller", False),
        ("Müller^Ann", False),
        ("Mül^Anne", False),
        ("Doe^John", False),
        ("%^%", False),
    ],
)
def test_names_are_compared_as_people_read_them(
    secret: str, step: ScheduledProcedureStep, name: str, fits: bool
) -> None:
    send(notice(patient={"name": name}), secret)
    assert (alarms.count()[AlarmKind.MIXED_UP] == 0) is fits


def test_images_that_name_no_patient_are_not_held_to_be_somebody_elses(
    secret: str, step: ScheduledProcedureStep
) -> None:
    send(notice(patient={"id": "", "name": ""}), secret)
    assert alarms.count()[AlarmKind.MIXED_UP] == 0


def test_images_without_an_entry_raise_an_alarm(secret: str) -> None:
    send(notice(), secret)
    (alarm,) = alarms.alarms()
    assert alarm.kind is AlarmKind.NO_ENTRY
    assert "40 images of MULLER, ANNE (P-1001) from CT1" in alarm.text


def test_a_step_that_started_long_ago_without_images_raises_an_alarm(
    secret: str, step: ScheduledProcedureStep, settings: Any
) -> None:
    step.transition(StepStatus.STARTED)
    later = timezone.now() + datetime.timedelta(minutes=settings.IMAGES_OVERDUE_MINUTES + 1)
    assert not alarms.steps_without_images(later).exists()  # no receiver has ever told of anything
    send(notice({"uid": "1.2.3"}), secret)
    assert not alarms.steps_without_images().exists()
    assert [found.pk for found in alarms.steps_without_images(later)] == [step.pk]
    send(notice({"modalities": ["SR"]}), secret)
    assert not alarms.steps_without_images(later).exists()


def test_staff_settle_an_alarm_and_new_images_raise_it_again(secret: str, client: Client) -> None:
    send(notice(), secret)
    study = ReceivedStudy.objects.get()
    client.force_login(get_user_model().objects.create_superuser("anna"))
    page = reverse("admin:mwl_admin_receivedstudy_changelist")
    assert "P-1001" in client.get(f"{page}?fit=no_entry").content.decode()
    client.post(page, {"action": "settle", "_selected_action": [str(study.pk)]})
    assert alarms.alarms() == []
    assert "P-1001" not in client.get(f"{page}?fit=no_entry").content.decode()
    send(notice({"instances": 41}), secret)
    assert alarms.count()[AlarmKind.NO_ENTRY] == 1
    assert client.get(f"{page}?fit=mixed_up").status_code == 200


def test_the_list_of_received_studies_may_be_seen_but_not_edited(secret: str, client: Client) -> None:
    send(notice(), secret)
    client.force_login(get_user_model().objects.create_superuser("anna"))
    study = ReceivedStudy.objects.get()
    assert client.get(reverse("admin:mwl_admin_receivedstudy_change", args=[study.pk])).status_code == 200
    assert RequestedProcedure.objects.count() == 0


@pytest.mark.django_db(transaction=True)
@pytest.mark.machine_clock
def test_the_receivers_own_delivery_is_taken(secret: str, live_server: Any) -> None:
    body = notice()
    data = json.dumps(body).encode()
    assert post(live_server.url + PATH, data, event_id=body["id"], secret=secret) == ""
    assert post(live_server.url + PATH, data, event_id=body["id"], secret="wrong") == "the answer was 403"
    assert ReceivedStudy.objects.count() == 1


def test_notices_are_forgotten_when_no_repeat_of_them_can_matter(secret: str) -> None:
    body = notice()
    send(body, secret)
    assert arrivals.prune_notices(timezone.now()) == 0
    later = timezone.now() + datetime.timedelta(days=31)
    assert arrivals.prune_notices(later) == 1
    assert not StudyNotice.objects.exists()
    study = ReceivedStudy.objects.get()
    # A repeat that comes later still changes nothing of the study.
    assert send(body, secret).status_code == 200
    again = ReceivedStudy.objects.get()
    assert (again.pk, again.instance_count, again.announced_at) == (
        study.pk,
        study.instance_count,
        study.announced_at,
    )
