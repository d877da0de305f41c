"""How long an image waits for an SQLite index that somebody else holds: as long as the setting says."""

from __future__ import annotations

import fcntl
import os
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from dicom_listener.service import Refused
from pacs_receiver.config import database_url
from pacs_receiver.index import IndexWriter
from pacs_receiver.receive import Receiver
from pacs_receiver.turn import Turn
from tests.pacs_receiver.conftest import House, OpenHouse
from tests.pacs_receiver.images import encode, image, store
from tests.waiting import wait_until

RETRY = 1.0
PATIENCE = 8.0
"""Far below the half minute that SQLite waited, and far above the setting: the machine may be busy."""


@contextmanager
def locked_by_a_program(path: Path) -> Iterator[None]:
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("BEGIN IMMEDIATE")
        yield
        connection.execute("ROLLBACK")


@contextmanager
def turn_held(path: Path) -> Iterator[None]:
    fd = os.open(f"{path}.lock", os.O_RDWR)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX)
        yield
    finally:
        os.close(fd)


@contextmanager
def impatient(house: House) -> Iterator[Receiver]:
    writer = IndexWriter(house.engine, retry_seconds=RETRY)
    old = house.receiver
    try:
        yield Receiver(
            storage=house.storage, index=writer, engine=house.engine, peers=old.peers, duplicate_policy="keep-first",
            implementation_uid="2.25.4711", implementation_version="TEST_1",
        )  # fmt: skip
    finally:
        writer.close()


def hand_over(receiver: Receiver) -> int:
    ds = image()
    try:
        return store(receiver, encode(ds), instance=ds.SOPInstanceUID).status
    except Refused as error:
        return error.response.status


@pytest.mark.parametrize("hold", [locked_by_a_program, turn_held])
def test_an_image_waits_no_longer_than_the_setting_says(
    open_house: OpenHouse, tmp_path: Path, hold: Callable[[Path], object]
) -> None:
    with impatient(open_house()) as receiver:
        with hold(tmp_path / "index.sqlite3"):  # type: ignore[attr-defined]
            began = time.monotonic()
            answers: list[int] = []
            senders = [threading.Thread(target=lambda: answers.append(hand_over(receiver))) for _ in range(4)]
            for sender in senders:
                sender.start()
            for sender in senders:
                sender.join()
            waited = time.monotonic() - began
        assert answers == [0xA700] * 4
        assert RETRY <= waited < PATIENCE
        assert hand_over(receiver) == 0


def test_an_image_waits_as_long_as_the_setting_says(open_house: OpenHouse, tmp_path: Path) -> None:
    house = open_house()
    answers: list[int] = []
    with turn_held(tmp_path / "index.sqlite3"):
        sender = threading.Thread(target=lambda: answers.append(hand_over(house.receiver)))
        sender.start()
        sender.join(0.3)
        assert answers == []
    sender.join()
    assert answers == [0]


def test_a_turn_that_nobody_wants_any_more_is_given_back(tmp_path: Path) -> None:
    path = tmp_path / "turn"
    first, second = (Turn(os.open(path, os.O_CREAT | os.O_RDWR)) for _ in range(2))
    assert first.take(0)
    assert not second.take(0.05)
    first.give_back()
    # the thread that waited for the second gives it back, or the second gets it
    wait_until(lambda: first.take(0), what="the turn is free")
    first.give_back()
    assert second.take(5)
    assert not first.take(0.05)
    assert not first.take(0.05)
    second.give_back()
    assert first.take(5)
    first.close()
    second.close()


def test_the_engine_waits_as_long(tmp_path: Path) -> None:
    from pacs_receiver.database import connect

    engine = connect(database_url(f"sqlite:///{tmp_path}/index.sqlite3"), busy_seconds=3)
    with closing(engine.raw_connection()) as connection:
        cursor = connection.cursor()
        cursor.execute("PRAGMA busy_timeout")
        assert cursor.fetchone() == (3000,)
        cursor.close()
    engine.dispose()
