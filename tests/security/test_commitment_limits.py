"""Commitment requests of any length: bounded, answered, and no burden for whoever stores meanwhile."""

from __future__ import annotations

import json
import socket
import struct
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from statistics import median

import psutil
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom import Dataset
from pydicom.uid import UID
from pynetdicom.dsutils import decode, encode

from dicom_listener.service import Refused
from pacs_receiver.commitment_data import Failure, Result, committed_in, parse_request, read_head
from pacs_receiver.sop_classes import STORAGE_COMMITMENT
from tests.clients import raw
from tests.components import requires
from tests.pace import slowdown
from tests.pacs_receiver import load
from tests.pacs_receiver.conftest import StartReceiver
from tests.pacs_receiver.images import CT, EXPLICIT, image, uid
from tests.pacs_receiver.images import encode as encode_image
from tests.pacs_receiver.process import ReceiverProcess
from tests.waiting import wait_until

IMPLICIT, BIG = "1.2.840.10008.1.2", "1.2.840.10008.1.2.2"
MANY = 60_000
TIMES = 5


def element(tag: int, value: bytes) -> bytes:
    return struct.pack("<HHL", tag >> 16, tag & 0xFFFF, len(value)) + value


def text(tag: int, value: str) -> bytes:
    return element(tag, value.encode() + b"\0" * (len(value) % 2))


def information(transaction: str, instances: list[str]) -> bytes:
    """The Action Information, in implicit VR little endian."""
    items = (text(0x00081150, CT) + text(0x00081155, instance) for instance in instances)
    return text(0x00081195, transaction) + element(0x00081199, b"".join(element(0xFFFEE000, item) for item in items))


def requestor(receiver: ReceiverProcess, title: bytes = b"CT1", timeout: float = 100) -> raw.RawPeer:
    peer = raw.RawPeer(socket.create_connection(("127.0.0.1", receiver.port), timeout), timeout)
    context = raw.context_item(1, STORAGE_COMMITMENT, (IMPLICIT,))
    peer.associate(raw.association_request(called=b"PACS", calling=title, contexts=[context]))
    return peer


def ask(peer: raw.RawPeer, data: bytes, message_id: int = 1) -> raw.Message:
    peer.send_message(1, raw.action(message_id), data)
    return peer.read_message()


# -- the limit


def test_a_request_beyond_the_limit_gets_a_status_that_a_modality_can_act_on(start_receiver: StartReceiver) -> None:
    receiver = start_receiver(PACS_COMMIT_MAX_REFERENCES="100", PACS_COMMIT_WAIT_SECONDS="0.1")
    instances = [uid() for _ in range(101)]
    with requestor(receiver) as peer:
        answer = ask(peer, information(uid(), instances))
        assert (answer.status, answer.comment) == (0x0213, "more than 100 references")
        answer = ask(peer, information(uid(), instances[:3]) + element(0x00104000, bytes(30_000)))
        assert (answer.status, answer.comment) == (0x0213, "Data set is longer than 24096 bytes")
        assert ask(peer, information(uid(), instances[:100])).status == 0
        report = peer.read_message()
        assert (report.field, report.number(0x1002)) == (0x0100, 2)
        peer.send_message(1, raw.event_response(report.number(0x0110)))
        peer.release()


def test_the_references_that_wait_are_bounded_for_each_device(start_receiver: StartReceiver) -> None:
    receiver = start_receiver(PACS_COMMIT_MAX_REFERENCES="10")
    for number in range(21):
        with requestor(receiver) as peer:
            status = ask(peer, information(uid(), [uid() for _ in range(10)])).status
            assert status == (0 if number < 20 else 0x0213)
            peer.release()
    with requestor(receiver, b"CT2") as peer:
        assert ask(peer, information(uid(), [uid()])).status == 0, "another device is not concerned"
        peer.release()


# -- sixty thousand, five times in a row


