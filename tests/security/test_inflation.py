"""Deflated images that inflate to gigabytes: kept as they came, looked at within bounds, exported with memory flat."""

from __future__ import annotations

import hashlib
import resource
import struct
import subprocess
import sys
import time
import zlib
from functools import cache
from pathlib import Path

import pytest
from pydicom import dcmread

from pacs_receiver.header import INFLATED_LIMIT, Scan
from pacs_receiver.oddities import Malformed
from pacs_receiver.record_keys import TooLong, read_keys
from tests.clients import raw
from tests.pace import Stopwatch
from tests.pacs_receiver.conftest import StartReceiver
from tests.pacs_receiver.images import CT, encode, image, uid
from tests.pacs_receiver.process import ReceiverProcess
from tests.pacs_receiver.testdata import data_set_of
from tests.waiting import wait_until

DEFLATED = "1.2.840.10008.1.2.1.99"


def element(tag: int, vr: bytes, length: int) -> bytes:
    return struct.pack("<HH2sHL", tag >> 16, tag & 0xFFFF, vr, 0, length)


def head(instance: str, study: str = "") -> bytes:
    """The data set of an image without its pixels."""
    ds = image(instance=instance, study=study or None)
    del ds.PixelData
    return encode(ds)


def deflated(*parts: bytes | int) -> bytes:
    """Deflate; a number stands for so many MiB of zeros, deflated once: after a full flush nothing refers back."""
    squeeze = zlib.compressobj(9, wbits=-zlib.MAX_WBITS)
    out = bytearray()
    for part in parts:
        if isinstance(part, bytes):
            out += squeeze.compress(part)
        else:
            out += squeeze.flush(zlib.Z_FULL_FLUSH) + _mebibyte_of_zeros() * part
    return bytes(out + squeeze.flush())


@cache
def _mebibyte_of_zeros() -> bytes:
    squeeze = zlib.compressobj(9, wbits=-zlib.MAX_WBITS)
    return squeeze.compress(bytes(1 << 20)) + squeeze.flush(zlib.Z_FULL_FLUSH)


def bomb(instance: str, study: str = "") -> bytes:
    """An image of 2 MB whose pixels inflate to 2 GiB."""
    return deflated(head(instance, study), element(0x7FE00010, b"OW", 2 << 30), 2 << 10)


def send(receiver: ReceiverProcess, instance: str, data: bytes) -> raw.Message:
    context = raw.context_item(1, CT, (DEFLATED,))
    with raw.RawPeer.connect(receiver.port, timeout=100) as peer:
        peer.associate(raw.association_request(called=b"PACS", calling=b"CT1", contexts=[context]))
        peer.send_message(1, raw.store(1, instance, CT), data)
        answer = peer.read_message()
        peer.release()
    return answer


def peak_memory(receiver: ReceiverProcess) -> int:
    """The largest resident set that any process of the receiver ever had, in bytes."""
    assert receiver.process is not None
    pids = [receiver.process.pid, *(worker.pid for worker in receiver.workers())]
    lines = [line for pid in pids for line in Path(f"/proc/{pid}/status").read_text().splitlines()]
    return max(int(line.split()[1]) << 10 for line in lines if line.startswith("VmHWM"))


def test_an_image_that_inflates_to_gigabytes_is_kept_as_it_came_and_costs_little(
    start_receiver: StartReceiver, tmp_path: Path
) -> None:
    receiver = start_receiver(PACS_WORKERS="1")
    instance, study = uid(), uid()
    data = bomb(instance, study)
    assert len(data) < 3_000_000
    before, began = peak_memory(receiver), time.monotonic()
    assert send(receiver, instance, data).status == 0
    taken = time.monotonic() - began
    grown = peak_memory(receiver) - before
    [path] = receiver.storage.glob("??/*/*/*.dcm")
    assert data_set_of(path) == data
    folder = tmp_path / "copy"
    figures = {"store_seconds": round(taken, 2), "store_bytes": grown}
    for command in (["export", study, str(folder)], ["verify"], ["show", study], ["reindex"]):
        began = time.monotonic()
        peak = peak_of_command(receiver, *command)
        figures[command[0]] = peak
        figures[f"{command[0]}_seconds"] = round(time.monotonic() - began, 1)
        assert peak < 300 << 20, command
    print(figures)
    [copy] = [path for path in folder.rglob("*") if path.is_file() and path.name != "DICOMDIR"]
    assert hashlib.sha256(copy.read_bytes()).digest() == hashlib.sha256(path.read_bytes()).digest()
    assert dcmread(folder / "DICOMDIR").DirectoryRecordSequence[-1].InstanceNumber == 1
    assert taken < 8
    assert grown < 64 << 20


MEASURE = """
import pathlib, re, runpy, sys
sys.argv = ["pacs_receiver", *sys.argv[1:]]
try:
    runpy.run_module("pacs_receiver", run_name="__main__")
except SystemExit as end:
    assert not end.code, end.code
sys.stderr.write("\\npeak " + re.search(r"VmHWM:\\s+(\\d+)", pathlib.Path("/proc/self/status").read_text())[1])
"""


