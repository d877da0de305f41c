"""Who may call the API, how often, and what the log keeps of it."""

from __future__ import annotations

import logging
from typing import Any

import pytest
from django.contrib.auth import get_user_model
from django.core.management import CommandError, call_command
from django.test import Client
from django.urls import reverse

from mwl_admin.api.tokens import Buckets
from mwl_admin.models import APIClient
from tests.api.bodies import ENTRY, WORKLIST, entry, problems
from tests.api.conftest import Caller, caller

pytestmark = pytest.mark.django_db

SEARCH = "/dicom-web/modality-scheduled-procedure-steps"
OPERATIONS = [
    ("GET", SEARCH, "read"),
    ("GET", WORKLIST, "read"),
    ("GET", ENTRY, "read"),
    ("POST", WORKLIST, "write"),
    ("PUT", ENTRY, "write"),
    ("PATCH", ENTRY, "write"),
    ("DELETE", ENTRY, "write"),
    ("GET", "/api/results/A-5001", "read"),
]


@pytest.mark.parametrize(("method", "path", "scope"), OPERATIONS)
def test_each_operation_needs_a_token_with_its_scope(method: str, path: str, scope: str) -> None:
    reader, writer = caller(name="reader", can_write=False), caller(name="writer", can_read=False)
    refused = Caller().call(method, path, entry())
    assert refused.status_code == 401
    assert refused["WWW-Authenticate"] == "Bearer"
    problems(refused)
    wrong, right = (writer, reader) if scope == "read" else (reader, writer)
    assert wrong.call(method, path, entry()).status_code == 403
    assert right.call(method, path, entry()).status_code not in {401, 403, 405, 500}


@pytest.mark.parametrize("header", ["Bearer", "Bearer ", "Bearer gw_wrong", "Basic Z3dfOng=", "gw_x", "Bearer \u00e9"])
def test_a_token_that_is_not_known_is_refused(ris: Caller, header: str) -> None:
    assert Caller().call("GET", WORKLIST, headers={"Authorization": header}).status_code == 401


def test_a_logged_in_person_is_no_client(ris: Caller, client: Client) -> None:
    client.force_login(get_user_model().objects.create_superuser("anna"))
    assert client.get(WORKLIST).status_code == 401
    assert client.post(WORKLIST, entry(), content_type="application/json").status_code == 401


def test_a_client_that_is_switched_off_is_refused_at_once(ris: Caller) -> None:
    assert ris.get(WORKLIST).status_code == 200
    APIClient.objects.update(enabled=False)
    assert ris.get(WORKLIST).status_code == 401


def test_of_a_token_only_a_hash_is_kept() -> None:
    client, token = APIClient.create(name="RIS")
    values = [str(value) for value in APIClient.objects.values().get(pk=client.pk).values()]
    assert not any(token in value for value in values)
    assert len(token) > 40


def test_the_last_use_is_noted(ris: Caller) -> None:
    ris.get(WORKLIST)
    first = APIClient.objects.get().last_used_at
    assert first is not None
    ris.get(WORKLIST)
    assert APIClient.objects.get().last_used_at == first


def test_too_many_requests_are_told_when_to_come_again() -> None:
    slow, other = caller(name="slow", requests_per_minute=2), caller(name="other")
    assert [slow.get(WORKLIST).status_code for _ in range(3)] == [200, 200, 429]
    refused = slow.get(WORKLIST)
    assert 1 <= int(refused["Retry-After"]) <= 30
    assert other.get(WORKLIST).status_code == 200


def test_the_limit_of_all_clients_is_a_setting(ris: Caller, settings: Any) -> None:
    settings.API_REQUESTS_PER_MINUTE = 1
    assert [ris.get(WORKLIST).status_code for _ in range(2)] == [200, 429]


