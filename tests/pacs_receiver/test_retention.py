"""Retention: what may go, and above all what may not."""

from __future__ import annotations

import dataclasses
import json
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from environs import FileAwareEnv
from sqlalchemy import select

from pacs_receiver import retention
from pacs_receiver.config import PacsConfig, load
from pacs_receiver.deletion import delete_study, empty_trash
from pacs_receiver.index_tables import announcement, audit, commitment, instance, study
from tests.pacs_receiver.conftest import House
from tests.pacs_receiver.images import encode, image, store

DAY = 86400


@pytest.fixture
def config(house: House, monkeypatch: pytest.MonkeyPatch) -> PacsConfig:
    for name in ("PACS_DATABASE_URL", "DATA_DIR"):
        monkeypatch.delenv(name, raising=False)
    return dataclasses.replace(
        load(FileAwareEnv()), storage_dir=house.storage.root, retention_days=30, min_free_bytes=0
    )


def old_study(house: House, *, days: float = 40, size: int = 512) -> str:
    """A study that arrived long ago, is complete, committed and announced."""
    ds = image(size=size)
    store(house.receiver, encode(ds), instance=str(ds.SOPInstanceUID))
    then = time.time() - days * DAY
    with house.engine.begin() as connection:
        of_study = study.c.study_uid == str(ds.StudyInstanceUID)
        connection.execute(
            study.update().where(of_study).values(first_arrival=then, last_arrival=then, completed_at=then + 60)
        )
        connection.execute(
            instance.update()
            .where(instance.c.sop_instance_uid == str(ds.SOPInstanceUID))
            .values(arrived_at=then, committed_at=then + 60)
        )
        connection.execute(
            announcement.insert().values(
                event_id=str(ds.SOPInstanceUID), study_uid=str(ds.StudyInstanceUID), body="{}", created_at=then + 60,
                next_attempt=None, delivered_at=then + 61,
            )
        )  # fmt: skip
    return str(ds.StudyInstanceUID)


def names(found: list[retention.Candidate]) -> list[str]:
    return [candidate.study_uid for candidate in found]


def test_what_is_old_complete_committed_and_announced_goes_oldest_first(house: House, config: PacsConfig) -> None:
    young, old, older = old_study(house, days=10), old_study(house, days=40), old_study(house, days=50)
    assert names(retention.candidates(house.engine, config)) == [older, old]
    removed = retention.apply(house.engine, house.storage, house.index, config, who="test")
    assert names(removed) == [older, old]
    assert [path.parts[-3] for path in house.files] == [young]
    with house.engine.connect() as connection:
        actions = connection.execute(select(audit.c.action, audit.c.study_uid)).all()
    assert [tuple(row) for row in actions] == [("retention: age", older), ("retention: age", old)]


def change(house: House, statement: object) -> None:
    with house.engine.begin() as connection:
        connection.execute(statement)  # type: ignore[call-overload]


PROTECTED: dict[str, Callable[[House], None]] = {
    "is not complete": lambda house: change(house, study.update().values(completed_at=None)),
    "is not committed": lambda house: change(house, instance.update().values(committed_at=None)),
    "is not announced": lambda house: change(house, announcement.delete()),
    "has an announcement under way": lambda house: change(house, announcement.update().values(delivered_at=None)),
    "has a commitment under way": lambda house: change(
        house,
        commitment.insert().values(
            transaction_uid="1.2.3",
            ae_title="CT1",
            address="192.0.2.7",
            referenced="[]",
            requested_at=time.time(),
            next_attempt=time.time(),
        ),
    ),
    "has grown since it was announced": lambda house: change(
        house, study.update().values(last_arrival=time.time() - 35 * DAY)
    ),
}


