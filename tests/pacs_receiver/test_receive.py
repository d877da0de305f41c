"""The life of an instance, inside one process."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Mapping
from pathlib import Path

import pytest
from pydicom import dcmread
from sqlalchemy import Table, func, select

from dicom_listener.service import Refused
from pacs_receiver.changes import place_of
from pacs_receiver.deletion import delete_study
from pacs_receiver.index_tables import instance, patient, series, study
from pacs_receiver.storage import relative_path
from tests.pacs_receiver.conftest import House, OpenHouse
from tests.pacs_receiver.images import encode, image, store, uid


def rows(house: House, table: Table) -> int:
    with house.engine.connect() as connection:
        return connection.execute(select(func.count()).select_from(table)).scalar_one()


@pytest.mark.parametrize("piece", [1, 7, 1000, 1 << 18])
def test_the_data_set_is_stored_as_received_behind_a_part_10_header(house: House, piece: int) -> None:
    ds = image(size=2048)
    data = encode(ds)
    assert store(house.receiver, data, instance=ds.SOPInstanceUID, piece=piece).status == 0
    [path] = house.files
    assert path.read_bytes().endswith(data)
    assert path == house.storage.root / relative_path(ds.StudyInstanceUID, ds.SeriesInstanceUID, ds.SOPInstanceUID)
    stored = dcmread(path)
    assert stored.file_meta.MediaStorageSOPInstanceUID == ds.SOPInstanceUID
    assert stored.file_meta.TransferSyntaxUID == "1.2.840.10008.1.2.1"
    assert stored.file_meta.SourceApplicationEntityTitle == "CT1"
    assert stored.file_meta.ImplementationVersionName == "TEST_1"
    assert house.temporary == []


def test_the_index_says_what_the_file_holds_and_who_sent_it(house: House) -> None:
    ds = image()
    data = encode(ds)
    store(house.receiver, data, instance=ds.SOPInstanceUID)
    with house.engine.connect() as connection:
        row = connection.execute(select(instance)).one()
        of_study = connection.execute(select(study)).one()
        of_patient = connection.execute(select(patient)).one()
        of_series = connection.execute(select(series)).one()
    [path] = house.files
    assert bytes(row.sha256) == hashlib.sha256(data).digest()
    assert (row.data_bytes, row.file_bytes) == (len(data), path.stat().st_size)
    assert (row.calling_ae, row.address) == ("CT1", "192.0.2.7")
    assert (of_study.study_uid, of_study.accession_number) == (ds.StudyInstanceUID, "A4711")
    assert (of_study.series_count, of_study.instance_count, of_study.file_bytes) == (1, 1, row.file_bytes)
    assert (of_patient.patient_id, of_patient.name) == ("P-1", "Prüfer^Anna")
    assert (of_series.series_uid, of_series.modality) == (ds.SeriesInstanceUID, "CT")


def test_counts_stay_right_when_associations_store_at_the_same_time(open_house: OpenHouse, database_url: str) -> None:
    houses = [open_house(url=database_url), open_house(url=database_url)]
    study_uid, series_uids = uid(), [uid(), uid(), uid()]

    def send(sender: int) -> None:
        for number in range(20):
            ds = image(study=study_uid, series=series_uids[number % 3], number=number)
            store(houses[sender % 2].receiver, encode(ds), instance=ds.SOPInstanceUID)

    threads = [threading.Thread(target=send, args=(sender,)) for sender in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with houses[0].engine.connect() as connection:
        of_study = connection.execute(select(study)).one()
        of_series = connection.execute(select(series.c.instance_count)).scalars().all()
    assert (of_study.series_count, of_study.instance_count) == (3, 80)
    assert sum(of_series) == 80
    assert of_study.file_bytes == sum(path.stat().st_size for path in houses[0].files)


def test_the_same_bytes_again_are_a_success_and_change_nothing(house: House) -> None:
    ds = image()
    store(house.receiver, encode(ds), instance=ds.SOPInstanceUID)
    [path] = house.files
    before = path.stat()
    assert store(house.receiver, encode(ds), instance=ds.SOPInstanceUID, calling_ae="CT2").status == 0
    assert house.files == [path]
    assert (path.stat().st_ino, path.stat().st_mtime_ns) == (before.st_ino, before.st_mtime_ns)
    assert (rows(house, instance), house.conflicts, house.temporary) == (1, [], [])


def changed(ds_uids: Mapping[str, str]) -> tuple[bytes, bytes]:
    first = image(study=ds_uids["study"], series=ds_uids["series"], instance=ds_uids["instance"])
    second = image(study=ds_uids["study"], series=ds_uids["series"], instance=ds_uids["instance"])
    second.PatientName = "Other^Name"
    return encode(first), encode(second)


@pytest.mark.parametrize(("policy", "status"), [("keep-first", 0x0000), ("refuse", 0x0111)])
def test_other_bytes_under_the_same_uid_are_kept_aside(open_house: OpenHouse, policy: str, status: int) -> None:
    house = open_house(policy=policy)
    uids = {"study": uid(), "series": uid(), "instance": uid()}
    first, second = changed(uids)
    store(house.receiver, first, instance=uids["instance"])
    if status:
        with pytest.raises(Refused) as refused:
            store(house.receiver, second, instance=uids["instance"])
        assert refused.value.response.status == status
    else:
        assert store(house.receiver, second, instance=uids["instance"]).status == 0
    [stored], [aside] = house.files, house.conflicts
    assert stored.read_bytes().endswith(first)
    assert aside.read_bytes().endswith(second)
    assert rows(house, instance) == 1


def test_replace_puts_the_newcomer_in_place_and_the_first_aside(open_house: OpenHouse) -> None:
    house = open_house(policy="replace")
    uids = {"study": uid(), "series": uid(), "instance": uid()}
    first, second = changed(uids)
    store(house.receiver, first, instance=uids["instance"])
    assert store(house.receiver, second, instance=uids["instance"]).status == 0
    [stored], [aside] = house.files, house.conflicts
    assert stored.read_bytes().endswith(second)
    assert aside.read_bytes().endswith(first)
    with house.engine.connect() as connection:
        row = connection.execute(select(instance)).one()
        of_study = connection.execute(select(study)).one()
    assert bytes(row.sha256) == hashlib.sha256(second).digest()
    assert (of_study.instance_count, of_study.file_bytes) == (1, row.file_bytes)


@pytest.mark.parametrize("policy", ["keep-first", "replace"])
def test_a_uid_known_from_another_study_is_a_conflict_too(open_house: OpenHouse, policy: str) -> None:
    house = open_house(policy=policy)
    instance_uid = uid()
    first, second = image(instance=instance_uid), image(instance=instance_uid)
    store(house.receiver, encode(first), instance=instance_uid)
    assert store(house.receiver, encode(second), instance=instance_uid).status == 0
    kept = first if policy == "keep-first" else second
    [path] = house.files
    assert path.parts[-3] == kept.StudyInstanceUID
    assert len(house.conflicts) == 1
    with house.engine.connect() as connection:
        counted = connection.execute(select(study.c.study_uid).where(study.c.instance_count > 0)).scalars().all()
    assert counted == [kept.StudyInstanceUID]


def test_a_file_that_decayed_is_replaced_when_the_instance_comes_again(house: House) -> None:
    ds = image(size=4096)
    data = encode(ds)
    store(house.receiver, data, instance=ds.SOPInstanceUID)
    [path] = house.files
    decayed = bytearray(path.read_bytes())
    decayed[-100] ^= 1
    path.write_bytes(decayed)
    assert store(house.receiver, data, instance=ds.SOPInstanceUID).status == 0
    assert path.read_bytes().endswith(data)
    assert [aside.read_bytes() for aside in house.conflicts] == [bytes(decayed)]


def test_a_lost_file_is_there_again_when_the_instance_comes_again(house: House) -> None:
    ds = image()
    store(house.receiver, encode(ds), instance=ds.SOPInstanceUID)
    house.files[0].unlink()
    assert store(house.receiver, encode(ds), instance=ds.SOPInstanceUID).status == 0
    assert len(house.files) == rows(house, instance) == 1


def test_a_folder_that_was_deleted_meanwhile_is_made_again(house: House) -> None:
    ds = image()
    store(house.receiver, encode(ds), instance=ds.SOPInstanceUID)
    [path] = house.files
    path.unlink()
    path.parent.rmdir()
    path.parent.parent.rmdir()
    other = image(study=ds.StudyInstanceUID, series=ds.SeriesInstanceUID)
    assert store(house.receiver, encode(other), instance=other.SOPInstanceUID).status == 0
    assert len(house.files) == 1


def test_below_the_reserve_an_instance_is_refused_before_any_of_it_is_read(house: House, tmp_path: Path) -> None:
    house.storage._min_free_bytes = 1 << 60
    ds = image()
    with pytest.raises(Refused) as refused:
        store(house.receiver, encode(ds), instance=ds.SOPInstanceUID)
    assert refused.value.response.status == 0xA700
    house.storage._min_free_bytes = 0
    assert store(house.receiver, encode(ds), instance=ds.SOPInstanceUID).status == 0


def test_a_file_system_without_nameless_files_serves_as_well(house: House) -> None:
    house.storage._anonymous = False
    ds, other = image(), image()
    assert store(house.receiver, encode(ds), instance=ds.SOPInstanceUID).status == 0
    assert store(house.receiver, encode(ds), instance=ds.SOPInstanceUID).status == 0
    with pytest.raises(Refused):
        store(house.receiver, encode(other)[:-1], instance=other.SOPInstanceUID)
    assert len(house.files) == 1
    assert house.temporary == []


def test_a_series_that_another_process_deleted_is_never_taken_for_the_one_that_has_its_number_now(
    open_house: OpenHouse, database_url: str
) -> None:
    """SQLite gives the number of the last row that was deleted to the next one that is made."""
    ours, theirs = open_house(url=database_url), open_house(url=database_url)
    first = image()
    store(ours.receiver, encode(first), instance=first.SOPInstanceUID)
    delete_study(
        theirs.engine, theirs.storage, theirs.index, first.StudyInstanceUID, who="test", action="delete", to_trash=True
    )
    somebody_elses = image()
    store(theirs.receiver, encode(somebody_elses), instance=somebody_elses.SOPInstanceUID)
    later = image(study=first.StudyInstanceUID, series=first.SeriesInstanceUID)
    assert store(ours.receiver, encode(later), instance=later.SOPInstanceUID).status == 0
    for ds in (somebody_elses, later):
        place = place_of(ours.engine, ds.SOPInstanceUID)
        assert place is not None
        assert place.uids == (ds.StudyInstanceUID, ds.SeriesInstanceUID, ds.SOPInstanceUID)
    with ours.engine.connect() as connection:
        counts = connection.execute(select(study.c.instance_count, study.c.series_count)).all()
    assert [tuple(row) for row in counts] == [(1, 1), (1, 1)]
