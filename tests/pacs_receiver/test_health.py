"""`/health` writes, and says in words why it can't."""

from __future__ import annotations

import os
import shutil
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
from environs import FileAwareEnv

from dicom_listener.health import Unwell
from pacs_receiver.config import PacsConfig, load
from pacs_receiver.database import migrate
from pacs_receiver.health_checks import NowAndThen, write_index, write_storage
from tests.pacs_receiver.process import ReceiverProcess
from tests.waiting import wait_until


@pytest.fixture
def config(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> PacsConfig:
    monkeypatch.setenv("DATA_DIR", str(tmp_path))
    monkeypatch.setenv("PACS_MIN_FREE_BYTES", "0")
    config = load(FileAwareEnv())
    migrate(config.database_url)
    (config.storage_dir / "incoming").mkdir(parents=True)
    return config


@pytest.fixture
def receiver(tmp_path: Path) -> Iterator[ReceiverProcess]:
    process = ReceiverProcess(tmp_path / "var")
    process.start()
    yield process
    process.kill()


def test_both_can_be_written(config: PacsConfig) -> None:
    assert write_index(config) == write_index(config) == "can be written"
    assert write_storage(config).startswith("can be written, ")
    assert list((config.storage_dir / "incoming").iterdir()) == []


def test_an_index_that_is_read_only_or_gone_is_told(config: PacsConfig) -> None:
    path = Path(config.database_url.database or "")
    for leftover in path.parent.glob("index.sqlite3-*"):
        leftover.unlink()
    path.unlink()
    path.mkdir()
    with pytest.raises(Unwell, match="its file can't be opened"):
        write_index(config)


def test_a_storage_folder_that_fails_is_told(config: PacsConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_fd: int) -> None:
        raise OSError(5, os.strerror(5))

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(Unwell, match="Input/output error"):
        write_storage(config)
    with pytest.raises(Unwell, match="below the reserve"):
        write_storage(replace(config, min_free_bytes=1 << 60))
    shutil.rmtree(config.storage_dir)
    with pytest.raises(Unwell, match="No such file"):
        write_storage(config)


def test_a_check_is_made_now_and_then_only() -> None:
    made: list[int] = []

    def check() -> str:
        made.append(1)
        return f"made {len(made)}"

    often = NowAndThen(check, every=3600)
    assert [often() for _ in range(50)] == ["made 1"] * 50
    rarely = NowAndThen(check, every=0)
    assert [rarely(), rarely()] == ["made 2", "made 3"]


def test_a_glance_is_made_each_time_and_what_it_finds_is_looked_into_at_once() -> None:
    found: list[str] = []
    made: list[int] = []

    def glance() -> None:
        if found:
            raise Unwell(found[0])

    def check() -> str:
        made.append(1)
        return "well"

    both = NowAndThen(check, glance=glance, every=3600)
    assert [both(), both()] == ["well", "well"]
    found.append("full")
    for _ in range(3):
        with pytest.raises(Unwell, match="full"):
            both()
    found.clear()
    wait_until(lambda: _tells_well(both), what="it is well again")
    assert len(made) == 2


def _tells_well(check: NowAndThen) -> bool:
    try:
        return check() == "well"
    except Unwell:
        return False


def test_a_write_that_hangs_is_told_and_no_second_is_begun() -> None:
    release = threading.Event()
    begun: list[int] = []

    def hang() -> str:
        begun.append(1)
        release.wait()
        return "done"

    check = NowAndThen(hang, patience=0.05)
    for _ in range(3):
        with pytest.raises(Unwell, match="has not ended for"):
            check()
    assert len(begun) == 1
    release.set()
    wait_until(lambda: check() == "done" if release.is_set() else False, what="it is well again")


def test_a_locked_index_is_told_by_health_and_by_the_log(receiver: ReceiverProcess) -> None:
    path = receiver.data_dir / "pacs" / "index.sqlite3"
    with closing(sqlite3.connect(path, isolation_level=None)) as program:
        program.execute("BEGIN IMMEDIATE")
        locked = {"ok": False, "detail": "the index can't be written: another program has locked it"}
        wait_until(lambda: receiver.health()["checks"]["index"] == locked, what="health tells it")
        program.execute("ROLLBACK")
    wait_until(receiver.is_healthy, timeout=60, what="it is healthy again")
    line = 'health check failed check=index because="the index can\'t be written: another program has locked it"'
    wait_until(lambda: line in receiver.log.read_text(), what="the log tells it")


def test_the_free_space_is_fresh(receiver: ReceiverProcess) -> None:
    size = 256 << 20
    metric = "pacs_free_bytes"
    wait_until(lambda: receiver.metrics().get(metric), what="the free space is told")
    before = receiver.metrics()[metric]
    big = receiver.storage / "big"
    with big.open("wb") as file:
        os.posix_fallocate(file.fileno(), 0, size)
    try:
        wait_until(lambda: receiver.metrics()[metric] < before - size / 2, what="the free space is fresh")
    finally:
        big.unlink()
