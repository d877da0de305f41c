"""Images of two patients under one Study Instance UID: both are found, and the study says what it is."""

from __future__ import annotations

import json
import threading
import uuid
from itertools import permutations
from pathlib import Path
from typing import Any

import pytest
from pydicom import dcmread
from sqlalchemy import delete, select, update

from pacs_receiver import notify, patient_changes, queries
from pacs_receiver.changes import remove_row
from pacs_receiver.deletion import delete_study
from pacs_receiver.image_patients import ImagePatient, are_several
from pacs_receiver.index_tables import announcement, patient, study, study_patient
from pacs_receiver.index_tables import instance as instances
from pacs_receiver.index_tables import series as all_series
from pacs_receiver.reconcile import reconcile
from pacs_receiver.verify import reindex
from tests.pacs_receiver import load
from tests.pacs_receiver.conftest import House, OpenHouse, StartReceiver
from tests.pacs_receiver.images import encode, image, store, uid

ANNA = {"PatientID": "P-1", "PatientName": "Prüfer^Anna", "PatientBirthDate": "19700101"}
BORIS = {"PatientID": "P-2", "PatientName": "Roe^Boris", "PatientBirthDate": "19810203"}
NOBODY = {"PatientID": "", "PatientName": "", "PatientBirthDate": ""}


def send(
    house: House, study_uid: str, person: dict[str, str], series: str | None = None, instance: str | None = None
) -> str:
    ds = image(study=study_uid, series=series, instance=instance)
    for keyword, value in person.items():
        setattr(ds, keyword, value)
    assert store(house.receiver, encode(ds), instance=ds.SOPInstanceUID).status == 0
    return str(ds.SOPInstanceUID)


def found(house: House, patient_id: str) -> list[str]:
    return [row["study_uid"] for row in queries.list_studies(house.engine, patient_id=patient_id)]


def the_study(house: House, study_uid: str) -> dict[str, Any]:
    row = queries.find_study(house.engine, study_uid)
    assert row is not None
    return row


def clear_index(house: House) -> None:
    with house.engine.begin() as connection:
        for table in (instances, all_series, study_patient, study, patient):
            connection.execute(delete(table))


@pytest.mark.parametrize("order", list(permutations([ANNA, BORIS, NOBODY])))
def test_both_patients_find_the_study_and_it_is_marked_whoever_came_first(
    open_house: OpenHouse, order: tuple[dict[str, str], ...], caplog: pytest.LogCaptureFixture
) -> None:
    house, study_uid, series_uid = open_house(), uid(), uid()
    for person in order:
        send(house, study_uid, person, series=series_uid)
    assert found(house, "P-1") == found(house, "P-2") == [study_uid]
    row = the_study(house, study_uid)
    assert row["mixed_up"]
    assert {row["patient_id"], *(other["id"] for other in row["other_patients"])} == {"P-1", "P-2", ""}
    told = [line for line in caplog.text.splitlines() if "different patients" in line]
    assert [line.partition("images ")[2] for line in told] == [
        f"of different patients came under one Study Instance UID study={study_uid}"
    ]
    assert queries.totals(house.engine)["mixed_up_studies"] == 1


@pytest.mark.parametrize(
    ("one", "other", "several"),
    [
        (("P-1", "", "Doe^Jane", "19700101"), ("P-1", "", "DOE^JANE^M", "19700101"), False),
        (("P-1", "", "Müller^Ä", ""), ("P-1", "HOSPITAL", "MULLER^A", "19700101"), False),
        (("P-1", "", "", ""), ("", "", "Doe^Jane", "19700101"), False),
        (("P-1", "", "Doe^Jane", "00000000"), ("P-1", "", "Doe^Jane", "19700101"), False),
        (("P-1", "", "Doe^Jane", ""), ("P-2", "", "Doe^Jane", ""), True),
        (("P-1", "A", "Doe^Jane", ""), ("P-1", "B", "Doe^Jane", ""), True),
        (("0", "", "Doe^Jane", ""), ("0", "", "Roe^Jane", ""), True),
        (("0", "", "Doe^Jane", ""), ("0", "", "Doe^John", ""), True),
        (("0", "", "Doe^Jane", "19700101"), ("0", "", "Doe^Jane", "19700102"), True),
    ],
)
def test_a_person_is_id_and_issuer_confirmed_by_name_and_birth_date(
    one: tuple[str, str, str, str], other: tuple[str, str, str, str], several: bool
) -> None:
    assert are_several([ImagePatient(*one), ImagePatient(*other)]) is several
    assert are_several([ImagePatient(*other), ImagePatient(*one)]) is several


