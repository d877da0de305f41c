"""Entries over HTTP: made, read, changed, cancelled; and each way to be refused."""

from __future__ import annotations

import json
from typing import Any

import pytest
from django.utils import timezone

from mwl_admin.models import (
    Patient,
    ProtocolCode,
    RequestedProcedure,
    ScheduledProcedureStep,
    StepStatus,
    WorklistDelivery,
    WorklistQuery,
)
from tests.api.bodies import ENTRY, STEPS, WORKLIST, entry, problems, step
from tests.api.conftest import Caller
from tests.factory import make_code, make_procedure, make_station

pytestmark = pytest.mark.django_db


def test_an_entry_is_made_and_can_be_read(ris: Caller) -> None:
    make_station()
    made = ris.post(WORKLIST, entry(step(ScheduledStationAETitle=["CT1"]), PatientWeight=68.5, Allergies=["Iodine"]))
    assert made.status_code == 201, made.content
    assert made["Location"].endswith(ENTRY)
    shown = ris.get(ENTRY).json()
    assert shown == made.json()
    assert shown["PatientName"] == "Müller^Änne"
    assert shown["PatientWeight"] == 68.5
    assert shown["Allergies"] == ["Iodine"]
    assert shown["StudyInstanceUID"].startswith("2.25.")
    (only,) = shown[STEPS]
    assert only["ScheduledStationAETitle"] == ["CT1"]
    assert only["ScheduledProcedureStepStatus"] == "SCHEDULED"
    assert RequestedProcedure.objects.get().patient.patient_birth_date is not None


def test_dicom_json_and_the_short_form_say_the_same(ris: Caller) -> None:
    body = {
        "00080050": {"vr": "SH", "Value": ["A-5001"]},
        "00100020": {"vr": "LO", "Value": ["P-1001"]},
        "00100010": {"vr": "PN", "Value": [{"Alphabetic": "Yamada^Tarou", "Ideographic": "山田^太郎"}]},
        "001021C0": {"vr": "US", "Value": [1]},
        "00101030": {"vr": "DS", "Value": [72.5]},
        "00400100": {
            "vr": "SQ",
            "Value": [
                {
                    "00080060": {"vr": "CS", "Value": ["CT"]},
                    "00400002": {"vr": "DA", "Value": ["20260504"]},
                    "00400003": {"vr": "TM", "Value": ["103000"]},
                }
            ],
        },
    }
    headers = {"Content-Type": "application/dicom+json", "Accept": "application/dicom+json"}
    made = ris.call("POST", WORKLIST, [body], headers=headers)
    assert made.status_code == 201, made.content
    assert made["Content-Type"] == "application/dicom+json"
    (data_set,) = made.json()
    for tag, element in body.items():
        if tag != "00400100":
            assert data_set[tag] == element
    short = ris.get(ENTRY).json()
    assert short["PatientName"] == "Yamada^Tarou=山田^太郎"
    assert (short["PregnancyStatus"], short["PatientWeight"]) == (1, 72.5)


def test_a_step_for_any_station_stays_so_when_what_was_read_is_sent_back(ris: Caller) -> None:
    make_station()
    ris.post(WORKLIST, entry(step()))
    shown = ris.get(ENTRY).json()
    assert "ScheduledStationAETitle" not in shown[STEPS][0]
    assert ris.put(ENTRY, shown).status_code == 200
    assert not ScheduledProcedureStep.objects.get().stations.exists()