@pytest.mark.parametrize("protect", PROTECTED.values(), ids=PROTECTED.keys())
def test_a_study_stays_that(house: House, config: PacsConfig, protect: Callable[[House], None]) -> None:
    old_study(house)
    assert len(retention.candidates(house.engine, config)) == 1
    protect(house)
    assert retention.candidates(house.engine, config) == []
    assert retention.apply(house.engine, house.storage, house.index, config, who="test") == []
    assert len(house.files) == 1


def test_a_department_without_commitment_can_say_so(house: House, config: PacsConfig) -> None:
    uncommitted = old_study(house)
    change(house, instance.update().values(committed_at=None))
    told = dataclasses.replace(config, retention_requires=frozenset({"announced"}))
    assert names(retention.candidates(house.engine, told)) == [uncommitted]


def test_it_is_off_by_default(house: House, config: PacsConfig) -> None:
    old_study(house)
    off = dataclasses.replace(config, retention_days=0)
    assert not retention.is_on(off)
    assert retention.candidates(house.engine, off) == []


def test_above_the_high_water_mark_the_oldest_go_until_it_is_reached(
    house: House, config: PacsConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    studies = [old_study(house, days=days, size=256 * 400) for days in (9, 8, 7)]

    class Usage:
        used, free = 900_000, 100_000

    monkeypatch.setattr("pacs_receiver.retention.shutil.disk_usage", lambda _path: Usage)
    tight = dataclasses.replace(config, retention_days=0, retention_high_water_percent=80)
    found = retention.candidates(house.engine, tight)
    assert names(found) == studies[:1]
    assert found[0].reason == "high-water mark"


def test_the_runway_is_the_free_space_at_the_last_weeks_rate(house: House, config: PacsConfig) -> None:
    assert retention.runway(house.engine, config).days is None
    ds = image(size=65536)
    store(house.receiver, encode(ds), instance=str(ds.SOPInstanceUID))
    change(house, instance.update().values(arrived_at=time.time() - 2 * DAY))
    found = retention.runway(house.engine, config)
    assert found.bytes_a_day == pytest.approx(house.files[0].stat().st_size / 2, rel=0.01)


def test_an_instance_that_comes_while_its_study_is_deleted_stays(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """The moment between file and row: the sender is told Success, and the instance is there afterwards."""
    ds = image()
    data = encode(ds)
    store(house.receiver, data, instance=str(ds.SOPInstanceUID))
    from pacs_receiver import changes, deletion

    remove = changes.remove_row_within

    def arrives_first(connection: object, sop_instance_uid: str) -> bool:
        if house.engine.dialect.name == "postgresql":  # SQLite has one writer: there it could not happen
            assert store(house.receiver, data, instance=str(ds.SOPInstanceUID)).status == 0
        return remove(connection, sop_instance_uid)  # type: ignore[arg-type]

    monkeypatch.setattr(deletion, "remove_row_within", arrives_first)
    delete_study(
        house.engine, house.storage, house.index, str(ds.StudyInstanceUID), who="test", action="delete", to_trash=True
    )
    with house.engine.connect() as connection:
        rows = connection.execute(select(instance)).all()
    assert len(rows) == len(house.files) == (house.engine.dialect.name == "postgresql")


def test_the_trash_is_emptied_after_its_days(house: House, tmp_path: Path) -> None:
    ds = image()
    store(house.receiver, encode(ds), instance=str(ds.SOPInstanceUID))
    delete_study(
        house.engine, house.storage, house.index, str(ds.StudyInstanceUID), who="test", action="delete", to_trash=True
    )
    assert empty_trash(house.storage, older_than_days=1) == 0
    assert empty_trash(house.storage, older_than_days=-1) == 1
    assert list((house.storage.root / "trash").iterdir()) == []


def test_json_candidates_are_lines(house: House, config: PacsConfig, capsys: pytest.CaptureFixture[str]) -> None:
    from pacs_receiver import output

    old_study(house)
    output.candidates(retention.candidates(house.engine, config), dry_run=True, as_json=True)
    assert json.loads(capsys.readouterr().out)["removed"] is False
