"""Files and index after a crash."""

from __future__ import annotations

import shutil
import threading

from sqlalchemy import delete, select

from pacs_receiver.index_tables import instance, series, study
from pacs_receiver.reconcile import reconcile
from pacs_receiver.storage import Storage
from tests.pacs_receiver.conftest import House, OpenHouse
from tests.pacs_receiver.images import encode, image, store


def test_a_file_without_a_row_is_indexed(house: House) -> None:
    ds, other = image(), image()
    store(house.receiver, encode(ds), instance=ds.SOPInstanceUID)
    store(house.receiver, encode(other), instance=other.SOPInstanceUID)
    with house.engine.begin() as connection:
        kept = dict(connection.execute(select(instance.c.sop_instance_uid, instance.c.sha256)).all())
        for table in (instance, series, study):
            connection.execute(delete(table))
    report = reconcile(house.engine, house.storage, house.index)
    assert len(report.indexed) == 2
    with house.engine.connect() as connection:
        found = dict(connection.execute(select(instance.c.sop_instance_uid, instance.c.sha256)).all())
        of_study = connection.execute(select(study).where(study.c.study_uid == ds.StudyInstanceUID)).one()
        sender = connection.execute(select(instance.c.calling_ae)).scalars().first()
    assert found == kept
    assert (of_study.instance_count, of_study.series_count, of_study.accession_number) == (1, 1, "A4711")
    assert sender == "CT1"


def test_a_row_without_a_file_is_reported_and_kept(house: House) -> None:
    ds = image()
    store(house.receiver, encode(ds), instance=ds.SOPInstanceUID)
    house.files[0].unlink()
    report = reconcile(house.engine, house.storage, house.index)
    assert report.missing == [(ds.StudyInstanceUID, ds.SeriesInstanceUID, ds.SOPInstanceUID)]
    with house.engine.connect() as connection:
        assert connection.execute(select(instance)).one()


def test_a_damaged_file_without_a_row_is_set_aside(house: House) -> None:
    ds = image()
    store(house.receiver, encode(ds), instance=ds.SOPInstanceUID)
    [path] = house.files
    with house.engine.begin() as connection:
        connection.execute(delete(instance))
    path.write_bytes(path.read_bytes()[:-10])
    report = reconcile(house.engine, house.storage, house.index)
    assert len(report.damaged) == 1
    assert house.files == []
    assert len(house.conflicts) == 1


def test_temporary_files_of_a_process_that_died_are_removed_and_those_of_a_living_one_are_not(house: House) -> None:
    dead = house.storage.root / "incoming" / "elsewhere-1-abc"
    dead.mkdir()
    (dead / ".lock").touch()
    (dead / "0123").write_bytes(b"half an image")
    living = Storage(house.storage.root)
    living.open()
    living._anonymous = False
    file = living.create()
    file.write(b"half an image")
    assert reconcile(house.engine, house.storage, house.index).leftovers == 1
    assert not dead.exists()
    assert len(house.temporary) == 1
    file.discard()
    living.close()


def test_processes_that_start_together_do_not_take_each_other_for_dead(house: House) -> None:
    born: list[Storage] = []

    def start() -> None:
        for _ in range(20):
            storage = Storage(house.storage.root)
            storage.open()
            storage.remove_leftovers()
            born.append(storage)

    threads = [threading.Thread(target=start) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for storage in born:
        storage.create().discard()
        storage.close()


def test_a_folder_that_was_cleaned_away_by_hand_is_made_again(house: House) -> None:
    shutil.rmtree(house.storage.root / "incoming")
    ds = image()
    assert store(house.receiver, encode(ds), instance=ds.SOPInstanceUID).status == 0


def test_a_replacement_that_a_crash_cut_short_is_finished(open_house: OpenHouse) -> None:
    house = open_house(policy="replace")
    first = image()
    second = image(
        study=first.StudyInstanceUID, series=first.SeriesInstanceUID, instance=first.SOPInstanceUID, size=1024
    )
    store(house.receiver, encode(first), instance=first.SOPInstanceUID)
    with house.engine.connect() as connection:
        old = connection.execute(select(instance)).one()
    store(house.receiver, encode(second), instance=first.SOPInstanceUID)
    with house.engine.begin() as connection:
        connection.execute(
            instance.update().values(sha256=old.sha256, data_bytes=old.data_bytes, file_bytes=old.file_bytes)
        )
    reconcile(house.engine, house.storage, house.index)
    with house.engine.connect() as connection:
        row = connection.execute(select(instance)).one()
    assert row.sha256 != old.sha256
    assert row.file_bytes == house.files[0].stat().st_size


def test_a_file_whose_uid_belongs_to_another_study_is_set_aside(house: House) -> None:
    ds = image()
    store(house.receiver, encode(ds), instance=ds.SOPInstanceUID)
    other = image(instance=ds.SOPInstanceUID)
    store(house.receiver, encode(other), instance=ds.SOPInstanceUID)
    [aside] = house.conflicts
    target = house.storage.study_folder(other.StudyInstanceUID) / other.SeriesInstanceUID / f"{ds.SOPInstanceUID}.dcm"
    target.parent.mkdir(parents=True)
    aside.rename(target)
    report = reconcile(house.engine, house.storage, house.index)
    assert len(report.elsewhere) == 1
    assert len(house.files) == 1