def test_what_was_read_can_be_sent_back_and_changes_nothing(ris: Caller) -> None:
    make_station()
    make_procedure()
    code = {"CodeValue": "169069000", "CodingSchemeDesignator": "SCT", "CodeMeaning": "CT of thorax"}
    ris.post(
        WORKLIST,
        entry(
            step(ScheduledStationAETitle=["CT1"], ScheduledProtocolCodeSequence=[code], PreMedication="none"),
            step(ScheduledProcedureStepStartTime="1100", ScheduledProcedureStepLocation="room 2"),
            RequestedProcedureCodeSequence=[code],
            ReasonForRequestedProcedureCodeSequence=[code],
            PatientSize=1.7,
        ),
    )
    read = ris.get(ENTRY)
    for send in (ris.put, ris.patch):
        again = send(ENTRY, read.json())
        assert again.status_code == 200, again.content
        assert again["ETag"] == read["ETag"]
    in_dicom_json = ris.get(ENTRY, Accept="application/dicom+json")
    again = ris.put(ENTRY, in_dicom_json.content, **{"Content-Type": "application/dicom+json"})
    assert again.status_code == 200, again.content
    assert again["ETag"] == read["ETag"]
    assert ProtocolCode.objects.count() == 1


def test_the_same_entry_again_is_no_second_one(ris: Caller) -> None:
    first, again = ris.post(WORKLIST, entry()), ris.post(WORKLIST, entry())
    assert (first.status_code, again.status_code) == (201, 200)
    assert again.json() == first.json()
    assert again["ETag"] == first["ETag"]
    assert ScheduledProcedureStep.objects.count() == 1


def test_another_entry_of_the_same_accession_number_is_a_conflict_that_says_where(ris: Caller) -> None:
    ris.post(WORKLIST, entry())
    refused = ris.post(WORKLIST, entry(step(Modality="MR"), RequestedProcedureDescription="MR knee"))
    assert refused.status_code == 409
    assert problems(refused) == {f"{STEPS}[1].Modality": "exists", "RequestedProcedureDescription": "exists"}
    assert "knee" not in refused.content.decode()
    assert ScheduledProcedureStep.objects.get().modality == "CT"


def test_an_accession_number_is_made_when_none_is_given(ris: Caller) -> None:
    body = entry()
    del body["AccessionNumber"]
    made = ris.post(WORKLIST, body)
    assert made.status_code == 201
    assert made["Location"].endswith(made.json()["AccessionNumber"])


def test_the_catalogue_fills_an_entry_that_names_its_code(ris: Caller) -> None:
    make_procedure(usual_station=make_station())
    body = entry(
        {"ScheduledProcedureStepStartDate": "20260504", "ScheduledProcedureStepStartTime": "1030"},
        RequestedProcedureCodeSequence=[
            {"CodeValue": "169069000", "CodingSchemeDesignator": "SCT", "CodeMeaning": "thorax"}
        ],
    )
    made = ris.post(WORKLIST, body)
    assert made.status_code == 201, made.content
    (only,) = made.json()[STEPS]
    assert (only["Modality"], only["ScheduledStationAETitle"]) == ("CT", ["CT1"])


def test_a_change_touches_what_it_names(ris: Caller) -> None:
    ris.post(WORKLIST, entry(ReasonForTheRequestedProcedure="cough"))
    changed = ris.patch(ENTRY, {STEPS: [{"ScheduledProcedureStepStartTime": "1115"}]})
    assert changed.status_code == 200, changed.content
    assert changed.json()["ReasonForTheRequestedProcedure"] == "cough"
    assert changed.json()[STEPS][0]["ScheduledProcedureStepStartTime"] == "111500"
    emptied = ris.patch(ENTRY, {"ReasonForTheRequestedProcedure": None})
    assert "ReasonForTheRequestedProcedure" not in emptied.json()


def test_put_makes_and_then_replaces(ris: Caller) -> None:
    assert ris.put(ENTRY, entry(step(), step(), ReasonForTheRequestedProcedure="cough")).status_code == 201
    replaced = ris.put(ENTRY, entry(step(CommentsOnTheScheduledProcedureStep="first")))
    assert replaced.status_code == 200, replaced.content
    assert "ReasonForTheRequestedProcedure" not in replaced.json()
    statuses = [one["ScheduledProcedureStepStatus"] for one in replaced.json()[STEPS]]
    assert statuses == ["SCHEDULED", "CANCELLED"]
    assert Patient.objects.get().patient_sex == "F"


