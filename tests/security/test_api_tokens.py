"""A token opens its own entries at every door of the API and nothing else; it ends, and can't be guessed.

The doors are taken from the API's own routes, so that a new one can't be left out.
"""

from __future__ import annotations

import datetime
import json
import logging
from collections.abc import Iterator
from typing import Any

import pytest
from django.contrib.auth import get_user_model
from django.core.management import CommandError, call_command
from django.test import Client
from django.urls import reverse
from django.utils import formats, timezone

from mwl_admin.api.guesses import MAX_ADDRESSES, MAX_PROVEN, Guesses
from mwl_admin.api.site import api
from mwl_admin.api.tokens import Token
from mwl_admin.models import APIClient, Patient, RequestedProcedure, ScheduledProcedureStep, Station
from tests.api.bodies import ENTRY, STEPS, WORKLIST, entry, problems, step
from tests.api.conftest import Caller, caller, full_buckets
from tests.factory import make_station, make_step

pytestmark = pytest.mark.django_db
__all__ = ["full_buckets"]

SEARCH = "/dicom-web/modality-scheduled-procedure-steps"
# What each door answers to CT1's token about an entry of MR1, and about a number that nobody has.
CLOSED = {
    ("GET", SEARCH): (200, 200),
    ("GET", "/api/worklist"): (200, 200),
    ("GET", "/api/changes"): (200, 200),
    ("POST", "/api/worklist"): (409, 201),
    ("GET", "/api/worklist/{accession_number}"): (404, 404),
    ("PUT", "/api/worklist/{accession_number}"): (409, 201),
    ("PATCH", "/api/worklist/{accession_number}"): (404, 404),
    ("DELETE", "/api/worklist/{accession_number}"): (404, 404),
    ("GET", "/api/results/{accession_number}"): (404, 404),
    ("GET", "/api/patients"): (200, 200),
    ("GET", "/api/patients/{patient_id}"): (404, 404),
    ("PUT", "/api/patients/{patient_id}"): (403, 403),
    ("POST", "/api/patient-merges"): (403, 403),
    ("POST", "/api/patient-id-changes"): (403, 403),
    ("POST", "/api/patient-identifications"): (403, 403),
    ("POST", "/api/order-moves"): (403, 403),
}


def doors() -> Iterator[tuple[str, str, bool]]:
    """Yield method and path of each operation of the API, and whether a token opens it."""
    for prefix, router in api._routers:
        for path, view in router.path_operations.items():
            for operation in view.operations:
                callbacks = operation.auth_callbacks
                for method in operation.methods:
                    yield (
                        method,
                        (prefix + path).replace("{path:", "{"),
                        any(isinstance(callback, Token) for callback in callbacks),
                    )


@pytest.fixture
def ct1() -> Station:
    return make_station("CT1")


@pytest.fixture
def foreign(ct1: Station) -> ScheduledProcedureStep:
    """An entry of another station, of whom CT1 must not learn anything."""
    return make_step(
        patient={"patient_id": "P-MR", "family_name": "Secret", "patient_birth_date": datetime.date(1962, 2, 13)},
        requested={"accession_number": "A-MR", "study_instance_uid": "2.25.77"},
        stations=[make_station("MR1", "MR")],
        modality="MR",
        scheduled_procedure_step_id="S-MR",
    )


@pytest.fixture
def scanner(ct1: Station) -> Caller:
    return caller(name="CT1", station=ct1)


def own_entry(ct1: Station, **requested: Any) -> ScheduledProcedureStep:
    return make_step(requested={"accession_number": "A-CT", **requested}, stations=[ct1])


def test_each_door_of_the_api_is_in_the_table_or_takes_no_token() -> None:
    assert {(method, path) for method, path, by_token in doors() if by_token} == CLOSED.keys()


def test_a_door_without_token_opens_to_no_token(scanner: Caller) -> None:
    others = [(method, path) for method, path, by_token in doors() if not by_token]
    assert others
    for method, path in others:
        assert scanner.call(method, path, {}).status_code in {401, 403, 503}, (method, path)


