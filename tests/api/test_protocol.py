"""HTTP itself: both spellings of an address, any accession number, HEAD, refusals, unknown parameters."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from urllib.parse import quote, urlsplit

import pytest
from django.test import Client

from mwl_admin.api.site import api
from mwl_admin.models import RequestedProcedure
from tests.api.bodies import ENTRY, entry, problems
from tests.api.conftest import Caller

pytestmark = pytest.mark.django_db


def operations() -> Iterator[tuple[str, str]]:
    """Yield method and path of each operation of the API, so that a new one is not left out."""
    for prefix, router in api._routers:
        for path, view in router.path_operations.items():
            for operation in view.operations:
                for method in operation.methods:
                    known = path.replace("{path:", "{").replace("{accession_number}", "A-5001")
                    yield method, prefix + known.replace("{patient_id}", "P-1001")


OPERATIONS = sorted(set(operations()))
ADDRESSES = sorted({path for _, path in OPERATIONS})
READABLE = [path for method, path in OPERATIONS if method == "GET"] + ["/api/openapi.json", "/api/docs"]


@pytest.mark.parametrize(("method", "path"), OPERATIONS)
def test_an_address_is_the_same_with_and_without_a_slash(ris: Caller, method: str, path: str) -> None:
    answers = []
    for spelling in (path, f"{path}/"):
        RequestedProcedure.objects.all().delete()
        if method != "POST":
            ris.post("/api/worklist", entry())
        answers.append(ris.call(method, spelling, entry()))
    assert answers[0].status_code == answers[1].status_code
    assert answers[0].status_code not in {301, 302, 307, 308, 404, 405, 500}


def test_what_is_posted_without_a_slash_is_made(ris: Caller) -> None:
    made = ris.post("/api/worklist", entry())
    assert made.status_code == 201
    assert urlsplit(made["Location"]).path == "/api/worklist/A-5001"


NUMBERS = [
    "A/1", "/", "//", "/A", "A/", "A//B", "A 1", "A%1", "A%2F1", "A?1", "A#1", "A+1", "A&1=2", "A;1", "A:1@", "Ä-1",
    "A.1", "'\"<>", "{1}", "changes", "A|1^2~", "[1]",
]  # fmt: skip


@pytest.mark.parametrize("number", NUMBERS)
def test_any_accession_number_can_be_read_changed_and_cancelled(ris: Caller, number: str) -> None:
    path = f"/api/worklist/{quote(number, safe='')}"
    made = ris.post("/api/worklist", entry(AccessionNumber=number))
    assert made.status_code == 201, made.content
    assert urlsplit(made["Location"]).path == path
    assert ris.get(path, **raw(path)).json()["AccessionNumber"] == number
    assert ris.patch(path, {"AdmissionID": "7"}, **raw(path)).status_code == 200
    changed = entry(AccessionNumber=number, AdmissionID="8")
    assert ris.put(path, changed, **raw(path)).status_code == 200
    cancelled = ris.delete(path, **raw(path)).json()
    assert cancelled["ScheduledProcedureStepSequence"][0]["ScheduledProcedureStepStatus"] == "CANCELLED"
    assert ris.get(path.replace("/worklist/", "/results/"), **raw(path)).status_code == 200
    (order,) = RequestedProcedure.objects.all()
    assert (order.accession_number, order.admission_id) == (number, "8")


def raw(path: str) -> dict[str, str]:
    return {"X-Test-Raw-Path": path}


@pytest.fixture(autouse=True)
def as_gunicorn_does(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have the test client tell the address as it was written, as the server of the site does."""
    generic = Client.generic

    def telling(self: Client, method: str, path: str, *args: Any, headers: Any = None, **extra: Any) -> Any:
        written = (headers or {}).get("X-Test-Raw-Path")
        if written:
            extra["RAW_URI"] = written
        return generic(self, method, path, *args, headers=headers, **extra)

    monkeypatch.setattr(Client, "generic", telling)


@pytest.mark.parametrize("path", READABLE)
def test_head_answers_as_get_does_without_the_body(ris: Caller, path: str) -> None:
    ris.post("/api/worklist", entry())
    got, head = ris.get(path), ris.call("HEAD", path)
    assert (head.status_code, head.content) == (got.status_code, b"")
    assert head.get("Content-Type") == got.get("Content-Type")
    assert head["Content-Length"] == str(len(got.content))


def test_what_is_cut_off_from_head_is_told_in_allow(ris: Caller) -> None:
    refused = ris.call("PURGE", "/api/changes")
    assert {part.strip() for part in refused["Allow"].split(",")} == {"GET", "HEAD"}


@pytest.mark.parametrize("path", ["/api/", "/api/nothing", "/api/worklistx", "/dicom-web/studies", "/api/a%00b"])
@pytest.mark.parametrize("method", ["GET", "POST", "DELETE", "OPTIONS"])
def test_an_address_where_nothing_is(ris: Caller, method: str, path: str) -> None:
    answer = ris.call(method, path)
    assert answer.status_code == 404
    problems(answer)


@pytest.mark.parametrize("path", ADDRESSES)
def test_a_method_that_an_address_does_not_know(ris: Caller, path: str) -> None:
    answer = ris.call("PURGE", path)
    assert answer.status_code == 405
    assert answer["Allow"]
    problems(answer)


def test_no_content_has_neither_type_nor_length(ris: Caller) -> None:
    answer = ris.get("/dicom-web/modality-scheduled-procedure-steps")
    assert (answer.status_code, answer.content) == (204, b"")
    assert not {"Content-Type", "Content-Length"} & set(answer.headers)


@pytest.mark.parametrize(
    ("method", "path"), [one for one in OPERATIONS if one[1].startswith("/api/") and "/receiver/" not in one[1]]
)
def test_a_parameter_that_is_not_known_is_named_and_nothing_is_done(
    ris: Caller, secret: str, method: str, path: str
) -> None:
    if method != "POST":
        ris.post("/api/worklist", entry())
    before = list(RequestedProcedure.objects.values())
    refused = ris.call(method, f"{path}?patientid=1&{'x' * 200}=2", entry(AdmissionID="9"))
    assert refused.status_code == 400
    assert problems(refused) == {"patientid": "unknown", "x" * 128: "unknown"}
    assert list(RequestedProcedure.objects.values()) == before


@pytest.mark.parametrize("path", ["/api/openapi.json", "/api/docs"])
def test_the_descriptions_know_no_parameters(ris: Caller, path: str) -> None:
    assert problems(ris.get(f"{path}?x=1")) == {"x": "unknown"}


def test_what_a_path_says_is_no_parameter_and_none_stands_twice(ris: Caller) -> None:
    assert problems(ris.get(f"{ENTRY}?accession_number=A-5001")) == {"accession_number": "unknown"}
    assert problems(ris.get("/api/worklist?date=20260504&date=20260505")) == {"date": "twice"}


def test_who_has_no_token_is_told_that_before_anything_else(stranger: Caller) -> None:
    assert stranger.get("/api/worklist?nonsense=1").status_code == 401