class Bystander:
    """A modality that stores and echoes all the time, and remembers the longest wait for an answer."""

    def __init__(self, receiver: ReceiverProcess) -> None:
        self._receiver = receiver
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self.store_seconds: list[float] = []
        self.echo_seconds: list[float] = []

    @contextmanager
    def at_work(self) -> Iterator[Bystander]:
        self._thread.start()
        try:
            yield self
        finally:
            self._stop.set()
            self._thread.join()

    def _run(self) -> None:
        contexts = [raw.context_item(1, CT, (EXPLICIT,)), raw.context_item(3, raw.VERIFICATION)]
        while not self._stop.is_set():
            began = time.perf_counter()
            with raw.RawPeer.connect(self._receiver.port, timeout=60) as peer:
                peer.associate(raw.association_request(called=b"PACS", calling=b"CT2", contexts=contexts))
                peer.send_message(3, raw.echo())
                assert peer.read_message().status == 0
                self.echo_seconds.append(time.perf_counter() - began)
                ds = image(size=4096)
                data = encode_image(ds)
                began = time.perf_counter()
                assert load.store(peer, str(ds.SOPInstanceUID), data) == 0
                self.store_seconds.append(time.perf_counter() - began)
                peer.release()


def transaction_of(report: raw.Message) -> str:
    """The Transaction UID, which is the first element."""
    assert report.data is not None
    (length,) = struct.unpack_from("<L", report.data, 4)
    return str(report.data[8 : 8 + length].rstrip(b"\0").decode())


def cpu_of(receiver: ReceiverProcess) -> dict[str, float]:
    """CPU seconds so far: of the workers, which hold the listening port, and of the other processes."""
    used = {"workers": 0.0, "others": 0.0}
    for process in receiver.workers():
        ports = {one.laddr.port for one in process.net_connections("tcp") if one.status == psutil.CONN_LISTEN}
        used["workers" if receiver.port in ports else "others"] += sum(process.cpu_times()[:2])
    return used


@pytest.mark.timeout(600)
def test_sixty_thousand_references_five_times_in_a_row_are_all_answered_while_others_store(
    start_receiver: StartReceiver, record_property: Callable[[str, object], None]
) -> None:
    receiver = start_receiver(PACS_WORKERS="1", PACS_COMMIT_WAIT_SECONDS="0.1")
    stored = image()
    with load.connect(receiver.port, "CT1") as storing:
        assert load.store(storing, str(stored.SOPInstanceUID), encode_image(stored)) == 0
        storing.release()
    instances = [str(stored.SOPInstanceUID), *(f"2.25.4711.9.{number}" for number in range(MANY - 1))]
    transactions = [uid() for _ in range(TIMES)]
    requests = [information(transaction, instances) for transaction in transactions]
    before = cpu_of(receiver)
    alone, beside = Bystander(receiver), Bystander(receiver)
    with alone.at_work():
        wait_until(lambda: len(alone.store_seconds) > 20)
    with requestor(receiver, timeout=300) as peer, beside.at_work():
        accepted = []
        for number, data in enumerate(requests, 1):
            began = time.perf_counter()
            assert ask(peer, data, number).status == 0
            accepted.append(time.perf_counter() - began)
        reports = {}
        for _ in range(TIMES):
            report = peer.read_message()
            assert report.field == 0x0100
            peer.send_message(1, raw.event_response(report.number(0x0110)))
            reports[transaction_of(report)] = report
        peer.release()
    used = {name: seconds - before[name] for name, seconds in cpu_of(receiver).items()}
    assert reports.keys() == set(transactions)
    for report in reports.values():
        assert report.number(0x1002) == 2
        assert report.data is not None
        assert [instance for _, instance in committed_in(report.data, IMPLICIT)] == [instances[0]]
        assert report.data.count(b"\xfe\xff\x00\xe0") == MANY
    wait_until(lambda: json.loads(receiver.run("status", "--json").stdout)["commitments_waiting"] == 0, timeout=120)
    figures = {
        "accepted_seconds": [round(seconds, 2) for seconds in accepted],
        "cpu": {name: round(seconds, 2) for name, seconds in used.items()},
        **{
            f"{name}_{kind}_ms": round(1000 * max(values))
            for name, one in (("alone", alone), ("beside", beside))
            for kind, values in (("store", one.store_seconds), ("echo", one.echo_seconds))
        },
    }
    record_property("figures", json.dumps(figures))
    print(figures)
    slower = slowdown()
    assert max(beside.store_seconds) < 5 * slower
    assert max(beside.echo_seconds) < 5 * slower
    assert max(accepted) < 10 * slower