@pytest.mark.parametrize(("method", "path"), CLOSED)
def test_no_door_shows_or_changes_what_another_station_has(
    method: str, path: str, foreign: ScheduledProcedureStep, ct1: Station, scanner: Caller
) -> None:
    own_entry(ct1)
    before = list(ScheduledProcedureStep.objects.order_by("pk").values())
    expected, of_nobodys = CLOSED[method, path]
    answers = {}
    for number in ("A-MR", "A-NONE"):
        body = entry(step(ScheduledStationAETitle=["CT1"]), AccessionNumber=number)
        patient_id = number.replace("A-", "P-")
        address = path.replace("{accession_number}", number).replace("{patient_id}", patient_id)
        answer = scanner.call(method, address, body)
        answers[number] = answer
        if number == "A-MR":
            assert list(ScheduledProcedureStep.objects.order_by("pk").values()) == before
    assert answers["A-MR"].status_code == expected
    assert answers["A-NONE"].status_code == of_nobodys
    for secret in ("Secret", "P-MR", "2.25.77", "19620213"):
        assert secret not in answers["A-MR"].content.decode()
    if expected == 200:
        assert "A-MR" not in answers["A-MR"].content.decode()
        own = '"PatientID": "P0' if "patients" in path else "A-CT"
        assert own in answers["A-MR"].content.decode()
    if expected == 404:  # the same answer, to the letter, as for what is not there
        assert answers["A-MR"].content == answers["A-NONE"].content


@pytest.mark.parametrize(
    "query", ["?patient_id=P-MR", "?status=SCHEDULED", "?date=2026-05-04", "?updated_since=2000-01-01", "?limit=500"]
)
def test_no_filter_of_the_list_finds_what_another_station_has(
    query: str, foreign: ScheduledProcedureStep, scanner: Caller
) -> None:
    assert scanner.get(WORKLIST + query).json() == []


@pytest.mark.parametrize("method", ["PATCH", "PUT", "DELETE"])
def test_an_entity_tag_does_not_tell_that_another_station_has_an_entry(
    method: str, foreign: ScheduledProcedureStep, scanner: Caller
) -> None:
    answers = [
        scanner.call(method, f"{WORKLIST}{number}", entry(AccessionNumber=number), headers={"If-Match": "*"})
        for number in ("A-MR", "A-NONE")
    ]
    assert [answer.status_code for answer in answers] == [412, 412]
    assert answers[0].content == answers[1].content


def test_of_an_entry_of_two_stations_each_sees_its_own_steps_and_changes_nothing(
    foreign: ScheduledProcedureStep, ct1: Station, scanner: Caller
) -> None:
    make_step(foreign.requested_procedure, stations=[ct1], scheduled_procedure_step_id="S-CT")
    path = f"{WORKLIST}A-MR"
    for document in (scanner.get(path).json(), scanner.get(WORKLIST).json()[0]):
        assert [item["ScheduledProcedureStepID"] for item in document[STEPS]] == ["S-CT"]
    ScheduledProcedureStep.objects.filter(pk=foreign.pk).update(status="ARRIVED")
    assert scanner.get(f"{WORKLIST}?status=ARRIVED").json() == []
    for method, body in (("PATCH", {"PatientName": "Other"}), ("PUT", entry(AccessionNumber="A-MR")), ("DELETE", None)):
        assert scanner.call(method, path, body).status_code in {403, 409}
    assert scanner.delete(f"{path}?step=S-MR").status_code == 404
    foreign.refresh_from_db()
    assert (foreign.status, foreign.requested_procedure.patient.family_name) == ("ARRIVED", "Secret")
    assert scanner.delete(f"{path}?step=S-CT").status_code == 200


def test_steps_without_station_are_the_modality_s_as_they_are_for_c_find(ct1: Station, scanner: Caller) -> None:
    make_step(requested={"accession_number": "A-ANY-CT"})
    make_step(requested={"accession_number": "A-ANY-MR"}, modality="MR")
    assert [found["AccessionNumber"] for found in scanner.get(WORKLIST).json()] == ["A-ANY-CT"]
    assert scanner.patch(f"{WORKLIST}A-ANY-CT", {"PatientComments": "x"}).status_code == 200
    assert scanner.get(f"{WORKLIST}A-ANY-MR").status_code == 404


