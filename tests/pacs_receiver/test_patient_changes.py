"""Stored studies follow an update, a merge or a move of their patient (IHE RAD, PIR); their bytes do not change."""

from __future__ import annotations

import hashlib
import json
import uuid
from http.client import HTTPConnection
from typing import Any

import pytest
from sqlalchemy import delete, select, update

from gateway_link.signature import sign
from pacs_receiver import notify, patient_changes, queries
from pacs_receiver.commands import Declined
from pacs_receiver.index_tables import announcement, instance, patient, patient_change, series, study
from pacs_receiver.reconcile import reconcile
from tests.pacs_receiver import load
from tests.pacs_receiver.conftest import House, StartReceiver
from tests.pacs_receiver.images import encode, image, store
from tests.waiting import wait_until

ANNA = {"id": "P-1", "issuer": "", "name": "Prüfer^Anna", "birth_date": "19700101", "sex": "F"}
REAL = {"id": "P-2", "issuer": "", "name": "Prüfer^Anna", "birth_date": "19700101", "sex": "F"}
THIRD = {"id": "P-3", "issuer": "", "name": "Probst^Anna", "birth_date": "19700101", "sex": "F"}
MAN = {"id": "M-1", "issuer": "", "name": "Muster^Max", "birth_date": "19500505", "sex": "M"}


def change(before: dict[str, str], after: dict[str, str], *studies: str, kind: str = "updated") -> dict[str, Any]:
    return {
        "change": str(uuid.uuid4()),
        "kind": kind,
        "before": before,
        "after": after,
        "issuers": ["", "HOSPITAL"] if before["issuer"] in ("", "HOSPITAL") else [before["issuer"]],
        "studies": list(studies),
    }


def tell(house: House, told: dict[str, Any]) -> int:
    return int(patient_changes.take(house.engine, house.storage, told)["studies"])


def keep(house: House, who: dict[str, str] | None = None, study_uid: str | None = None) -> str:
    """Store one image of a study of its own; return its Study Instance UID."""
    who = ANNA if who is None else who
    ds = image(study=study_uid)
    ds.PatientID, ds.PatientName, ds.PatientBirthDate = who["id"], who["name"], who["birth_date"]
    ds.IssuerOfPatientID, ds.PatientSex = who["issuer"], who["sex"]
    assert store(house.receiver, encode(ds), instance=ds.SOPInstanceUID).status == 0
    return str(ds.StudyInstanceUID)


def shown(house: House, study_uid: str) -> tuple[str, str | None]:
    """The patient ID of today, and the one that it is stored under if that is another."""
    patient_changes.follow(house.engine)
    found = queries.find_study(house.engine, study_uid)
    assert found is not None
    return found["patient_id"], found["original_patient_id"]


def digests(house: House) -> dict[str, str]:
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in house.files}


def test_a_stored_study_follows_and_its_bytes_and_first_identity_stay(house: House) -> None:
    mine, other = keep(house), keep(house, MAN)
    before = digests(house)
    assert tell(house, change(ANNA, REAL)) == 1
    assert shown(house, mine) == ("P-2", "P-1")
    assert shown(house, other) == ("M-1", None)
    assert [row["study_uid"] for row in queries.list_studies(house.engine, patient_id="P-2")] == [mine]
    assert queries.list_studies(house.engine, patient_id="P-1") == []
    assert digests(house) == before


def test_a_change_that_is_told_again_is_the_same_as_once(house: House) -> None:
    mine, told = keep(house), change(ANNA, REAL)
    assert [tell(house, told), tell(house, told)] == [1, 0]
    back = change(REAL, ANNA)
    tell(house, back)
    tell(house, told)
    assert shown(house, mine) == ("P-1", None)


def test_images_that_come_later_under_an_old_id_of_a_chain_are_the_new_patients(house: House) -> None:
    tell(house, change(ANNA, REAL, kind="merged"))
    tell(house, change(REAL, THIRD))
    late = [keep(house), keep(house, REAL), keep(house, THIRD), keep(house, {**ANNA, "issuer": "HOSPITAL"})]
    assert [shown(house, uid) for uid in late] == [("P-3", "P-1"), ("P-3", "P-2"), ("P-3", None), ("P-3", "P-1")]


@pytest.mark.parametrize(
    "somebody",
    [
        {**MAN, "id": "P-1"},
        {**ANNA, "birth_date": "19990909"},
        {**ANNA, "name": "Andere^Anna"},
        {**ANNA, "issuer": "ELSEWHERE"},
        {**ANNA, "name": "", "birth_date": ""},
    ],
    ids=["another person", "another birth date", "another name", "another issuer", "nothing confirms"],
)
def test_an_id_that_is_given_to_somebody_else_is_not_captured(house: House, somebody: dict[str, str]) -> None:
    tell(house, change(ANNA, REAL, kind="merged"))
    assert shown(house, keep(house, somebody)) == ("P-1", None)
    stored = keep(house, somebody)
    tell(house, change({**ANNA, "id": "P-1"}, THIRD, kind="merged"))
    assert shown(house, stored) == ("P-1", None)


def test_an_id_that_stands_for_nobody_captures_nobody_by_one_likeness(house: House) -> None:
    trauma = {"id": "0", "issuer": "", "name": "Unknown^Person", "birth_date": "", "sex": ""}
    own, same_name = keep(house, trauma), keep(house, trauma)
    tell(house, change(trauma, REAL, own))
    assert shown(house, own) == ("P-2", "0")
    assert shown(house, same_name) == ("0", None)


