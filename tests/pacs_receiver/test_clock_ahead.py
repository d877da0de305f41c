"""A clock that was ahead for a while leaves nothing stuck until that date: what lies in the future is due now."""

from __future__ import annotations

import os
import time
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Table, select, update

from pacs_receiver import jobs, notify
from pacs_receiver.commands import Commands
from pacs_receiver.commitment_jobs import CommitmentJobs
from pacs_receiver.index_tables import announcement, command, commitment, study
from pacs_receiver.peer_book import PeerBook
from tests.pacs_receiver.conftest import House
from tests.pacs_receiver.images import encode, image, store

YEAR = 365 * 86400.0
CLAIM = 60.0


def stored(house: House) -> str:
    ds = image()
    store(house.receiver, encode(ds), instance=ds.SOPInstanceUID)
    return str(ds.StudyInstanceUID)


def announce(house: House, *, next_attempt: float, claimed_until: float = 0) -> int:
    with house.engine.begin() as connection:
        row = announcement.insert().values(
            event_id=str(uuid.uuid4()), study_uid="1.2", body="{}", created_at=next_attempt,
            next_attempt=next_attempt, claimed_until=claimed_until,
        )  # fmt: skip
        return int(connection.execute(row.returning(announcement.c.id)).scalar_one())


def due(house: House, table: Table = announcement) -> list[int]:
    return jobs.due(house.engine, table, time.time(), longest_claim=CLAIM)


def claim(house: House, row: int) -> bool:
    return jobs.claim(house.engine, announcement, row, time.time(), CLAIM, longest_claim=CLAIM)


def test_what_was_put_off_until_a_far_day_is_due_now(house: House) -> None:
    row = announce(house, next_attempt=time.time() + YEAR)
    assert due(house) == [row]
    assert claim(house, row)
    assert not claim(house, row)
    assert due(house) == []


def test_what_was_claimed_until_a_far_day_is_free(house: House) -> None:
    row = announce(house, next_attempt=time.time(), claimed_until=time.time() + YEAR)
    assert due(house) == [row]
    assert claim(house, row)


def test_what_is_put_off_by_an_hour_waits(house: House) -> None:
    announce(house, next_attempt=time.time() + 3500)
    announce(house, next_attempt=time.time(), claimed_until=time.time() + CLAIM)
    assert due(house) == []


def test_a_study_that_arrived_in_the_future_becomes_complete_and_once_only(house: House) -> None:
    study_uid = stored(house)
    with house.engine.begin() as connection:
        connection.execute(update(study).values(last_arrival=time.time() + YEAR))
    # it counts as having arrived now, and is complete when it has been stable from now on
    assert notify.mark_complete(house.engine, stable_seconds=3600, announce=True) == 0
    with house.engine.begin() as connection:
        assert connection.execute(select(study.c.last_arrival)).scalar_one() <= time.time()
    assert notify.mark_complete(house.engine, stable_seconds=0, announce=True) == 1
    assert notify.mark_complete(house.engine, stable_seconds=0, announce=True) == 0
    with house.engine.begin() as connection:
        assert connection.execute(select(announcement.c.study_uid)).scalars().all() == [study_uid]


def test_a_commitment_of_the_future_is_due_and_its_patience_begins_now(house: House) -> None:
    far = time.time() + YEAR
    with house.engine.begin() as connection:
        connection.execute(
            commitment.insert().values(
                transaction_uid="1.2", ae_title="CT1", address="192.0.2.7", referenced="[]", requested_at=far,
                next_attempt=far, claimed_until=far,
            )
        )  # fmt: skip
    work = CommitmentJobs(
        engine=house.engine, storage=house.storage, peers=PeerBook(None), ae_title="PACS", verify_hash=False,
        give_up_seconds=3600, wait_seconds=1,
    )  # fmt: skip
    assert work.report_due() == 0  # nobody knows where CT1 is; it is tried again
    with house.engine.begin() as connection:
        row = connection.execute(select(commitment)).one()
    assert row.attempts == 1
    assert row.requested_at <= time.time()
    assert row.next_attempt < time.time() + 60


def test_a_command_that_was_claimed_in_the_future_is_carried_out(house: House) -> None:
    done: list[object] = []

    def do(wish: Mapping[str, Any]) -> Mapping[str, Any]:
        done.append(wish)
        return {}

    commands = Commands(house.engine, {"do": do})
    body = b'{"id": "6c2ad5ae-2a6b-4a5e-8fd8-6c2a9b0a1d11"}'
    assert commands.carry_out("do", body).status == 200
    with house.engine.begin() as connection:  # as if it had died in between, a year ahead
        connection.execute(update(command).values(status=None, answer="", claimed_until=time.time() + YEAR))
    assert commands.carry_out("do", body).status == 200
    assert len(done) == 2


@pytest.mark.parametrize("age", [-YEAR, YEAR])
def test_leftovers_of_the_future_are_removed(house: House, age: float) -> None:
    folder: Path = house.storage.root / "incoming" / "gone-1-abcd"
    folder.mkdir()
    (folder / "part").write_bytes(b"x")
    os.utime(folder, (time.time() - age, time.time() - age))
    assert house.storage.remove_leftovers() == 1