def test_an_entry_is_cancelled_once_and_stays_readable(ris: Caller) -> None:
    ris.post(WORKLIST, entry())
    for _ in range(2):
        cancelled = ris.delete(f"{ENTRY}?reason=patient+moved")
        assert cancelled.status_code == 200, cancelled.content
        assert cancelled.json()[STEPS][0]["ScheduledProcedureStepStatus"] == "CANCELLED"
    only = ScheduledProcedureStep.objects.get()
    assert (only.status, only.status_reason) == (StepStatus.CANCELLED, "patient moved")


def test_one_step_is_cancelled_by_its_id(ris: Caller) -> None:
    made = ris.post(WORKLIST, entry(step(), step()))
    second = made.json()[STEPS][1]["ScheduledProcedureStepID"]
    assert ris.delete(f"{ENTRY}?step={second}").status_code == 200
    assert [one.status for one in ScheduledProcedureStep.objects.order_by("pk")] == ["SCHEDULED", "CANCELLED"]
    assert ris.delete(f"{ENTRY}?step=S-none").status_code == 404


@pytest.mark.parametrize("status", [StepStatus.STARTED, StepStatus.COMPLETED])
def test_what_has_begun_is_not_cancelled(ris: Caller, status: StepStatus) -> None:
    ris.post(WORKLIST, entry(step(), step()))
    first, second = ScheduledProcedureStep.objects.order_by("pk")
    first.transition(status)
    refused = ris.delete(ENTRY)
    assert refused.status_code == 409
    assert problems(refused) == {"ScheduledProcedureStepStatus": "status"}
    second.refresh_from_db()
    assert second.status == StepStatus.SCHEDULED


def test_what_is_over_is_not_changed(ris: Caller) -> None:
    ris.post(WORKLIST, entry())
    ScheduledProcedureStep.objects.get().transition(StepStatus.COMPLETED)
    assert ris.post(WORKLIST, entry()).status_code == 200
    refused = ris.patch(ENTRY, {STEPS: [{"ScheduledProcedureStepStartTime": "1200"}]})
    assert refused.status_code == 409
    assert problems(refused) == {f"{STEPS}[1].ScheduledProcedureStepStatus": "status"}


def test_the_arrival_of_a_patient_can_be_told_and_is_not_taken_back_by_the_old_order(ris: Caller) -> None:
    ris.post(WORKLIST, entry())
    arrived = ris.patch(ENTRY, {STEPS: [{"ScheduledProcedureStepStatus": "ARRIVED"}]})
    assert arrived.json()[STEPS][0]["ScheduledProcedureStepStatus"] == "ARRIVED"
    again = ris.post(WORKLIST, entry(step(ScheduledProcedureStepStatus="SCHEDULED")))
    assert again.status_code == 200
    assert again.json()[STEPS][0]["ScheduledProcedureStepStatus"] == "ARRIVED"


def test_of_two_who_change_the_same_version_the_second_is_told(ris: Caller) -> None:
    tag = ris.post(WORKLIST, entry())["ETag"]
    change = {"ReasonForTheRequestedProcedure": "cough"}
    assert ris.patch(ENTRY, change, **{"If-Match": tag}).status_code == 200
    for refused in (
        ris.patch(ENTRY, {"ReasonForTheRequestedProcedure": "fall"}, **{"If-Match": tag}),
        ris.put(ENTRY, entry(), **{"If-Match": tag}),
        ris.delete(ENTRY, **{"If-Match": tag}),
    ):
        assert refused.status_code == 412
    assert RequestedProcedure.objects.get().reason_for_the_requested_procedure == "cough"


def test_the_history_says_which_system_it_was(ris: Caller) -> None:
    ris.post(WORKLIST, entry())
    order = RequestedProcedure.objects.get()
    assert order.history.first().history_change_reason == "API: RIS"