def test_days_that_the_profile_hides_are_hidden_at_every_door(ct1: Station, scanner: Caller) -> None:
    today = timezone.localdate()
    past = today - datetime.timedelta(days=9)
    make_step(requested={"accession_number": "A-OLD"}, stations=[ct1], scheduled_date=past)
    make_step(requested={"accession_number": "A-NOW"}, stations=[ct1], scheduled_date=today)
    Station.objects.filter(pk=ct1.pk).update(days_back=2, days_ahead=2)
    assert [found["AccessionNumber"] for found in scanner.get(WORKLIST).json()] == ["A-NOW"]
    assert scanner.get(f"{WORKLIST}A-OLD").status_code == 404
    assert len(scanner.get(SEARCH).json()) == 1


def test_finished_steps_stay_readable(ct1: Station, scanner: Caller) -> None:
    made = own_entry(ct1)
    ScheduledProcedureStep.objects.filter(pk=made.pk).update(status="COMPLETED")
    assert scanner.get(f"{WORKLIST}A-CT").json()[STEPS][0]["ScheduledProcedureStepStatus"] == "COMPLETED"


def test_a_station_makes_and_changes_entries_of_its_own_only(
    foreign: ScheduledProcedureStep, ct1: Station, scanner: Caller
) -> None:
    assert scanner.put(ENTRY, entry(step(ScheduledStationAETitle=["CT1"]))).status_code == 201
    assert scanner.patch(ENTRY, {"PatientComments": "walks"}).status_code == 200
    for wrong in (step(ScheduledStationAETitle=["MR1"]), step(Modality="MR")):
        assert scanner.post(WORKLIST, entry(wrong, AccessionNumber="A-NEW")).status_code == 403
    refused = scanner.patch(ENTRY, {STEPS: [{"ScheduledStationAETitle": ["MR1"]}]})
    assert refused.status_code == 403
    assert problems(refused) == {"ScheduledStationAETitle": "other_station"}
    made = RequestedProcedure.objects.get(accession_number="A-5001").scheduled_procedure_steps.get()
    assert list(made.stations.values_list("ae_title", flat=True)) == ["CT1"]


def test_a_guessed_patient_id_opens_no_record_of_another_station_s_patient(
    foreign: ScheduledProcedureStep, scanner: Caller
) -> None:
    Patient.objects.filter(patient_id="P-MR").update(allergies="penicillin")
    ours = {"PatientID": "P-MR", "AccessionNumber": "A-NEW"}
    for claimed in (
        {"PatientName": "Other", "PatientBirthDate": "19620213"},
        {"PatientName": "Secret", "PatientBirthDate": "19500101"},
        {"PatientName": "Secret", "PatientBirthDate": ""},
        {"PatientName": "", "PatientBirthDate": ""},
    ):
        refused = scanner.post(WORKLIST, entry(**ours, **claimed))
        assert problems(refused) == {"PatientID": "other_patient"}
        assert refused.status_code == 409
        assert "penicillin" not in refused.content.decode()
    assert Patient.objects.get(patient_id="P-MR").family_name == "Secret"
    known = entry(**ours, PatientName="SECRET", PatientBirthDate="1962-02-13")
    assert scanner.post(WORKLIST, known).status_code == 201


def test_a_station_that_is_switched_off_or_elsewhere_opens_no_door(
    ct1: Station, scanner: Caller, foreign: ScheduledProcedureStep
) -> None:
    own_entry(ct1)
    for values in ({"enabled": False}, {"enabled": True, "expected_addresses": "192.0.2.7"}):
        Station.objects.filter(pk=ct1.pk).update(**values)
        for method, path, by_token in doors():
            if by_token:
                answer = scanner.call(method, path.replace("{accession_number}", "A-CT"), entry(AccessionNumber="A-CT"))
                assert answer.status_code == 403, (method, path)