@pytest.fixture(scope="module")
def dcmtk_requestor(tmp_path_factory: pytest.TempPathFactory) -> Path:
    program = tmp_path_factory.mktemp("dcmtk") / "commitment_scu"
    source = Path(__file__).parents[1] / "pacs_receiver" / "commitment_scu.cc"
    libraries = ("-ldcmnet", "-ldcmdata", "-loflog", "-lofstd")
    subprocess.run(["g++", "-O0", "-o", str(program), str(source), *libraries], check=True, timeout=100)
    return program


@requires("dcmtk-library")
@pytest.mark.timeout(600)
def test_dcmtk_asks_for_sixty_thousand_five_times_and_is_told(
    start_receiver: StartReceiver, dcmtk_requestor: Path
) -> None:
    receiver = start_receiver(PACS_COMMIT_WAIT_SECONDS="0.1")
    instances = [f"2.25.{number}" for number in range(10_000_000, 10_000_000 + MANY)]
    for _ in range(TIMES):
        asked = subprocess.run(
            [str(dcmtk_requestor), str(receiver.port), uid(), CT, *instances],
            capture_output=True, text=True, timeout=300, check=False,
        )  # fmt: skip
        assert asked.returncode == 0, asked.stderr
        lines = asked.stdout.splitlines()
        assert lines[1] == "event 2"
        assert lines[2:] == [f"failed {instance} 112" for instance in instances]


@pytest.mark.timeout(300)
def test_long_requests_are_reported_to_who_has_released(start_receiver: StartReceiver, tmp_path: Path) -> None:
    from tests.pacs_receiver.test_commitment import Reports, listening, peers_file
    from tests.ports import free_port

    port = free_port()
    receiver = start_receiver(PACS_PEERS_FILE=peers_file(tmp_path, port))
    reports = Reports()
    with listening(reports, port):
        for _ in range(2):
            with requestor(receiver) as peer:
                assert ask(peer, information(uid(), [uid() for _ in range(5_000)])).status == 0
                peer.release()
        wait_until(lambda: len(reports.received) == 2, timeout=120)
    assert [len(ds.FailedSOPSequence) for _, ds in reports.received] == [5_000] * 2


def _seconds_of_a_store(peer: raw.RawPeer, reports: list[raw.Message]) -> float:
    """Store an image, and answer the report that may come first."""
    ds = image()
    data = encode_image(ds)
    began = time.perf_counter()
    peer.send_message(3, raw.store(2, str(ds.SOPInstanceUID), CT), data)
    answer = peer.read_message()
    if answer.field == 0x0100:
        reports.append(answer)
        peer.send_message(1, raw.event_response(answer.number(0x0110)))
        answer = peer.read_message()
    assert answer.status == 0
    return time.perf_counter() - began


def test_an_open_association_is_told_while_it_stores_on(start_receiver: StartReceiver) -> None:
    receiver = start_receiver(PACS_COMMIT_WAIT_SECONDS="0.5", PACS_WORKERS="1")
    contexts = [raw.context_item(1, STORAGE_COMMITMENT, (IMPLICIT,)), raw.context_item(3, CT, (EXPLICIT,))]
    with raw.RawPeer.connect(receiver.port, timeout=60) as peer:
        peer.associate(raw.association_request(called=b"PACS", calling=b"CT1", contexts=contexts))
        alone, beside = [_seconds_of_a_store(peer, []) for _ in range(20)], []
        assert ask(peer, information(uid(), [uid()])).status == 0
        reports: list[raw.Message] = []
        while not reports:
            beside.append(_seconds_of_a_store(peer, reports))
        assert median(beside) < max(0.05, 4 * median(alone)), "each is answered when it comes, not after a pause"
        peer.release()