@pytest.mark.parametrize(
    ("change", "attribute"),
    [
        ({"PatientID": ""}, "PatientID"),
        ({"PatientID": "P\\1"}, "PatientID"),
        ({"PatientName": "^^"}, "PatientName"),
        ({"PatientName": "a^b^c^d^e^f"}, "PatientName"),
        ({"PatientName": {"Alphabet": "x"}}, "PatientName"),
        ({"PatientName": ["a", "b"]}, "PatientName"),
        ({"PatientBirthDate": "19800231"}, "PatientBirthDate"),
        ({"PatientBirthDate": 19800231.5}, "PatientBirthDate"),
        ({"PatientSex": "W"}, "PatientSex"),
        ({"PatientSize": 172}, "PatientSize"),
        ({"PatientWeight": "NaN"}, "PatientWeight"),
        ({"PatientWeight": 1e300}, "PatientWeight"),
        ({"PregnancyStatus": 9}, "PregnancyStatus"),
        ({"Allergies": ["x" * 65]}, "Allergies"),
        ({"AccessionNumber": "A" * 17}, "AccessionNumber"),
        ({"AccessionNumber": True}, "AccessionNumber"),
        ({"StudyInstanceUID": "1..2"}, "StudyInstanceUID"),
        ({"RequestedProcedurePriority": "SOON"}, "RequestedProcedurePriority"),
        ({"RequestedProcedureDescription": "a\nb"}, "RequestedProcedureDescription"),
        ({"RequestedProcedureDescription": "a\x00b"}, "RequestedProcedureDescription"),
        ({"RequestedProcedureDescription": "\ud800"}, "RequestedProcedureDescription"),
        ({"RequestedProcedureCodeSequence": [{"CodeValue": "1"}]}, "RequestedProcedureCodeSequence"),
        ({"RequestedProcedureCodeSequence": "x"}, "RequestedProcedureCodeSequence"),
        ({"ReferringPhysicianName": "a=b=c=d"}, "ReferringPhysicianName"),
        ({STEPS: []}, STEPS),
        ({STEPS: "x"}, STEPS),
        ({STEPS: [1]}, STEPS),
        ({STEPS: [step()] * 101}, STEPS),
        ({"Modality": "CT"}, "Modality"),
        ({"ShoeSize": 42}, "ShoeSize"),
        ({"PixelData": "x"}, "PixelData"),
        ({"00100020": "P-1"}, "PatientID"),
        ({"PatientID": {"vr": "SH", "Value": ["P"]}}, "PatientID"),
        ({"PatientID": {"vr": "LO", "Value": "P"}}, "PatientID"),
        ({"PatientID": {"vr": "LO", "InlineBinary": "UA=="}}, "PatientID"),
    ],
)
def test_a_value_that_is_wrong_is_named(ris: Caller, change: dict[str, Any], attribute: str) -> None:
    refused = ris.post(WORKLIST, entry(**change))
    assert refused.status_code == 422, refused.content
    assert attribute in problems(refused), refused.content
    assert not Patient.objects.exists()


@pytest.mark.parametrize(
    ("change", "attribute"),
    [
        ({"Modality": ""}, "Modality"),
        ({"Modality": "C-T"}, "Modality"),
        ({"ScheduledProcedureStepStartDate": "tomorrow"}, "ScheduledProcedureStepStartDate"),
        ({"ScheduledProcedureStepStartDate": "20260504-20260505"}, "ScheduledProcedureStepStartDate"),
        ({"ScheduledProcedureStepStartTime": ""}, "ScheduledProcedureStepStartTime"),
        ({"ScheduledProcedureStepStartTime": "2500"}, "ScheduledProcedureStepStartTime"),
        ({"ScheduledStationAETitle": ["CT9"]}, "ScheduledStationAETitle"),
        ({"ScheduledProcedureStepStatus": "CANCELLED"}, "ScheduledProcedureStepStatus"),
        ({"ScheduledProcedureStepStatus": "ASLEEP"}, "ScheduledProcedureStepStatus"),
        ({"ScheduledProcedureStepID": "S" * 17}, "ScheduledProcedureStepID"),
        ({"ScheduledProtocolCodeSequence": [{"CodeValue": "1"}]}, "ScheduledProtocolCodeSequence"),
        ({"PatientID": "P"}, "PatientID"),
    ],
)
def test_a_step_that_is_wrong_is_named_with_its_number(ris: Caller, change: dict[str, Any], attribute: str) -> None:
    refused = ris.post(WORKLIST, entry(step(), step(**change)))
    assert refused.status_code == 422, refused.content
    assert f"{STEPS}[2].{attribute}" in problems(refused), refused.content