def test_a_token_ends_with_its_station(ct1: Station, scanner: Caller, foreign: ScheduledProcedureStep) -> None:
    ct1.delete()
    assert scanner.get(WORKLIST).status_code == 401


def test_a_token_without_station_sees_everything(foreign: ScheduledProcedureStep) -> None:
    ris = caller(name="RIS")
    assert ris.get(f"{WORKLIST}A-MR").status_code == 200
    assert len(ris.get(WORKLIST).json()) == 1


# --- a token's life


def test_a_token_is_refused_after_its_last_day(scanner: Caller) -> None:
    today = timezone.localdate()
    APIClient.objects.update(expires_on=today)
    assert scanner.get(WORKLIST).status_code == 200
    APIClient.objects.update(expires_on=today - datetime.timedelta(days=1))
    for method, path, by_token in doors():
        if by_token:
            refused = scanner.call(method, path, entry())
            assert refused.status_code == 401
            assert refused["WWW-Authenticate"].startswith("Bearer")
            assert "valid until" in refused.json()["detail"]
    assert scanner.get("/api/openapi.json").status_code == 401


def test_staff_are_told_before_a_token_ends(
    scanner: Caller, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    APIClient.objects.update(expires_on=timezone.localdate() + datetime.timedelta(days=3))
    with caplog.at_level(logging.WARNING):
        scanner.get(WORKLIST)
        scanner.get(WORKLIST)
    assert "valid_until=" in caplog.text
    assert caplog.text.count("valid_until=") == 1
    call_command("api_token", "list")
    assert "EXPIRES SOON" in capsys.readouterr().out
    admin = Client()
    admin.force_login(get_user_model().objects.create_superuser("anna"))
    page = admin.get(reverse("admin:mwl_admin_apiclient_changelist")).content.decode()
    assert "1 token ends soon" in page
    assert "soon: " in page
    later = timezone.localdate() + datetime.timedelta(days=400)
    APIClient.objects.update(expires_on=later)
    page = admin.get(reverse("admin:mwl_admin_apiclient_changelist")).content.decode()
    assert "ends soon" not in page
    assert formats.date_format(later, "SHORT_DATE_FORMAT") in page


def test_expiry_is_set_by_command_and_on_the_page(capsys: pytest.CaptureFixture[str]) -> None:
    call_command("api_token", "make", "RIS", "--until", "2031-01-31")
    assert APIClient.objects.get().expires_on == datetime.date(2031, 1, 31)
    call_command("api_token", "list")
    assert "valid until 2031-01-31" in capsys.readouterr().out
    APIClient.objects.update(expires_on=datetime.date(2020, 1, 1))
    call_command("api_token", "list")
    assert "EXPIRED on 2020-01-01" in capsys.readouterr().out
    with pytest.raises(CommandError, match="until"):
        call_command("api_token", "renew", "RIS")
    call_command("api_token", "renew", "RIS", "--until", "2031-02-01")
    assert Caller(capsys.readouterr().out.strip()).get(WORKLIST).status_code == 200
    admin = Client()
    admin.force_login(get_user_model().objects.create_superuser("anna"))
    page = reverse("admin:mwl_admin_apiclient_change", args=[APIClient.objects.get().pk])
    values = {"name": "RIS", "can_read": "on", "enabled": "on", "station": "", "requests_per_minute": ""}
    admin.post(page, {**values, "expires_on": "01/03/2031"})
    assert APIClient.objects.get().expires_on == datetime.date(2031, 3, 1)


def test_a_token_is_revoked_on_the_page(scanner: Caller) -> None:
    admin = Client()
    admin.force_login(get_user_model().objects.create_superuser("anna"))
    scanner.get(WORKLIST)
    listed = reverse("admin:mwl_admin_apiclient_changelist")
    used = APIClient.objects.get().last_used_at
    assert used is not None
    assert formats.localize(timezone.localtime(used)) in admin.get(listed).content.decode()
    admin.post(listed, {"action": "revoke", "_selected_action": [str(APIClient.objects.get().pk)]})
    assert scanner.get(WORKLIST).status_code == 401


# --- guessing


def send(token: str, address: str, path: str = WORKLIST) -> Any:
    return Client().get(path, headers={"Authorization": f"Bearer {token}"}, REMOTE_ADDR=address)


@pytest.mark.parametrize("path", [WORKLIST, SEARCH, "/api/openapi.json", "/api/docs"])
def test_wrong_tokens_of_one_address_are_stopped_and_no_other_address_is(path: str, settings: Any) -> None:
    settings.API_WRONG_TOKENS_PER_MINUTE = 5
    _, token = APIClient.create(name="RIS")
    _, late = APIClient.create(name="late")
    assert send(token, "192.0.2.1", path).status_code == 200 or path == SEARCH
    statuses = [send(f"gw_wrong{number}", "192.0.2.1", path).status_code for number in range(8)]
    assert statuses == [401] * 5 + [429] * 3
    refused = send("gw_wrong", "192.0.2.1", path)
    assert 1 <= int(refused["Retry-After"]) <= 12
    assert refused["Content-Type"] == "application/problem+json"
    # Whoever guesses learns nothing more, and stops nobody who was at work there.
    assert send(late, "192.0.2.1", path).status_code == 429
    assert send(token, "192.0.2.1", path).status_code in {200, 204}
    assert send(late, "192.0.2.2", path).status_code in {200, 204}


def test_the_count_of_wrong_tokens_is_of_bounded_size() -> None:
    guesses = Guesses()
    for number in range(MAX_ADDRESSES + 500):
        guesses.wrong(f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}", 5, now=0.0)
    for number in range(MAX_PROVEN + 500):
        guesses.right("192.0.2.1", f"gw_{number}")
    assert len(guesses) == MAX_ADDRESSES + MAX_PROVEN


def test_a_network_of_ipv6_counts_as_one_address_and_time_forgives() -> None:
    guesses = Guesses()
    for number in range(5):
        guesses.wrong(f"2001:db8::{number}", 5, now=0.0)
    assert guesses.wait("2001:db8::ffff", "gw_x", 5, now=0.0) == 12
    assert guesses.wait("2001:db8:0:1::1", "gw_x", 5, now=0.0) == 0
    assert guesses.wait("2001:db8::ffff", "gw_x", 5, now=12.0) == 0


# --- the API's description


@pytest.mark.parametrize("path", ["/api/docs", "/api/openapi.json"])
def test_the_description_needs_a_login_or_a_token(path: str) -> None:
    browser = Client().get(path, headers={"Accept": "text/html,application/xhtml+xml"})
    assert browser.status_code == 302
    assert browser["Location"] == f"{reverse('admin:login')}?next={path}"
    for headers in ({}, {"Accept": "*/*"}, {"Accept": "application/json"}, {"Authorization": "Bearer gw_wrong"}):
        program = Client().get(path, headers=headers)
        assert program.status_code == 401
        assert program["WWW-Authenticate"] == "Bearer"
        assert json.loads(program.content)["status"] == 401
    assert caller(name="writer", can_read=False).get(path).status_code == 200
    person = Client()
    person.force_login(get_user_model().objects.create_user("bob", is_staff=False))
    assert person.get(path).status_code == 401
    person.force_login(get_user_model().objects.create_user("anna", is_staff=True))
    assert person.get(path).status_code == 200


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH"])
def test_a_station_corrects_no_patients_record(method: str, ct1: Station, scanner: Caller) -> None:
    patient = own_entry(ct1).requested_procedure.patient
    path = WORKLIST if method == "POST" else f"{WORKLIST}A-CT"
    body = entry(AccessionNumber="A-CT", PatientID=patient.patient_id, PatientName="Other^Body")
    assert scanner.call(method, f"{path}?update_patient=true", body).status_code == 403
    assert scanner.call(method, path, body).status_code == 409
    patient.refresh_from_db()
    assert patient.family_name == "Doe"
