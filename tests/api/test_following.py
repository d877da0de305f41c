"""Clients that follow changes: cursor, moment, deletions; pages of a list with their total and links."""

from __future__ import annotations

import datetime
from typing import Any
from urllib.parse import quote

import pytest
from django.utils import timezone

from mwl_admin.models import EntryChange, Patient, RequestedProcedure, ScheduledProcedureStep
from tests.api.bodies import ENTRY, STEPS, WORKLIST, entry, problems, step
from tests.api.conftest import Caller, caller
from tests.factory import make_station

pytestmark = pytest.mark.django_db
CHANGES = "/api/changes"


def get(client: Caller, path: str, **headers: str) -> Any:
    response = client.get(path, **headers)
    assert response.status_code == 200, response.content
    return response.json()


def links(response: Any) -> dict[str, str]:
    """Return the addresses of a Link header field by their relations."""
    parts = [part.split(">; rel=") for part in response["Link"].split(", ")]
    return {relation.strip('"'): address.removeprefix("<") for address, relation in parts}


def test_who_follows_gets_all_entries_first_and_then_each_change_once(ris: Caller) -> None:
    for number in range(3):
        ris.post(WORKLIST, entry(AccessionNumber=f"A-{number}"))
    seen: list[str] = []
    answer: dict[str, Any] = {"cursor": "", "more": True}
    while answer["more"]:
        answer = get(ris, f"{CHANGES}?limit=2&cursor={answer['cursor']}")
        seen += [one["AccessionNumber"] for one in answer["changed"]]
    assert sorted(seen) == ["A-0", "A-1", "A-2"]
    assert get(ris, f"{CHANGES}?cursor={answer['cursor']}")["changed"] == []
    Patient.objects.update(family_name="Meyer")
    RequestedProcedure.objects.get(accession_number="A-1").delete()
    answer = get(ris, f"{CHANGES}?cursor={answer['cursor']}")
    assert {(one["AccessionNumber"], one["PatientName"]) for one in answer["changed"]} == {
        ("A-0", "Meyer^Änne"), ("A-2", "Meyer^Änne"),
    }  # fmt: skip
    assert answer["deleted"] == ["A-1"]
    again = get(ris, f"{CHANGES}?cursor={answer['cursor']}")
    assert (again["changed"], again["deleted"], again["more"]) == ([], [], False)


def test_a_list_says_where_to_go_on(ris: Caller) -> None:
    ris.post(WORKLIST, entry())
    monitor = links(ris.get(WORKLIST))["monitor"]
    assert get(ris, monitor)["changed"] == []
    ris.patch(ENTRY, {"AdmissionID": "7"})
    assert [one["AdmissionID"] for one in get(ris, monitor)["changed"]] == ["7"]


def test_changes_come_in_dicom_json_for_who_asks(ris: Caller) -> None:
    ris.post(WORKLIST, entry())
    (one,) = get(ris, CHANGES, Accept="application/dicom+json")["changed"]
    assert one["00080050"] == {"vr": "SH", "Value": ["A-5001"]}


def test_an_entry_without_steps_shows_nothing(ris: Caller) -> None:
    ris.post(WORKLIST, entry())
    cursor = get(ris, CHANGES)["cursor"]
    ScheduledProcedureStep.objects.all().delete()
    answer = get(ris, f"{CHANGES}?cursor={cursor}")
    assert (answer["changed"], answer["deleted"]) == ([], ["A-5001"])
    assert ris.get(ENTRY).status_code == 404


def test_a_station_follows_what_it_sees_and_is_told_no_other_numbers(ris: Caller) -> None:
    ct1, _ = make_station("CT1"), make_station("CT2")
    scanner = caller(name="CT1", station=ct1)
    for number, station in (("A-1", "CT1"), ("A-2", "CT2"), ("A-3", "CT1")):
        made = ris.post(WORKLIST, entry(step(ScheduledStationAETitle=[station]), AccessionNumber=number))
        assert made.status_code == 201
    answer = get(scanner, CHANGES)
    assert sorted(one["AccessionNumber"] for one in answer["changed"]) == ["A-1", "A-3"]
    assert answer["deleted"] == []
    # What went to another station, or is deleted, is gone for this one.
    moved = {STEPS: [{"ScheduledStationAETitle": ["CT2"]}]}
    assert ris.patch(f"{WORKLIST}A-1", moved).status_code == 200
    answer = get(scanner, f"{CHANGES}?cursor={answer['cursor']}")
    assert (answer["changed"], answer["deleted"]) == ([], ["A-1"])
    RequestedProcedure.objects.exclude(accession_number="A-1").delete()
    assert get(scanner, f"{CHANGES}?cursor={answer['cursor']}")["deleted"] == ["A-3"]
    assert get(ris, f"{CHANGES}?cursor={answer['cursor']}")["deleted"] == ["A-2", "A-3"]


