"""Patients through the API: read, made, changed, merged, identified; orders moved."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from django.db.models.signals import post_save
from django.utils import timezone

from mwl_admin.models import Patient, ReceivedStudy, RequestedProcedure, ScheduledProcedureStep
from mwl_admin.patients.change_signal import ChangeKind, PatientChange, patient_changed
from tests.api.bodies import ENTRY, WORKLIST, entry, problems
from tests.api.conftest import Caller, caller
from tests.factory import make_station

PATIENTS = "/api/patients"
MUELLER = {
    "PatientID": "P-1001",
    "PatientName": "Müller^Änne",
    "PatientBirthDate": "19500701",
    "PatientSex": "F",
}
MERGES, CHANGES = "/api/patient-merges", "/api/patient-id-changes"
IDENTIFICATIONS, MOVES = "/api/patient-identifications", "/api/order-moves"


def of(patient_id: str, **values: Any) -> dict[str, Any]:
    return {"PatientID": patient_id, **values}


def at(patient_id: str) -> str:
    return f"{PATIENTS}/{patient_id}"


def owner(accession_number: str = "A-5001") -> str:
    return str(RequestedProcedure.objects.get(accession_number=accession_number).patient.patient_id)


def known(response: Any) -> dict[str, str]:
    """Return what a refusal tells of the record, by attribute."""
    return {problem["attribute"]: problem["known"] for problem in response.json()["problems"] if "known" in problem}


@pytest.fixture
def told() -> Any:
    changes: list[PatientChange] = []

    def note(change: PatientChange, **_: object) -> None:
        changes.append(change)

    patient_changed.connect(note)
    yield changes
    patient_changed.disconnect(note)


# --- read, made, changed


def test_what_was_put_is_read_and_can_be_sent_back(ris: Caller) -> None:
    body = {
        **MUELLER,
        "PatientName": "Müller^Änne^^Dr=山田^花子",
        "PatientWeight": 62.5,
        "Allergies": ["latex", "iodine"],
    }
    made = ris.put(at("P-1001"), body)
    assert made.status_code == 201, made.content
    assert made["Location"].endswith("/api/patients/P-1001")
    read = ris.get(at("P-1001"))
    assert read.json() == body
    assert read["ETag"] == made["ETag"]
    again = ris.put(at("P-1001"), read.json())
    assert (again.status_code, again["ETag"]) == (200, made["ETag"])
    assert Patient.objects.get().history.count() == 1
    elements = ris.get(at("P-1001"), Accept="application/dicom+json").json()
    assert ris.put(at("P-1001"), elements)["ETag"] == made["ETag"]


def test_any_legal_patient_id_can_be_an_address(ris: Caller) -> None:
    for patient_id in ("A/B", "A/B/merge", "100%", "A B", "Ä?1#2", "..", "a&b=c"):
        path = at("".join(f"%{byte:02X}" for byte in patient_id.encode()))
        assert ris.put(path, {**MUELLER, "PatientID": patient_id}).status_code == 201
        assert ris.get(path).json()["PatientID"] == patient_id


def test_the_issuer_is_part_of_who_it_is(ris: Caller, settings: Any) -> None:
    settings.PATIENT_ID_ISSUER = "HOSPITAL"
    assert ris.put(at("P-1"), {"PatientName": "Doe^Jane"}).status_code == 201
    assert ris.put(f"{at('P-1')}?issuer=ELSEWHERE", {"PatientName": "Roe^John"}).status_code == 201
    assert ris.get(f"{at('P-1')}?issuer=HOSPITAL").json()["PatientName"] == "Doe^Jane"
    assert ris.get(f"{at('P-1')}?issuer=ELSEWHERE").json()["PatientName"] == "Roe^John"
    assert ris.get(f"{at('P-1')}?issuer=NOWHERE").status_code == 404
    assert ris.put(at("P-1"), {"IssuerOfPatientID": "ELSEWHERE"}).json()["PatientName"] == "Roe^John"


def test_another_person_under_the_id_is_a_conflict_unless_the_request_says_that_it_updates(ris: Caller) -> None:
    ris.put(at("P-1001"), {**MUELLER, "Allergies": ["latex"]})
    other = {"PatientName": "Doe^John", "PatientSex": "M"}
    refused = ris.put(at("P-1001"), other)
    assert refused.status_code == 409
    assert problems(refused) == {"PatientID": "other_patient", "PatientName": "differs", "PatientSex": "differs"}
    assert known(refused) == {"PatientName": "Müller^Änne", "PatientSex": "F"}
    updated = ris.put(f"{at('P-1001')}?update_patient=1", other)
    assert updated.status_code == 200
    assert updated.json() == {**MUELLER, **other, "Allergies": ["latex"]}
    assert Patient.objects.get().history.first().history_change_reason == "API: RIS"


def test_if_match_and_if_none_match_are_heeded(ris: Caller) -> None:
    first = ris.put(at("P-1"), {"PatientName": "Doe^Jane"})["ETag"]
    assert ris.put(at("P-1"), {"PatientComments": "one"}, **{"If-Match": first}).status_code == 200
    assert ris.put(at("P-1"), {"PatientComments": "two"}, **{"If-Match": first}).status_code == 412
    assert ris.put(at("P-2"), {"PatientName": "Roe"}, **{"If-Match": "*"}).status_code == 412
    assert ris.put(at("P-1"), {"PatientName": "Doe^Jane"}, **{"If-None-Match": "*"}).status_code == 412
    assert Patient.objects.get().patient_comments == "one"


def test_what_breaks_a_rule_is_named(ris: Caller) -> None:
    wrong: list[tuple[dict[str, Any], str]] = [
        ({**MUELLER, "PatientName": ""}, "PatientName"),
        ({**MUELLER, "PatientBirthDate": "19501301"}, "PatientBirthDate"),
        ({**MUELLER, "PatientID": "P-2"}, "PatientID"),
        ({**MUELLER, "AccessionNumber": "A-1"}, "AccessionNumber"),
        ({**MUELLER, "PatientSex": "X"}, "PatientSex"),
    ]
    for body, named in wrong:
        refused = ris.put(at("P-1001"), body)
        assert (refused.status_code, set(problems(refused))) == (422, {named})
    assert not Patient.objects.exists()


def test_patients_are_listed_and_found(ris: Caller) -> None:
    ris.put(at("P-1"), {"PatientName": "Doe^Jane", "PatientBirthDate": "19710228"})
    ris.put(at("P-2"), {"PatientName": "Doe^John"})
    ris.put(at("P-3"), {"PatientName": "Roe^Jane"})

    def ids(query: str) -> list[str]:
        return [patient["PatientID"] for patient in ris.get(f"{PATIENTS}{query}").json()]

    assert ids("") == ["P-3", "P-2", "P-1"]
    assert ids("?q=jane") == ["P-3", "P-1"]
    assert ids("?q=doe+jane") == ids("?birth_date=1971-02-28") == ids("?patient_id=P-1") == ["P-1"]
    page = ris.get(f"{PATIENTS}?limit=2")
    assert (page["X-Total-Count"], len(page.json())) == ("3", 2)
    assert 'rel="next"' in page["Link"]
    assert ids("?limit=2&offset=2") == ["P-1"]
    for wrong in ("?limit=0", "?offset=-1", "?birth_date=1.1.", "?q=%00"):
        assert ris.get(f"{PATIENTS}{wrong}").status_code == 400


def test_of_a_refused_order_only_a_reader_is_told_the_values(ris: Caller) -> None:
    ris.post(WORKLIST, entry())
    other = entry(AccessionNumber="A-2", PatientName="Doe^John", PatientBirthDate="19710228")
    refused = ris.post(WORKLIST, other)
    assert refused.status_code == 409
    assert known(refused) == {"PatientName": "Müller^Änne", "PatientBirthDate": "19500701"}
    blind = caller(name="blind", can_read=False).post(WORKLIST, other)
    assert problems(blind) == problems(refused)
    assert known(blind) == {}
    assert "Müller" not in blind.content.decode()
    assert ris.post(f"{WORKLIST}?update_patient=1", other).status_code == 201


# --- merged


def pair(ris: Caller) -> None:
    """Make the records TEMP-1, with an order, and REAL-1, without one."""
    ris.put(ENTRY, entry(PatientID="TEMP-1", PatientName="Unknown^Male", PatientBirthDate="19000101", PatientSex="M"))
    ris.put(at("REAL-1"), {"PatientName": "Doe^John", "PatientBirthDate": "19710228", "Allergies": ["latex"]})


def test_a_merge_moves_all_and_the_old_id_tells_where_it_went(ris: Caller, told: list[PatientChange]) -> None:
    ris.put(ENTRY, entry(PatientID="P-2", Allergies=["iodine"], StudyInstanceUID="2.25.7"))
    ris.put(at("P-1"), {"PatientName": "Müller", "Allergies": ["Latex", "IODINE"]})
    request = {"kept": of("P-1"), "merged": of("P-2", PatientName="Müller^Änne")}
    merged = ris.post(MERGES, request)
    assert merged.status_code == 200, merged.content
    assert merged.json() == {
        "patient": {**MUELLER, "PatientID": "P-1", "Allergies": ["Latex", "IODINE"]},
        "changed": True,
        "entries_moved": 1,
    }
    assert owner() == "P-1"
    (change,) = (change for change in told if change.kind is ChangeKind.MERGED)
    assert (change.before.patient_id, change.after.patient_id, change.study_instance_uids) == (
        "P-2",
        "P-1",
        ("2.25.7",),
    )
    assert not any(change.kind is ChangeKind.MOVED for change in told)
    reasons = {row.history_change_reason for row in Patient.history.filter(history_type="~")}
    assert reasons == {"API: RIS; merge: took in patient ID P-2"}
    gone = ris.get(at("P-2"))
    assert gone.status_code == 410
    assert known(gone) == {"PatientID": "P-1"}
    assert gone["Link"] == '</api/patients/P-1>; rel="successor-version"'
    again = ris.post(MERGES, request)
    assert (again.status_code, again.json()["changed"]) == (200, False)


def test_records_that_contradict_each_other_are_merged_only_by_who_says_so(ris: Caller) -> None:
    ris.put(ENTRY, entry())
    ris.put(at("P-2"), {"PatientName": "Doe^John"})
    request = {"kept": of("P-2"), "merged": of("P-1001")}
    refused = ris.post(MERGES, request)
    assert (refused.status_code, problems(refused)["PatientName"]) == (409, "differs")
    assert ris.post(f"{MERGES}?update_patient=1", request).status_code == 200
    # Half of each would be a third person.
    assert ris.get(at("P-2")).json() == {"PatientID": "P-2", "PatientName": "Doe^John"}


def test_a_merge_of_who_is_told_to_be_somebody_else_is_refused(ris: Caller) -> None:
    pair(ris)
    for request, status in (
        ({"kept": of("REAL-1", PatientName="Roe^Jane"), "merged": of("TEMP-1")}, 409),
        ({"kept": of("REAL-1"), "merged": of("TEMP-1", PatientBirthDate="19500701")}, 409),
        ({"kept": of("REAL-1"), "merged": of("REAL-1")}, 422),
        ({"kept": of("REAL-1"), "merged": of("P-404")}, 404),
        ({"kept": of("P-404"), "merged": of("TEMP-1")}, 404),
        ({"kept": of("REAL-1"), "merged": of("TEMP-1", ETag='"p1-99"')}, 412),
        ({"kept": of("REAL-1")}, 422),
        ({"kept": of("REAL-1"), "merged": {}}, 422),
        ({"kept": of("REAL-1"), "merged": of("TEMP-1"), "other": 1}, 422),
        ({"kept": "REAL-1", "merged": of("TEMP-1")}, 422),
        ([], 422),
    ):
        refused = ris.post(f"{MERGES}", request)
        assert refused.status_code == status, (request, refused.content)
    assert Patient.objects.count() == 2
    assert owner() == "TEMP-1"


def test_nobody_is_entered_under_an_id_that_was_merged(ris: Caller) -> None:
    pair(ris)
    ris.post(f"{MERGES}?update_patient=1", {"kept": of("REAL-1"), "merged": of("TEMP-1")})
    late = entry(AccessionNumber="A-2", PatientID="TEMP-1", PatientName="Unknown^Male", PatientBirthDate="")
    refused = ris.post(WORKLIST, late)
    assert (refused.status_code, problems(refused)["PatientID"]) == (409, "merged")
    assert known(refused) == {"PatientID": "REAL-1"}
    assert ris.put(at("TEMP-1"), {"PatientName": "Unknown^Female"}).status_code == 409
    # A stopgap's ID is given to the next one, when somebody says that it is.
    assert ris.put(at("TEMP-1"), {"PatientName": "Unknown^Female"}, **{"If-None-Match": "*"}).status_code == 201
    assert ris.get(at("TEMP-1")).json()["PatientName"] == "Unknown^Female"
    assert ris.post(WORKLIST, {**late, "PatientName": "Unknown^Female", "PatientSex": ""}).status_code == 201


# --- another ID


def test_an_id_is_changed_once_and_the_old_one_tells(ris: Caller, told: list[PatientChange]) -> None:
    ris.put(ENTRY, entry(PatientID="P-1O01"))
    request = {"patient": of("P-1O01"), "to": of("P-1001")}
    changed = ris.post(CHANGES, request)
    assert (changed.status_code, changed.json()["patient"]) == (200, MUELLER)
    (change,) = told
    assert (change.kind, change.before.patient_id, change.after.patient_id) == (ChangeKind.UPDATED, "P-1O01", "P-1001")
    assert Patient.objects.get().history.first().history_change_reason == "API: RIS; was patient ID P-1O01"
    again = ris.post(CHANGES, request)
    assert (again.status_code, again.json()["changed"]) == (200, False)
    assert (ris.get(at("P-1O01")).status_code, known(ris.get(at("P-1O01")))) == (410, {"PatientID": "P-1001"})
    # The wrong ID may be another person's right one; the same person is not entered a second time.
    assert ris.post(WORKLIST, entry(AccessionNumber="A-2", PatientID="P-1O01")).status_code == 409
    stranger = entry(AccessionNumber="A-2", PatientID="P-1O01", PatientName="Doe^John", PatientSex="M")
    assert ris.post(WORKLIST, stranger).status_code == 201
    assert ris.post(CHANGES, {"patient": of("P-1001"), "to": of("P-1O01")}).status_code == 409


# --- identified


@pytest.mark.parametrize("is_known", [True, False])
def test_a_trauma_patient_is_identified_by_one_request(ris: Caller, is_known: bool, told: list[PatientChange]) -> None:
    pair(ris)
    ScheduledProcedureStep.objects.update(status="COMPLETED")
    if not is_known:
        Patient.objects.get(patient_id="REAL-1").delete()
    request = {
        "temporary": of("TEMP-1"),
        "patient": of("REAL-1", PatientName="Doe^John", PatientBirthDate="19710228", PatientSex="M"),
    }
    identified = ris.post(IDENTIFICATIONS, request)
    assert identified.status_code == 200, identified.content
    patient = identified.json()["patient"]
    assert {name: patient[name] for name in request["patient"]} == request["patient"]
    assert (owner(), Patient.objects.count()) == ("REAL-1", 1)
    assert ScheduledProcedureStep.objects.get().status == "COMPLETED"
    assert any(change.before.patient_id == "TEMP-1" and change.after.name == "Doe^John" for change in told)
    again = ris.post(IDENTIFICATIONS, request)
    assert (again.status_code, again.json()["changed"]) == (200, False)
    assert again.json()["patient"] == patient
    assert known(ris.get(at("TEMP-1"))) == {"PatientID": "REAL-1"}
    late = ris.post(WORKLIST, entry(AccessionNumber="A-2", PatientID="TEMP-1", PatientName="Unknown^Male"))
    assert (late.status_code, problems(late)["PatientID"]) == (409, "merged")


def test_a_stopgaps_guesses_become_nobodys_birth_date(ris: Caller) -> None:
    ris.put(ENTRY, entry(PatientID="TEMP-1", PatientName="Doe", PatientBirthDate="19000101", PatientSex="M"))
    ris.put(at("REAL-1"), {"PatientName": "Doe^John"})
    request = {"temporary": of("TEMP-1"), "patient": of("REAL-1")}
    assert ris.post(IDENTIFICATIONS, request).json()["patient"] == of("REAL-1", PatientName="Doe^John")
    ris.put(f"{WORKLIST}A-2", entry(AccessionNumber="A-2", PatientID="TEMP-2", PatientBirthDate="19000101"))
    new = {"temporary": of("TEMP-2"), "patient": of("REAL-2", PatientName="Roe^Jane")}
    assert "PatientBirthDate" not in ris.post(IDENTIFICATIONS, new).json()["patient"]


def test_an_identification_of_somebody_else_changes_nothing(ris: Caller) -> None:
    pair(ris)
    wrong = {"temporary": of("TEMP-1"), "patient": of("REAL-1", PatientName="Roe^Jane")}
    refused = ris.post(IDENTIFICATIONS, wrong)
    assert refused.status_code == 409
    assert problems(refused) == {"PatientID": "other_patient", "PatientName": "differs"}
    nameless = {"temporary": of("TEMP-1"), "patient": of("REAL-2")}
    assert ris.post(IDENTIFICATIONS, nameless).status_code == 422
    assert ris.post(IDENTIFICATIONS, {"temporary": of("TEMP-9"), "patient": of("REAL-1")}).status_code == 404
    assert (owner(), Patient.objects.count()) == ("TEMP-1", 2)
    assert ris.post(f"{IDENTIFICATIONS}?update_patient=1", wrong).json()["patient"]["PatientName"] == "Roe^Jane"


# --- moved


def test_an_order_is_moved_with_what_was_done_for_it(ris: Caller, told: list[PatientChange]) -> None:
    pair(ris)
    ris.put(
        f"{WORKLIST}A-2",
        entry(
            AccessionNumber="A-2",
            PatientID="TEMP-1",
            PatientName="Unknown^Male",
            PatientBirthDate="19000101",
            PatientSex="M",
        ),
    )
    request = {"AccessionNumber": "A-5001", "from": of("TEMP-1"), "to": of("REAL-1", PatientName="Doe^John")}
    moved = ris.post(MOVES, request)
    assert (moved.status_code, moved.json()["entries_moved"]) == (200, 1), moved.content
    assert (owner(), owner("A-2")) == ("REAL-1", "TEMP-1")
    (change,) = (change for change in told if change.kind is ChangeKind.MOVED)
    uid = RequestedProcedure.objects.get(accession_number="A-5001").study_instance_uid
    assert (change.before.patient_id, change.after.patient_id) == ("TEMP-1", "REAL-1")
    assert change.study_instance_uids == (uid,)
    reason = RequestedProcedure.history.filter(accession_number="A-5001").first().history_change_reason
    assert reason == "API: RIS; moved: was of patient ID TEMP-1"
    assert ris.get(ENTRY).json()["PatientID"] == "REAL-1"
    again = ris.post(MOVES, request)
    assert (again.status_code, again.json()["changed"]) == (200, False)
    ris.put(at("P-3"), {"PatientName": "Third"})
    assert ris.post(MOVES, {**request, "to": of("P-3")}).status_code == 409  # it is TEMP-1's no longer
    assert ris.post(MOVES, {**request, "AccessionNumber": "A-404"}).status_code == 404
    assert ris.post(MOVES, {**request, "to": of("P-404")}).status_code == 404


# --- who may, rehearsed, all or nothing

WRITES = [
    ("PUT", at("REAL-1"), {"PatientComments": "new"}),
    ("POST", f"{MERGES}?update_patient=1", {"kept": of("REAL-1"), "merged": of("TEMP-1")}),
    ("POST", CHANGES, {"patient": of("TEMP-1"), "to": of("TEMP-2")}),
    ("POST", IDENTIFICATIONS, {"temporary": of("TEMP-1"), "patient": of("REAL-1")}),
    ("POST", MOVES, {"AccessionNumber": "A-5001", "from": of("TEMP-1"), "to": of("REAL-1")}),
]


def state() -> tuple[Any, ...]:
    return (
        list(Patient.objects.order_by("pk").values_list()),
        list(RequestedProcedure.objects.order_by("pk").values_list()),
        Patient.history.count(),
    )


@pytest.mark.parametrize(("method", "path", "body"), WRITES)
def test_a_write_is_of_who_may_and_whole_or_not_at_all(ris: Caller, method: str, path: str, body: Any) -> None:
    pair(ris)
    before = state()
    for who in (caller(name="CT1", station=make_station()), caller(name="reader", can_write=False)):
        assert who.call(method, path, body).status_code == 403
    assert Caller().call(method, path, body).status_code == 401
    assert ris.call(method, f"{path}{'&' if '?' in path else '?'}dry_run=1", body).status_code == 200
    with failing():
        assert ris.call(method, path, body, documented=False).status_code == 500
    assert state() == before
    assert ris.call(method, path, body).status_code == 200
    assert state() != before


@contextmanager
def failing() -> Iterator[None]:
    """Let the database be full as soon as a record or an order was saved."""

    def fail(**_: object) -> None:
        raise OSError("no room")

    for model in (Patient, RequestedProcedure):
        post_save.connect(fail, sender=model)
    try:
        yield
    finally:
        for model in (Patient, RequestedProcedure):
            post_save.disconnect(fail, sender=model)


def test_a_station_reads_the_patients_that_it_sees(ris: Caller) -> None:
    pair(ris)
    station = caller(name="CT1", station=make_station())
    assert station.get(at("TEMP-1")).status_code == 200
    assert [patient["PatientID"] for patient in station.get(PATIENTS).json()] == ["TEMP-1"]
    assert station.get(at("REAL-1")).status_code == 404
    ris.post(CHANGES, {"patient": of("REAL-1"), "to": of("REAL-2")})
    assert station.get(at("REAL-1")).status_code == 404  # where it went is not for everybody either


@pytest.mark.parametrize("is_known", [True, False])
def test_images_made_under_the_stopgap_are_no_other_patients(ris: Caller, is_known: bool) -> None:
    pair(ris)
    if not is_known:
        Patient.objects.get(patient_id="REAL-1").delete()
    now = timezone.now()
    study = ReceivedStudy.objects.create(
        requested_procedure=RequestedProcedure.objects.get(),
        study_instance_uid="2.25.9",
        patient_id="TEMP-1",
        patient_name="Unknown^Male",
        name_folded="UNKNOWN^MALE",
        announced_at=now,
        first_arrival_at=now,
        last_arrival_at=now,
    )
    request = {"temporary": of("TEMP-1"), "patient": of("REAL-1", PatientName="Doe^John")}
    assert ris.post(IDENTIFICATIONS, request).status_code == 200
    assert not ReceivedStudy.objects.mixed_up().exists()
    ReceivedStudy.objects.filter(pk=study.pk).update(patient_id="P-3")
    assert ReceivedStudy.objects.mixed_up().exists()