def test_all_that_is_wrong_is_told_at_once(ris: Caller) -> None:
    refused = ris.post(WORKLIST, entry(step(Modality="?"), PatientSex="W", PatientBirthDate="x"))
    assert problems(refused).keys() == {"PatientSex", "PatientBirthDate", f"{STEPS}[1].Modality"}


def test_what_contradicts_the_worklist_is_a_conflict(ris: Caller) -> None:
    made = ris.post(WORKLIST, entry(step(ScheduledProcedureStepID="S-1"), StudyInstanceUID="2.25.1")).json()
    other = {"AccessionNumber": "A-2"}
    cases = [
        (entry(PatientID="P-2"), "PatientID"),
        (entry(**other, PatientName="Doe^John", PatientBirthDate="19710228"), "PatientID"),
        (entry(**other, StudyInstanceUID="2.25.1"), "StudyInstanceUID"),
        (entry(StudyInstanceUID="2.25.2"), "StudyInstanceUID"),
        (entry(step(ScheduledProcedureStepID="S-1"), **other), "ScheduledProcedureStepID"),
    ]
    for body, attribute in cases:
        refused = ris.put(f"{WORKLIST}{body['AccessionNumber']}", body)
        assert refused.status_code == 409, refused.content
        assert attribute in problems(refused)
    assert ris.get(ENTRY).json() == made


def test_an_entry_that_is_not_there(ris: Caller) -> None:
    for refused in (ris.get(ENTRY), ris.patch(ENTRY, {"PatientSex": "F"}), ris.delete(ENTRY)):
        assert refused.status_code == 404
        assert problems(refused) == {"AccessionNumber": "unknown"}


def test_the_address_and_the_body_must_agree(ris: Caller) -> None:
    refused = ris.put(ENTRY, entry(AccessionNumber="A-2"))
    assert refused.status_code == 422
    assert problems(refused).keys() == {"AccessionNumber"}


@pytest.mark.parametrize(
    ("body", "kind", "status"),
    [
        (b"{", "application/json", 400),
        (b"\xff\xfe\x00", "application/json", 400),
        (b"[" * 100_000, "application/json", 400),
        (b"null", "application/json", 422),
        (b"[]", "application/json", 422),
        (b"x=1", "application/x-www-form-urlencoded", 415),
        (b"<a/>", "application/xml", 415),
        (b'"' + b"x" * (1024 * 1024) + b'"', "application/json", 413),
        (b'"' + b"x" * (4 * 1024 * 1024) + b'"', "application/json", 413),
    ],
)
def test_a_body_that_is_no_entry(ris: Caller, body: bytes, kind: str, status: int) -> None:
    refused = ris.call("POST", WORKLIST, body, headers={"Content-Type": kind})
    assert refused.status_code == status
    problems(refused)


def test_entries_are_listed_by_day_patient_status_and_change(ris: Caller) -> None:
    ris.post(WORKLIST, entry())
    ris.post(WORKLIST, entry(step(ScheduledProcedureStepStartDate="20260505"), AccessionNumber="A-2", PatientID="P-2"))
    ris.delete(f"{WORKLIST}A-2")

    def numbers(query: str) -> list[str]:
        response = ris.get(f"{WORKLIST}?{query}")
        assert response.status_code == 200, response.content
        return [one["AccessionNumber"] for one in response.json()]

    assert numbers("") == ["A-2", "A-5001"]
    assert numbers("date=2026-05-04") == ["A-5001"]
    assert numbers("patient_id=P-2") == ["A-2"]
    assert numbers("status=CANCELLED") == ["A-2"]
    assert numbers("updated_since=2000-01-01T00:00:00Z&limit=1") == ["A-2"]
    assert numbers("limit=1&offset=1") == ["A-5001"]
    assert numbers("updated_since=2999-01-01T00:00:00") == []