def moments() -> list[str]:
    now = timezone.localtime()
    return [
        now.isoformat(), now.astimezone(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ"), now.strftime("%Y%m%d%H%M%S.%f%z"),
        now.strftime("%Y%m%d%H%M%S"), now.strftime("%Y%m%d%H"), now.strftime("%Y%m%d"), now.strftime("%Y-%m-%d"),
    ]  # fmt: skip


@pytest.mark.parametrize("form", range(7))
@pytest.mark.parametrize("path", [WORKLIST, CHANGES])
def test_a_moment_is_understood_in_dicoms_forms_and_iso(ris: Caller, form: int, path: str) -> None:
    ris.post(WORKLIST, entry(AccessionNumber="A-0"))
    EntryChange.objects.update(changed_at=timezone.now() - datetime.timedelta(days=2))
    moment = moments()[form]
    ris.post(WORKLIST, entry())
    for written in {quote(moment), moment}:  # a plus that was not encoded
        answer = get(ris, f"{path}?updated_since={written}")
        found = answer["changed"] if path == CHANGES else answer
        assert [one["AccessionNumber"] for one in found] == ["A-5001"]


@pytest.mark.parametrize(
    ("date", "numbers"),
    [
        ("20260504", ["A-4"]),
        ("2026-05-04", ["A-4"]),
        ("20260504-20260505", ["A-5", "A-4"]),
        ("2026-05-05-2026-05-09", ["A-6", "A-5"]),
        ("20260505-", ["A-6", "A-5"]),
        ("-20260505", ["A-5", "A-4"]),
        ("20260510-20260501", []),
    ],
)
def test_days_are_understood_as_dicom_writes_them(ris: Caller, date: str, numbers: list[str]) -> None:
    for day in (4, 5, 6):
        ris.post(WORKLIST, entry(step(ScheduledProcedureStepStartDate=f"2026050{day}"), AccessionNumber=f"A-{day}"))
    assert [one["AccessionNumber"] for one in get(ris, f"{WORKLIST}?date={date}")] == numbers


def test_a_status_counts_on_those_days(ris: Caller) -> None:
    two = (step(), step(Modality="MR", ScheduledProcedureStepStartDate="20260505"))
    made = ris.post(WORKLIST, entry(*two)).json()["ScheduledProcedureStepSequence"]
    ris.delete(f"{ENTRY}?step={made[1]['ScheduledProcedureStepID']}")
    assert len(get(ris, f"{WORKLIST}?status=CANCELLED&date=20260505")) == 1
    assert get(ris, f"{WORKLIST}?status=CANCELLED&date=20260504") == []


@pytest.mark.parametrize(
    ("name", "wrong"),
    [
        *(("date", wrong) for wrong in ("20260230", "2026050", "-", "20260504-x", "2026050420260505", "%D9%A0")),
        *(("updated_since", wrong) for wrong in ("20261301", "soon", "1", "2026050499", "0000", "%00")),
    ],
)
def test_a_date_that_is_none_is_named(ris: Caller, name: str, wrong: str) -> None:
    refused = ris.get(f"{WORKLIST}?{name}={wrong}")
    assert refused.status_code == 400, refused.content
    assert name in problems(refused)


def test_pages_have_a_total_and_links(ris: Caller) -> None:
    for number in range(5):
        ris.post(WORKLIST, entry(AccessionNumber=f"A-{number}", PatientID="Ä 1"))
    found: list[str] = []
    path = f"{WORKLIST}?limit=2&patient_id={quote('Ä 1')}"
    while path:
        page = ris.get(path)
        assert page["X-Total-Count"] == "5"
        found += [one["AccessionNumber"] for one in page.json()]
        path = links(page).get("next", "")
    assert found == ["A-4", "A-3", "A-2", "A-1", "A-0"]
    before = links(page)["prev"]
    assert [one["AccessionNumber"] for one in ris.get(before).json()] == ["A-2", "A-1"]
    assert [one["AccessionNumber"] for one in ris.get(links(page)["first"]).json()] == ["A-4", "A-3"]
    assert [one["AccessionNumber"] for one in ris.get(links(page)["last"]).json()] == ["A-0"]
    assert "prev" not in links(ris.get(f"{WORKLIST}?limit=2"))


def test_a_cursor_that_is_none_or_of_no_use_any_more_is_said(ris: Caller) -> None:
    refused = ris.get(f"{CHANGES}?cursor=x")
    assert (refused.status_code, "cursor" in problems(refused)) == (400, True)
    cursor = get(ris, CHANGES)["cursor"]
    gone = ris.get(f"{CHANGES}?cursor={'0' * 12}{cursor[12:]}")
    assert (gone.status_code, problems(gone)) == (410, {"cursor": "gone"})
    both = ris.get(f"{CHANGES}?cursor={cursor}&updated_since=20260504")
    assert (both.status_code, "updated_since" in problems(both)) == (400, True)
    for limit in (0, 501):
        assert ris.get(f"{CHANGES}?limit={limit}").status_code == 400


def test_a_rehearsal_is_no_change(ris: Caller) -> None:
    cursor = get(ris, CHANGES)["cursor"]
    ris.post(f"{WORKLIST}?dry_run=1", entry())
    assert get(ris, f"{CHANGES}?cursor={cursor}")["changed"] == []