def peak_of_command(receiver: ReceiverProcess, *arguments: str) -> int:
    """Run a command of the receiver; return the largest resident set that it had, in bytes."""
    finished = subprocess.run(
        [sys.executable, "-c", MEASURE, *arguments],
        cwd=receiver.data_dir,
        env=receiver.environment,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert finished.returncode == 0, finished.stderr
    return int(finished.stderr.rpartition("peak ")[2]) << 10


def test_what_was_kept_is_found_again_when_the_index_is_rebuilt_by_a_lower_limit(
    start_receiver: StartReceiver, tmp_path: Path
) -> None:
    receiver = start_receiver(PACS_WORKERS="1", PACS_MAX_INFLATED_BYTES=str(1 << 30))
    instance = uid()
    late = deflated(element(0x00070010, b"OB", 300 << 20), 300, head(instance))
    assert send(receiver, instance, late).status == 0
    receiver.stop()
    receiver.settings = {"PACS_DATABASE_URL": f"sqlite:///{tmp_path / 'new.sqlite3'}"}
    assert "1 files in 1 studies: 1 indexed" in receiver.run("reindex").stdout


HOSTILE = {
    "identification behind gigabytes": lambda instance: deflated(
        element(0x00070010, b"OB", 2 << 30), 2 << 10, head(instance)
    ),
    "no identification": lambda _instance: deflated(element(0x7FE00010, b"OW", 1 << 30), 1 << 10),
    "millions of elements before it": lambda instance: deflated(
        b"".join(struct.pack("<HH2sH", 7, 0x1000, b"UN", 0)[:6] + bytes(6) for _ in range(100_000)) * 30, head(instance)
    ),
}


@pytest.mark.parametrize("make", HOSTILE.values(), ids=HOSTILE.keys())
def test_what_hides_its_identification_is_refused_clearly(start_receiver: StartReceiver, make: object) -> None:
    assert callable(make)
    receiver = start_receiver(PACS_WORKERS="1")
    instance = uid()
    data = make(instance)
    before, watch = peak_memory(receiver), Stopwatch()
    answer = send(receiver, instance, data)
    assert answer.status in (0xC000, 0xA900)
    assert answer.comment
    assert watch.is_below(15)
    assert peak_memory(receiver) - before < 64 << 20
    assert list(receiver.storage.glob("??/*/*/*.dcm")) == []
    good = uid()
    assert send(receiver, good, deflated(head(good))).status == 0


def scanned(data: bytes, inflated_limit: int = INFLATED_LIMIT) -> Scan:
    scan = Scan(DEFLATED, inflated_limit=inflated_limit)
    for start in range(0, len(data), 1 << 18):
        scan.feed(memoryview(data)[start : start + (1 << 18)])
    scan.finish()
    return scan


def test_a_deflated_image_of_usual_size_is_still_looked_at_to_its_end() -> None:
    begin = head("1.2.3")
    whole = deflated(begin, element(0x7FE00010, b"OW", 64 << 20), 64)
    assert scanned(whole)._total == len(begin) + 12 + (64 << 20)
    with pytest.raises(Malformed, match="without end"):
        scanned(whole[:-10])
    assert scanned(whole, inflated_limit=8 << 20)._total < 16 << 20


def test_ten_million_elements_behind_the_head_are_not_walked_through() -> None:
    tiny = struct.pack("<HH2sH", 0x0029, 0x1000, b"LO", 0) * 131_072
    squeeze = zlib.compressobj(9, wbits=-zlib.MAX_WBITS)
    data = squeeze.compress(head("1.2.3")) + b"".join(squeeze.compress(tiny) for _ in range(80)) + squeeze.flush()
    assert scanned(data)._elements < 1_000_000


# -- what a DICOMDIR needs of it


@pytest.fixture
def stored(start_receiver: StartReceiver) -> ReceiverProcess:
    return start_receiver(PACS_WORKERS="1")


def test_the_keys_are_read_forward_within_bounds(stored: ReceiverProcess) -> None:
    instance = uid()
    skipped = deflated(element(0x00070010, b"OB", 100 << 20), 100, head(instance))
    assert send(stored, instance, skipped).status == 0
    [path] = stored.storage.glob("??/*/*/*.dcm")
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    keys = read_keys(path)
    assert (keys.SOPInstanceUID, keys.PatientName) == (instance, "Prüfer^Anna")
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 32 << 10
    beyond = path.read_bytes().replace(skipped, b"") + deflated(
        element(0x00070010, b"OB", 512 << 20), 512, head(instance)
    )
    path.write_bytes(beyond)
    with pytest.raises(TooLong):
        read_keys(path)


def test_a_file_whose_keys_are_too_far_is_exported_by_what_the_index_knows(
    start_receiver: StartReceiver, tmp_path: Path
) -> None:
    receiver = start_receiver(PACS_WORKERS="1", PACS_MAX_INFLATED_BYTES=str(1 << 30))
    instance, study = uid(), uid()
    assert (
        send(receiver, instance, deflated(element(0x00070010, b"OB", 400 << 20), 400, head(instance, study))).status
        == 0
    )
    wait_until(receiver.listed)
    finished = receiver.run("export", study, str(tmp_path / "copy"))
    assert finished.returncode == 0, finished.stderr
    assert len(list((tmp_path / "copy").rglob("*"))) > 1