def test_a_correction_within_one_person_marks_nothing(house: House) -> None:
    study_uid = uid()
    send(house, study_uid, ANNA)
    send(house, study_uid, {**ANNA, "PatientName": "PRUFER^ANNA^MARIA"})
    send(house, study_uid, NOBODY)
    assert not the_study(house, study_uid)["mixed_up"]


def test_two_workers_at_once_both_find_it(open_house: OpenHouse, database_url: str) -> None:
    houses = [open_house(url=database_url), open_house(url=database_url)]
    studies = [uid() for _ in range(15)]
    for study_uid in studies:
        send(houses[0], study_uid, NOBODY)
    together = threading.Barrier(2)

    def work(house: House, person: dict[str, str]) -> None:
        for study_uid in studies:
            together.wait(60)
            send(house, study_uid, person)

    threads = [threading.Thread(target=work, args=pair) for pair in zip(houses, (ANNA, BORIS), strict=True)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(found(houses[0], "P-1")) == sorted(found(houses[0], "P-2")) == sorted(studies)
    assert all(the_study(houses[0], study_uid)["mixed_up"] for study_uid in studies)


def test_a_process_that_remembers_a_study_notes_its_patient_again_when_the_study_was_deleted(
    open_house: OpenHouse,
) -> None:
    ours, other = open_house(), open_house()
    study_uid, series_uid = uid(), uid()
    send(ours, study_uid, ANNA, series=series_uid)
    send(ours, study_uid, BORIS, series=series_uid)
    delete_study(other.engine, other.storage, other.index, study_uid, who="test", action="delete", to_trash=True)
    send(other, study_uid, ANNA, series=series_uid)
    assert found(ours, "P-2") == []
    send(ours, study_uid, BORIS, series=series_uid)
    assert found(ours, "P-1") == found(ours, "P-2") == [study_uid]
    assert the_study(ours, study_uid)["mixed_up"]


def test_the_index_that_is_rebuilt_from_the_files_finds_and_marks_the_same(house: House) -> None:
    study_uid = uid()
    send(house, study_uid, ANNA)
    send(house, study_uid, BORIS)
    clear_index(house)
    reconcile(house.engine, house.storage, house.index)
    assert found(house, "P-1") == found(house, "P-2") == [study_uid]
    assert the_study(house, study_uid)["mixed_up"]


def test_what_an_older_version_indexed_is_found_by_reindex(house: House) -> None:
    study_uid = uid()
    send(house, study_uid, ANNA)
    send(house, study_uid, BORIS)
    with house.engine.begin() as connection:
        connection.execute(update(instances).values(patient=None))
        connection.execute(update(study).values(mixed_up=False))
        mine = select(study.c.patient).scalar_subquery()
        connection.execute(delete(study_patient).where(study_patient.c.patient != mine))
    assert found(house, "P-2") == []
    reindex(house.engine, house.storage, house.index)
    assert found(house, "P-2") == [study_uid]
    assert the_study(house, study_uid)["mixed_up"]


def test_the_mark_goes_with_the_last_image_of_the_other(house: House) -> None:
    study_uid = uid()
    send(house, study_uid, ANNA)
    others = [send(house, study_uid, BORIS) for _ in range(2)]
    remove_row(house.engine, others[0])
    assert the_study(house, study_uid)["mixed_up"]
    remove_row(house.engine, others[1])
    assert not the_study(house, study_uid)["mixed_up"]
    assert found(house, "P-2") == []


def test_an_image_that_was_laid_aside_marks_no_study(open_house: OpenHouse) -> None:
    house, first, second = open_house(), uid(), uid()
    taken = send(house, first, BORIS)
    send(house, second, ANNA)
    send(house, second, BORIS, instance=taken)
    assert len(house.conflicts) == 1
    assert not the_study(house, second)["mixed_up"]


def test_the_notice_names_all_patients_again_when_another_comes_late(house: House) -> None:
    study_uid = uid()
    send(house, study_uid, ANNA)

    def bodies() -> list[dict[str, Any]]:
        notify.mark_complete(house.engine, stable_seconds=-5, announce=True)
        with house.engine.connect() as connection:
            return [json.loads(body) for body in connection.execute(select(announcement.c.body)).scalars()]

    assert [body["other_patients"] for body in bodies()] == [[]]
    send(house, study_uid, BORIS)
    told = bodies()[-1]
    assert told["patient"]["id"] == "P-1"
    assert told["other_patients"] == [
        {"id": "P-2", "issuer": "", "name": "Roe^Boris", "birth_date": "19810203", "sex": "F"}
    ]


def test_commands_show_both_patients_and_export_can_keep_them_apart(
    start_receiver: StartReceiver, tmp_path: Path
) -> None:
    receiver, study_uid = start_receiver(PACS_WORKERS="2"), uid()
    sent = {}
    for person in (ANNA, BORIS):
        with load.connect(receiver.port) as peer:
            ds = image(study=study_uid)
            for keyword, value in person.items():
                setattr(ds, keyword, value)
            assert load.store(peer, str(ds.SOPInstanceUID), encode(ds)) == 0
            sent[person["PatientID"]] = str(ds.SOPInstanceUID)
            peer.release()
    receiver.stop()
    assert "P-1" not in receiver.log.read_text()
    assert "Boris" not in receiver.log.read_text()
    assert receiver.log.read_text().count(f"under one Study Instance UID study={study_uid}") == 1
    receiver.start()
    for patient_id in sent:
        [row] = [json.loads(x) for x in receiver.run("list", "--json", "--patient-id", patient_id).stdout.splitlines()]
        assert row["mixed_up"]
    assert "MIXED UP: P-1, P-2" in receiver.run("list").stdout
    assert "MIXED UP with" in receiver.run("show", study_uid).stdout
    assert json.loads(receiver.run("status", "--json").stdout)["mixed_up_studies"] == 1
    assert "1 studies have images of different patients" in receiver.run("status").stdout
    both = receiver.run("export", study_uid, str(tmp_path / "both"))
    assert (both.returncode, "different patients" in both.stderr) == (0, True)
    records = dcmread(tmp_path / "both" / "DICOMDIR").DirectoryRecordSequence
    named = sorted(record.PatientID for record in records if record.DirectoryRecordType == "PATIENT")
    assert named == ["P-1", "P-2"]
    assert receiver.run("export", study_uid, str(tmp_path / "one"), "--patient-id", "P-2").returncode == 0
    [copy] = [path for path in (tmp_path / "one").rglob("*") if path.is_file() and path.name != "DICOMDIR"]
    assert dcmread(copy).SOPInstanceUID == sent["P-2"]
    assert receiver.run("export", study_uid, str(tmp_path / "none"), "--patient-id", "P-3").returncode == 3


def change(before: dict[str, str], after: dict[str, str]) -> dict[str, Any]:
    def told(person: dict[str, str]) -> dict[str, str]:
        keys = {"id": "PatientID", "name": "PatientName", "birth_date": "PatientBirthDate"}
        return {"issuer": "", "sex": ""} | {key: person[keyword] for key, keyword in keys.items()}

    return {
        "change": str(uuid.uuid4()),
        "kind": "merged",
        "before": told(before),
        "after": told(after),
        "issuers": [""],
        "studies": [],
    }


@pytest.mark.parametrize("is_told_first", [True, False])
@pytest.mark.parametrize("order", [(ANNA, BORIS), (BORIS, ANNA)])
def test_images_of_one_person_before_and_after_a_merge_are_no_mix_up(
    house: House, order: tuple[dict[str, str], dict[str, str]], is_told_first: bool
) -> None:
    study_uid, merged = uid(), change(BORIS, ANNA)
    if is_told_first:
        patient_changes.take(house.engine, house.storage, merged)
    for person in order:
        send(house, study_uid, person)
    if not is_told_first:
        assert the_study(house, study_uid)["mixed_up"]
        patient_changes.take(house.engine, house.storage, merged)
    patient_changes.follow(house.engine)
    assert not the_study(house, study_uid)["mixed_up"]
    assert (found(house, "P-1"), found(house, "P-2")) == ([study_uid], [])


def test_the_other_patient_of_a_mix_up_follows_changes_too(house: House) -> None:
    study_uid = uid()
    send(house, study_uid, ANNA)
    send(house, study_uid, BORIS)
    patient_changes.take(house.engine, house.storage, change(BORIS, {**BORIS, "PatientID": "P-22"}))
    assert the_study(house, study_uid)["mixed_up"]
    assert [found(house, known) for known in ("P-1", "P-2", "P-22")] == [[study_uid], [], [study_uid]]
    assert [other["id"] for other in the_study(house, study_uid)["other_patients"]] == ["P-22"]
