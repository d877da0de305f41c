"""Failing disks: never Success for what is not safe, and back at work as soon as the disk is."""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import sqlite3
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from pydicom import Dataset

from pacs_receiver.storage import relative_path
from tests.components import requires
from tests.pacs_receiver import load
from tests.pacs_receiver.conftest import StartReceiver
from tests.pacs_receiver.images import encode, image
from tests.pacs_receiver.load import Acknowledged, Load, stored_digests, temporary_files
from tests.pacs_receiver.process import ReceiverProcess
from tests.pacs_receiver.testdata import data_set_of
from tests.waiting import wait_until

MEGABYTE = 1 << 20


def unable(reason: str) -> None:
    """Skip; where nothing may go unproven, fail."""
    if os.environ.get("CI", "").lower() == "true":
        pytest.fail(reason, pytrace=False)
    pytest.skip(reason)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 24 MB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=24m", "tmpfs", str(folder)], check=False, capture_output=True
    )
    if mounted.returncode:
        unable("mounting a small file system needs root")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


def store_one(receiver: ReceiverProcess, *, size: int = 512) -> tuple[str, int]:
    ds = image(size=size)
    with load.connect(receiver.port) as peer:
        status = load.store(peer, str(ds.SOPInstanceUID), encode(ds))
        peer.release()
    return str(ds.SOPInstanceUID), status


def test_a_full_disk_refuses_with_a700_loses_nothing_and_is_over_when_there_is_space(
    start_receiver: StartReceiver, small_disk: Path
) -> None:
    receiver = start_receiver(PACS_STORAGE_DIR=str(small_disk / "storage"))
    ballast = small_disk / "ballast"
    acknowledged = Acknowledged()
    with Load(lambda: receiver.port, acknowledged) as senders:
        wait_until(lambda: len(acknowledged) > 5)
        # fills the rest to the last byte while instances are on their way
        with ballast.open("wb") as file:
            try:
                while True:
                    file.write(bytes(MEGABYTE))
                    file.flush()
            except OSError:
                pass
        wait_until(lambda: len(acknowledged.refused) > 10, what="instances are refused")
        assert set(acknowledged.refused) == {0xA700}
        ballast.unlink()
        least = len(acknowledged) + 5
        wait_until(lambda: len(acknowledged) >= least, what="instances are stored again")
    assert not senders.failures
    stored = stored_digests(receiver.storage)
    assert all(stored[uid] == digest for uid, digest in acknowledged.digests.items())
    assert temporary_files(receiver.storage) == []
    assert sum(study["instance_count"] for study in receiver.listed()) >= len(acknowledged)


def test_below_the_reserve_the_receiver_refuses_says_so_and_stays_up(
    start_receiver: StartReceiver, small_disk: Path
) -> None:
    receiver = start_receiver(PACS_STORAGE_DIR=str(small_disk / "storage"), PACS_MIN_FREE_BYTES=str(8 * MEGABYTE))
    assert store_one(receiver)[1] == 0
    ballast = small_disk / "ballast"
    ballast.write_bytes(bytes(20 * MEGABYTE))
    assert store_one(receiver)[1] == 0xA700
    health = receiver.health()
    assert health["status"] != "ok"
    assert health["checks"]["storage"]["ok"] is False
    ballast.unlink()
    assert store_one(receiver)[1] == 0


def test_an_instance_larger_than_the_disk_is_refused_and_its_space_comes_back(
    start_receiver: StartReceiver, small_disk: Path
) -> None:
    receiver = start_receiver(PACS_STORAGE_DIR=str(small_disk / "storage"))
    free = shutil.disk_usage(small_disk).free
    assert store_one(receiver, size=40 * MEGABYTE)[1] == 0xA700
    assert free - shutil.disk_usage(small_disk).free < MEGABYTE
    assert store_one(receiver)[1] == 0


@pytest.fixture(scope="session")
def fault_library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    compiler = shutil.which("gcc") or shutil.which("cc")
    if compiler is None:
        unable("no C compiler (make system-packages installs gcc)")
    library = tmp_path_factory.mktemp("fault") / "fault.so"
    source = Path(__file__).with_name("fault.c")
    subprocess.run([str(compiler), "-shared", "-fPIC", "-O1", "-o", str(library), str(source), "-ldl"], check=True)
    return library


@dataclass
class Failing:
    """A receiver whose storage fails in the operation that is written into ``trigger``."""

    start_receiver: StartReceiver
    library: Path
    storage: Path
    trigger: Path

    def start(self, **settings: str) -> ReceiverProcess:
        placed = {"FAULT_FILE": self.trigger, "FAULT_FOLDER": self.storage, "PACS_STORAGE_DIR": self.storage}
        return self.start_receiver(
            **{name: str(value) for name, value in placed.items()} | {"LD_PRELOAD": str(self.library)} | settings
        )


@pytest.fixture
def failing(start_receiver: StartReceiver, fault_library: Path, tmp_path: Path) -> Failing:
    return Failing(start_receiver, fault_library, tmp_path / "images", tmp_path / "trigger")


@pytest.mark.parametrize("operation", ["write", "fsync", "link", "folder"])
def test_an_operation_that_fails_is_never_a_success(failing: Failing, operation: str) -> None:
    storage, trigger = failing.storage, failing.trigger
    receiver = failing.start()
    first, status = store_one(receiver)
    assert status == 0
    trigger.write_text(operation)
    failed = []
    for _ in range(5):
        uid, status = store_one(receiver, size=65_536)
        assert status == 0x0110
        failed.append(uid)
    trigger.unlink()
    if operation != "folder":  # its name is there then, though nobody vouches for it
        assert set(stored_digests(storage)) == {first}
    assert temporary_files(storage) == []
    later, status = store_one(receiver)
    assert status == 0
    assert {first, later} <= set(stored_digests(storage))