@pytest.mark.parametrize(
    ("query", "name"),
    [
        ("date=x", "date"),
        ("status=GONE", "status"),
        ("limit=0", "limit"),
        ("limit=x", "limit"),
        ("offset=-1", "offset"),
        ("updated_since=soon", "updated_since"),
        ("patient_id=%00", "patient_id"),
    ],
)
def test_a_wrong_parameter_is_named(ris: Caller, query: str, name: str) -> None:
    refused = ris.get(f"{WORKLIST}?{query}")
    assert refused.status_code == 400
    assert name in problems(refused)


def test_answers_are_not_kept_by_caches(ris: Caller) -> None:
    ris.post(WORKLIST, entry())
    for path in (ENTRY, WORKLIST):
        assert ris.get(path)["Cache-Control"] == "no-store"
    json.loads(ris.get(WORKLIST).content)


def described(modality: str, description: str, **values: Any) -> dict[str, Any]:
    return step(Modality=modality, ScheduledProcedureStepDescription=description, **values)


def by_id(response: Any) -> dict[str, tuple[str, str, str]]:
    return {
        one["ScheduledProcedureStepID"]: (
            one["Modality"],
            one["ScheduledProcedureStepDescription"],
            one["ScheduledProcedureStepStatus"],
        )
        for one in response.json()[STEPS]
    }


def test_a_put_with_fewer_steps_turns_none_into_another(ris: Caller) -> None:
    before = by_id(ris.put(ENTRY, entry(described("CT", "thorax"), described("MR", "knee"), described("CT", "head"))))
    for rest in ([described("MR", "knee"), described("CT", "head")], [described("CT", "head")]):
        replaced = ris.put(ENTRY, entry(*rest))
        assert replaced.status_code == 200, replaced.content
        kept = {one["ScheduledProcedureStepDescription"] for one in rest}
        assert by_id(replaced) == {
            step_id: (modality, description, "SCHEDULED" if description in kept else "CANCELLED")
            for step_id, (modality, description, _) in before.items()
        }


ALIKE: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "stations": ({"ScheduledStationAETitle": ["CT1"]}, {"ScheduledStationAETitle": ["CT2"]}),
    "times": ({"ScheduledProcedureStepStartTime": "1200"}, {"ScheduledProcedureStepStartTime": "14:00"}),
    "both": (
        {"ScheduledStationAETitle": "CT1", "ScheduledProcedureStepStartTime": "1200"},
        {"ScheduledStationAETitle": "CT2", "ScheduledProcedureStepStartTime": "1400"},
    ),
}


@pytest.mark.parametrize("told", ALIKE)
def test_of_alike_steps_a_put_means_the_one_at_that_station_and_time(ris: Caller, told: str) -> None:
    for ae_title in ("CT1", "CT2", "CT3"):
        make_station(ae_title)
    first, second = (described("CT", "x", **values) for values in ALIKE[told])
    made = ris.put(ENTRY, entry(first, second)).json()[STEPS]
    assert ris.put(ENTRY, entry(second, first)).status_code == 200
    assert sorted(map(_known, ris.get(ENTRY).json()[STEPS])) == sorted(map(_known, made)), "the order says nothing"
    elsewhere = {"ScheduledStationAETitle": "CT3", "ScheduledProcedureStepStartTime": "1900"}
    refused = ris.put(ENTRY, entry(described("CT", "x", **elsewhere)))
    assert refused.status_code == 422
    assert list(problems(refused).values()) == ["ambiguous"]
    assert ris.put(ENTRY, entry(second)).status_code == 200
    after = {one["ScheduledProcedureStepID"]: one for one in ris.get(ENTRY).json()[STEPS]}
    assert [after[one["ScheduledProcedureStepID"]]["ScheduledProcedureStepStatus"] for one in made] == [
        "CANCELLED",
        "SCHEDULED",
    ]
    assert _known(after[made[1]["ScheduledProcedureStepID"]]) == _known(made[1])