# -- the codec, against the general one


INSTANCES = st.from_regex(r"[1-9][0-9]{0,20}(\.[1-9][0-9]{0,20}){0,2}", fullmatch=True)
REFERENCES = st.lists(st.tuples(st.just(CT), INSTANCES), min_size=1, max_size=5)


def data_set(references: list[tuple[str, str]], *, undefined: bool) -> Dataset:
    ds = Dataset()
    ds.TransactionUID = UID("1.2.3")
    ds.PatientID = "one element more"
    ds.ReferencedSOPSequence = []
    for sop_class, instance in references:
        item = Dataset()
        item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = UID(sop_class), UID(instance)
        item.ReferencedSOPSequence = [Dataset()]
        item.is_undefined_length_sequence_item = undefined
        ds.ReferencedSOPSequence.append(item)
    ds["ReferencedSOPSequence"].is_undefined_length = undefined
    return ds


@given(REFERENCES, st.sampled_from([IMPLICIT, EXPLICIT, BIG]), st.booleans())
def test_a_request_is_read_in_each_transfer_syntax(
    references: list[tuple[str, str]], syntax: str, undefined: bool
) -> None:
    uid_ = UID(syntax)
    data = encode(data_set(references, undefined=undefined), uid_.is_implicit_VR, uid_.is_little_endian)
    assert data is not None
    assert parse_request(data, syntax) == ("1.2.3", tuple(references))
    transaction, count = read_head(data, syntax, max_references=100)
    assert transaction == "1.2.3"
    assert count >= len(references)


@given(REFERENCES, st.sampled_from([IMPLICIT, EXPLICIT, BIG]), st.integers(0, 5))
def test_a_report_is_written_in_each_transfer_syntax(references: list[tuple[str, str]], syntax: str, safe: int) -> None:
    failed = tuple((reference, Failure.NO_SUCH_OBJECT_INSTANCE) for reference in references[safe:])
    result = Result("1.2.3", tuple(references[:safe]), failed)
    uid_ = UID(syntax)
    ds = decode(BytesIO(result.encoded(syntax)), uid_.is_implicit_VR, uid_.is_little_endian)
    assert ds.TransactionUID == "1.2.3"
    found = [(i.ReferencedSOPClassUID, i.ReferencedSOPInstanceUID) for i in ds.get("ReferencedSOPSequence") or []]
    assert found == references[:safe] == list(committed_in(result.encoded(syntax), syntax))
    told = [(i.ReferencedSOPInstanceUID, i.FailureReason) for i in ds.get("FailedSOPSequence") or []]
    assert told == [(instance, 0x0112) for _, instance in references[safe:]]


HOSTILE = {
    "a thousand elements before": b"".join(element(0x00080001 + n, b"") for n in range(3000)),
    "nesting without end": b"\x08\x00\x99\x11\xff\xff\xff\xff\xfe\xff\x00\xe0\xff\xff\xff\xff" * 50_000,
    "a length beyond the end": text(0x00081195, "1.2") + struct.pack("<HHL", 8, 0x1199, 1 << 30) + b"x",
    "no item in the sequence": text(0x00081195, "1.2") + element(0x00081199, text(0x00081155, "1.2")),
    "UIDs that are none": text(0x00081195, "1.2") + element(0x00081199, element(0xFFFEE000, text(0x00081155, "../x"))),
}


@pytest.mark.parametrize("data", HOSTILE.values(), ids=HOSTILE.keys())
def test_hostile_structure_is_refused(data: bytes) -> None:
    with pytest.raises(Refused):
        parse_request(data, IMPLICIT)