def test_what_names_nobody_but_the_id_follows_when_it_is_of_an_order_that_was_told(house: House) -> None:
    bare = keep(house, {**ANNA, "name": "", "birth_date": ""})
    assert tell(house, change(ANNA, REAL, bare)) == 1
    assert shown(house, bare) == ("P-2", "P-1")


def test_a_name_typed_at_the_console_before_the_record_had_it_does_not_hinder(house: House) -> None:
    temporary = {"id": "TEMP-1", "issuer": "", "name": "Unknown^Woman", "birth_date": "", "sex": "F"}
    typed = keep(house, {**REAL, "id": "TEMP-1"})
    tell(house, change(temporary, REAL))
    assert shown(house, typed) == ("P-2", "TEMP-1")


def test_a_move_takes_the_orders_that_were_told_and_no_other(house: House) -> None:
    moved, stays = keep(house), keep(house)
    late = str(image().StudyInstanceUID)
    tell(house, change(ANNA, MAN, moved, late, kind="moved"))
    keep(house, study_uid=late)
    assert [shown(house, uid) for uid in (moved, stays, late)] == [("M-1", "P-1"), ("P-1", None), ("M-1", "P-1")]


def test_images_of_somebody_else_under_the_study_of_a_move_stay_theirs(house: House) -> None:
    mixed = keep(house, MAN)
    tell(house, change(ANNA, REAL, mixed, kind="moved"))
    assert shown(house, mixed) == ("M-1", None)


def test_an_index_rebuilt_from_the_files_alone_follows_all_changes_in_their_order(house: House) -> None:
    mine = keep(house)
    tell(house, change(ANNA, REAL))
    tell(house, change(REAL, THIRD))
    with house.engine.begin() as connection:
        for table in (instance, series, study, patient, patient_change):
            connection.execute(delete(table))
    reconcile(house.engine, house.storage, house.index)
    assert shown(house, mine) == ("P-3", "P-1")
    folder = house.storage.root / patient_changes.FOLDER
    assert [path.stat().st_mode & 0o777 for path in (folder, *folder.iterdir())] == [0o700, 0o600, 0o600]


def test_a_change_cut_off_between_its_row_and_its_studies_is_followed_at_the_next_start(house: House) -> None:
    mine = keep(house)
    told = change(ANNA, REAL)
    position = patient_changes._write_file(house.storage, told["change"], told)
    assert position
    reconcile(house.engine, house.storage, house.index)
    assert shown(house, mine) == ("P-2", "P-1")
    with house.engine.begin() as connection:
        connection.execute(update(patient_change).values(applied_at=None))
    assert tell(house, told) == 0


def test_whoever_was_told_of_a_study_is_told_of_both_identities(house: House) -> None:
    keep(house)
    notify.mark_complete(house.engine, stable_seconds=-1, announce=True)
    tell(house, change(ANNA, REAL))
    notify.mark_complete(house.engine, stable_seconds=-1, announce=True)
    with house.engine.connect() as connection:
        bodies = [json.loads(text) for text in connection.execute(select(announcement.c.body)).scalars()]
    assert [(body["patient"]["id"], body.get("original_patient", {}).get("id")) for body in bodies] == [
        ("P-1", None),
        ("P-2", "P-1"),
    ]


@pytest.mark.parametrize(
    "damage",
    [
        {"kind": "forgotten"},
        {"before": None},
        {"before": {**ANNA, "id": ""}},
        {"after": {**REAL, "name": 3}},
        {"studies": "1.2.3"},
        {"change": "no UUID"},
        {"after": {**REAL, "name": "x" * 2000}},
    ],
)
def test_what_is_no_change_is_declined_and_nothing_is_kept(house: House, damage: dict[str, Any]) -> None:
    with pytest.raises(Declined) as declined:
        tell(house, change(ANNA, REAL) | damage)
    assert "Anna" not in str(declined.value)
    assert not (house.storage.root / patient_changes.FOLDER).exists()


def test_a_real_receiver_follows_a_command_also_after_a_kill_and_says_so(start_receiver: StartReceiver) -> None:
    secret = "a secret that both sides know"
    receiver = start_receiver(PACS_NOTIFY_SECRET=secret)
    ds = image()
    with load.connect(receiver.port, "CT1") as peer:
        assert load.store(peer, str(ds.SOPInstanceUID), encode(ds)) == 0
        peer.release()
    body = json.dumps({"id": str(uuid.uuid4()), **change(ANNA, REAL)}).encode()
    for _ in range(2):
        connection = HTTPConnection("127.0.0.1", receiver.command_port, timeout=30)
        connection.request(
            "POST", "/commands/change-patient", body, sign(secret, "POST", "/commands/change-patient", body)
        )
        answer = connection.getresponse()
        assert (answer.status, json.load(answer)) == (200, {"studies": 1})
        connection.close()
    receiver.kill()
    receiver.start()
    late = image()
    with load.connect(receiver.port, "CT1") as peer:
        assert load.store(peer, str(late.SOPInstanceUID), encode(late)) == 0
        peer.release()
    wait_until(lambda: {row["patient_id"] for row in receiver.listed()} == {"P-2"}, what="the late study follows")
    assert {row["original_patient_id"] for row in receiver.listed()} == {"P-1"}
    assert "P-2 (stored as P-1)" in receiver.run("list").stdout
    assert "2 studies are stored under an older identity" in receiver.run("status").stdout
    assert "stored as" in receiver.run("show", str(ds.StudyInstanceUID)).stdout
    log = receiver.log.read_text()
    assert "change-patient" in log
    assert not any(secret_value in log for secret_value in ("P-1", "P-2", "Anna", "19700101"))
