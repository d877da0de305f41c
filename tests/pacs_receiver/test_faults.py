"""Failing disks: never Success for what is not safe, and back at work as soon as the disk is."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.components import requires
from tests.pacs_receiver import load
from tests.pacs_receiver.conftest import StartReceiver
from tests.pacs_receiver.images import encode, image
from tests.pacs_receiver.load import Acknowledged, Load, stored_digests, temporary_files
from tests.pacs_receiver.process import ReceiverProcess
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


@pytest.mark.parametrize("operation", ["write", "fsync", "link", "folder"])
def test_an_operation_that_fails_is_never_a_success(
    start_receiver: StartReceiver, fault_library: Path, tmp_path: Path, operation: str
) -> None:
    trigger = tmp_path / "trigger"
    storage = tmp_path / "images"
    receiver = start_receiver(
        LD_PRELOAD=str(fault_library),
        FAULT_FILE=str(trigger),
        FAULT_FOLDER=str(storage),
        PACS_STORAGE_DIR=str(storage),
    )
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