def _known(one: dict[str, Any]) -> tuple[str, ...]:
    names = ("ScheduledProcedureStepID", "ScheduledStationAETitle", "ScheduledProcedureStepStartTime")
    return tuple(str(one.get(name)) for name in names)


def test_what_is_named_twice_or_is_no_number_is_refused(ris: Caller) -> None:
    body = json.dumps(entry())
    twice = body.replace('"PatientID"', '"PatientID": "DUP9", "PatientID"', 1)
    refused = ris.put(ENTRY, twice)
    assert refused.status_code == 400
    assert "PatientID" in problems(refused)
    for number in ("1e999", "-1e999", "NaN", "Infinity"):
        assert ris.put(ENTRY, body.replace('"P-1001"', number)).status_code == 400
    assert not RequestedProcedure.objects.exists()


def test_a_put_that_may_mean_one_step_or_another_is_refused(ris: Caller) -> None:
    before = by_id(ris.put(ENTRY, entry(described("CT", "thorax"), described("MR", "knee"), described("CT", "head"))))
    for unclear in ([step()], [described("CT", "abdomen"), described("MR", "knee")]):
        refused = ris.put(ENTRY, entry(*unclear))
        assert refused.status_code == 422
        assert list(problems(refused).values()) == ["ambiguous"]
    assert by_id(ris.get(ENTRY)) == before


@pytest.mark.parametrize(
    ("recorded", "delivered", "status"), [(True, True, 409), (True, False, 200), (False, False, 409)]
)
def test_what_a_modality_has_read_under_a_step_id_stays_of_its_modality(
    ris: Caller, settings: Any, recorded: bool, delivered: bool, status: int
) -> None:
    settings.RECORD_QUERIES = recorded
    (step_id,) = by_id(ris.put(ENTRY, entry(described("CT", "thorax"))))
    if delivered:
        moment = {"received_at": timezone.now(), "status": 0, "calling_ae_title": "CT1"}
        query = WorklistQuery.objects.create(**moment)
        only = ScheduledProcedureStep.objects.get()
        WorklistDelivery.objects.create(query=query, step=only, station_ae_title="CT1", delivered_at=timezone.now())
    change = step(Modality="MR", ScheduledProcedureStepID=step_id)
    for answer in (ris.patch(ENTRY, {STEPS: [change]}), ris.put(ENTRY, entry(change))):
        assert answer.status_code == status
        if status == 409:
            assert problems(answer) == {f"{STEPS}[1].Modality": "read"}


def test_the_same_put_again_changes_nothing(ris: Caller) -> None:
    procedure = make_procedure(usual_station=make_station())
    procedure.protocol_codes.add(make_code())
    code = {"CodeValue": "169069000", "CodingSchemeDesignator": "SCT", "CodeMeaning": "thorax"}
    of_catalogue = entry(AccessionNumber="A-1", RequestedProcedureCodeSequence=[code])
    del of_catalogue["RequestedProcedureDescription"]
    for body in (of_catalogue, entry(AccessionNumber="A-2"), entry(step(), step(), AccessionNumber="A-3")):
        path = f"{WORKLIST}{body['AccessionNumber']}"
        first, again = ris.put(path, body), ris.put(path, body)
        assert (first.status_code, again.status_code) == (201, 200)
        assert again.json() == first.json()
        assert again["ETag"] == first["ETag"]
        (described_, *_) = again.json()[STEPS]
        assert described_["ScheduledProcedureStepDescription"]


def test_an_entry_is_made_by_put_only_where_there_is_none_yet(ris: Caller) -> None:
    only_new = {"If-None-Match": "*"}
    assert ris.put(ENTRY, entry(), **only_new).status_code == 201
    refused = ris.put(ENTRY, entry(RequestedProcedureDescription="other"), **only_new)
    assert refused.status_code == 412
    problems(refused)
    assert ris.get(ENTRY).json()["RequestedProcedureDescription"] == "CT thorax"