def digest(ds: Dataset) -> bytes:
    return hashlib.sha256(encode(ds)).digest()


def another(ds: Dataset) -> Dataset:
    """Another content under the same UIDs."""
    return image(study=ds.StudyInstanceUID, series=ds.SeriesInstanceUID, instance=ds.SOPInstanceUID, size=65_536)


def indexed_and_stored(receiver: ReceiverProcess) -> dict[str, bytes]:
    """SOP Instance UID to SHA-256, when index and files agree on it."""
    stored = stored_digests(receiver.storage)
    with contextlib.closing(sqlite3.connect(receiver.data_dir / "pacs" / "index.sqlite3")) as connection:
        assert dict(connection.execute("SELECT sop_instance_uid, sha256 FROM instance")) == stored
    return stored


@pytest.mark.parametrize("operation", ["link", "folder", "rename"])
def test_a_replacement_that_fails_is_never_a_success_and_the_first_stays(failing: Failing, operation: str) -> None:
    """With the policy ``replace`` the newcomer is renamed over the first, which is kept among the conflicts."""
    receiver = failing.start(PACS_DUPLICATE_POLICY="replace")
    first = image(size=4096)
    other = another(first)
    with load.connect(receiver.port) as peer:
        assert load.store(peer, first.SOPInstanceUID, encode(first)) == 0
        failing.trigger.write_text(operation)
        for _ in range(3):
            assert load.store(peer, first.SOPInstanceUID, encode(other)) == 0x0110
        assert indexed_and_stored(receiver) == {first.SOPInstanceUID: digest(first)}
        assert temporary_files(failing.storage) == []
        failing.trigger.unlink()
        assert load.store(peer, first.SOPInstanceUID, encode(other)) == 0
        assert indexed_and_stored(receiver) == {first.SOPInstanceUID: digest(other)}
        later = image()
        assert load.store(peer, later.SOPInstanceUID, encode(later)) == 0
        peer.release()
    assert temporary_files(failing.storage) == []
    kept = [hashlib.sha256(data_set_of(path)).digest() for path in (failing.storage / "conflicts").iterdir()]
    assert kept == [digest(first)]


@pytest.mark.parametrize("after", ["sent again", "restarted"])
def test_a_replacement_that_nobody_vouches_for_is_no_success_and_is_completed(failing: Failing, after: str) -> None:
    """The rename worked, the folder's fsync did not: the newcomer is there, its row is not."""
    first = image(size=4096)
    other = another(first)
    path = failing.storage / relative_path(first.StudyInstanceUID, first.SeriesInstanceUID, first.SOPInstanceUID)
    receiver = failing.start(PACS_DUPLICATE_POLICY="replace", FAULT_FOLDER=str(path.parent))
    with load.connect(receiver.port) as peer:
        assert load.store(peer, first.SOPInstanceUID, encode(first)) == 0
        failing.trigger.write_text("folder")
        assert load.store(peer, first.SOPInstanceUID, encode(other)) == 0x0110
        failing.trigger.unlink()
        assert set(stored_digests(failing.storage)) == {first.SOPInstanceUID}
        if after == "sent again":
            assert load.store(peer, first.SOPInstanceUID, encode(other)) == 0
        peer.release()
    if after == "restarted":
        receiver.kill()
        receiver.start()
    assert indexed_and_stored(receiver) == {first.SOPInstanceUID: digest(other)}
    assert temporary_files(failing.storage) == []


def test_a_uid_of_another_study_is_set_aside_when_the_disk_works_again(failing: Failing) -> None:
    """What can't be moved among the conflicts is no Success; sent again, it is moved."""
    receiver = failing.start()
    first = image(size=4096)
    other = image(instance=first.SOPInstanceUID)
    with load.connect(receiver.port) as peer:
        assert load.store(peer, first.SOPInstanceUID, encode(first)) == 0
        failing.trigger.write_text("rename")
        for _ in range(2):
            assert load.store(peer, first.SOPInstanceUID, encode(other)) == 0x0110
        failing.trigger.unlink()
        assert load.store(peer, first.SOPInstanceUID, encode(other)) == 0
        peer.release()
    assert indexed_and_stored(receiver) == {first.SOPInstanceUID: digest(first)}
    assert len(list(failing.storage.glob("??/*/*/*.dcm"))) == 1
    assert temporary_files(failing.storage) == []
    kept = [hashlib.sha256(data_set_of(path)).digest() for path in (failing.storage / "conflicts").iterdir()]
    assert kept == [digest(other)]


@requires("postgresql")
def test_an_index_that_is_away_for_long_is_no_success_and_the_next_try_is_one(
    start_receiver: StartReceiver, postgres_server: object, postgres_url: str
) -> None:
    from tests.postgres import PostgresServer

    assert isinstance(postgres_server, PostgresServer)
    receiver = start_receiver(PACS_DATABASE_URL=postgres_url, PACS_INDEX_RETRY_SECONDS="0.5")
    ds = image()
    data = encode(ds)
    with load.connect(receiver.port) as peer:
        assert load.store(peer, str(ds.SOPInstanceUID), data) == 0
        postgres_server.stop()
        try:
            other = image()
            assert load.store(peer, str(other.SOPInstanceUID), encode(other)) == 0xA700
        finally:
            postgres_server.start()
        assert load.store(peer, str(other.SOPInstanceUID), encode(other)) == 0
        peer.release()
    assert sum(study["instance_count"] for study in receiver.listed()) == 2