def test_a_bucket_fills_again_with_time() -> None:
    buckets = Buckets()
    assert [buckets.take(1, 2, now=0.0) for _ in range(3)] == [0, 0, 30]
    assert buckets.take(1, 2, now=30.0) == 0
    assert buckets.take(1, 2, now=30.0) > 0
    assert buckets.take(1, 2, now=9999.0) == 0


def test_the_log_names_client_and_route_and_no_patient(ris: Caller, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        ris.post(WORKLIST, entry())
        ris.patch(ENTRY, {"PatientName": "Secret^Name\\"})
        ris.get(f"{SEARCH}?PatientName=Secret")
        ris.get(f"{WORKLIST}A-404")
    text = caplog.text
    assert "client=RIS" in text
    assert "route=/api/worklist/<path:accession_number>" in text
    for patient in ("Secret", "Müller", "P-1001", "19500701"):
        assert patient not in text


def test_a_method_that_is_not_there(ris: Caller) -> None:
    assert ris.call("DELETE", WORKLIST).status_code == 405
    assert ris.call("POST", SEARCH).status_code == 405


def test_the_openapi_document_names_each_operation(ris: Caller) -> None:
    document = ris.get("/api/openapi.json").json()
    for method, path, _ in OPERATIONS:
        template = path.replace("A-5001", "{accession_number}").removesuffix("/")
        operation = document["paths"][template][method.lower()]
        assert operation["security"] == [{"Token": []}]
        assert "401" in operation["responses"] or 401 in operation["responses"]
    steps = document["components"]["schemas"]["ShownEntry"]["properties"]["ScheduledProcedureStepSequence"]
    assert "ScheduledStationAETitle" in steps["items"]["properties"]


def test_the_page_of_the_api_loads_nothing_from_elsewhere(ris: Caller) -> None:
    page = ris.get("/api/docs").content.decode()
    assert "/static/ninja/swagger-ui-bundle" in page
    assert "http://" not in page
    assert "https://" not in page
    assert "//cdn" not in page


def test_tokens_are_made_renewed_listed_and_ended_by_command(capsys: pytest.CaptureFixture[str]) -> None:
    call_command("api_token", "make", "RIS", "--write")
    token = capsys.readouterr().out.strip()
    assert Caller(token).post(WORKLIST, entry()).status_code == 201
    call_command("api_token", "renew", "RIS")
    renewed = capsys.readouterr().out.strip()
    assert Caller(token).get(WORKLIST).status_code == 401
    assert Caller(renewed).get(WORKLIST).status_code == 200
    call_command("api_token", "list")
    listed = capsys.readouterr().out
    assert "RIS: read, write" in listed
    assert renewed not in listed
    call_command("api_token", "end", "RIS")
    assert Caller(renewed).get(WORKLIST).status_code == 401
    for arguments in (["make", "RIS"], ["make", "x", "--station", "NONE"], ["renew", "nobody"], ["end", "nobody"]):
        with pytest.raises(CommandError):
            call_command("api_token", *arguments)


def test_a_token_is_shown_once_in_the_admin(client: Client) -> None:
    client.force_login(get_user_model().objects.create_superuser("anna"))
    values = {"name": "RIS", "can_read": "on", "enabled": "on", "station": "", "requests_per_minute": ""}
    shown = client.post(reverse("admin:mwl_admin_apiclient_add"), values, follow=True).content.decode()
    made = APIClient.objects.get()
    token = next(word for word in shown.replace("<", " ").split() if word.startswith("gw_") and len(word) > 40)
    assert Caller(token).get(WORKLIST).status_code == 200
    assert token not in client.get(reverse("admin:mwl_admin_apiclient_change", args=[made.pk])).content.decode()
    action = {"action": "renew", "_selected_action": [str(made.pk)]}
    again = client.post(reverse("admin:mwl_admin_apiclient_changelist"), action, follow=True).content.decode()
    assert "shown only now" in again
    assert Caller(token).get(WORKLIST).status_code == 401
