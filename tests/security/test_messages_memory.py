"""What peers leave unfinished takes no more memory than the budget, whoever many they are; others are answered."""

from __future__ import annotations

import socket
import struct
import threading
import zlib
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil
import pytest
from pydicom import Dataset
from pynetdicom import AE
from pynetdicom.sop_class import ModalityWorklistInformationFind  # type: ignore[attr-defined]

from dicom_listener import metrics
from dicom_listener.memory import MessageMemory
from simulator.answers import keep_answers
from tests.clients import dcmtk
from tests.clients.raw import (
    COMMAND,
    LAST,
    STORAGE_COMMITMENT,
    RawPeer,
    association_request,
    cancel,
    command_set,
    context_item,
    find,
    identifier,
    p_data,
    pdv,
)
from tests.components import requires
from tests.databases import worklist_database
from tests.dicom_listener.listening import LIMITS, Listening, listening, metric
from tests.dicom_listener.toy_process import ToyProcess
from tests.mwl_scp.conftest import start_provider
from tests.security.crowd import ADDRESS
from tests.waiting import wait_until

MB = 1024 * 1024
PIECE = 16_000
Listen = Callable[..., Listening]


@pytest.fixture
def listen(tmp_path: Path) -> Iterator[Listen]:
    """Start listeners in this process: ``listen(messages=65536)`` changes limits."""
    with ExitStack() as stack:
        numbers = iter(range(100))

        def start(**limits: Any) -> Listening:
            folder = tmp_path / f"listening-{next(numbers)}"
            return stack.enter_context(listening(folder, limits=replace(LIMITS, **limits)))

        yield start


@pytest.fixture
def toy(tmp_path: Path) -> Iterator[ToyProcess]:
    """A listener of two workers whose budget is 32 MiB."""
    process = ToyProcess(tmp_path / "toy", {"TOY_WORKERS": "2", "TOY_MAX_MESSAGES_BYTES": str(32 * MB)})
    process.start()
    yield process
    process.kill()


def from_elsewhere(port: int) -> RawPeer:
    peer = RawPeer(socket.create_connection(("127.0.0.1", port), 30, source_address=(ADDRESS, 0)))
    peer.associate()
    return peer


def unfinished(peer: RawPeer, size: int, command: bytes | None = None) -> None:
    """Send so much of an identifier, and not its end."""
    peer.send(p_data(pdv(5, COMMAND | LAST, command or find())))
    fragment = p_data(pdv(5, 0, bytes(PIECE)))
    for _ in range(size // PIECE):
        peer.send(fragment)


def finish(peer: RawPeer) -> int:
    """Send the end; the status of the last response."""
    peer.send(p_data(pdv(5, LAST, b"")))
    while (answer := peer.read_message()).status == 0xFF00:
        pass
    return answer.status


def test_three_hundred_unfinished_identifiers_take_no_more_than_the_budget(toy: ToyProcess) -> None:
    def memory() -> int:
        return sum(psutil.Process(worker.pid).memory_full_info().uss for worker in toy.workers())

    with ExitStack() as stack:
        peers = [stack.enter_context(from_elsewhere(toy.port)) for _ in range(300)]
        for peer in peers:  # whole messages first: what a connection costs (buffer, thread) is then in ``before``
            unfinished(peer, MB)
            assert finish(peer) != 0xA700
        before = memory()

        def send(part: list[RawPeer]) -> None:
            for peer in part:
                unfinished(peer, 4 * MB - PIECE)

        threads = [threading.Thread(target=send, args=(peers[number::4],)) for number in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        # an address's half of the budget, and what allocators keep; unlimited, the messages are 1.2 GB
        assert memory() - before < 16 * MB * 1.2 + 32 * MB
        with toy.associated() as other:
            other.send_message(5, find(), identifier("2") + bytes(PIECE // 2 * 2))
            assert [other.read_message().status for _ in range(3)] == [0xFF00, 0xFF00, 0]
            other.release()
        statuses = [finish(peer) for peer in peers]
        assert statuses.count(0xA700) >= 290, "most were refused, and told so"
    wait_until(lambda: toy.health()["associations"] == 0)
    with from_elsewhere(toy.port) as peer:
        unfinished(peer, 4 * MB - PIECE)
        assert finish(peer) != 0xA700, "all of the budget is back"
    assert 'dicom_limits_total{limit="messages"}' in toy.metrics()


# -- each way in which a message ends gives its memory back


def n_action(message_id: int = 1) -> bytes:
    return command_set(
        {0x0003: STORAGE_COMMITMENT, 0x0100: 0x0130, 0x0110: message_id, 0x0800: 1, 0x1001: "1.2.3", 0x1008: 1}
    )


def response_nobody_waits_for() -> bytes:
    return command_set({0x0100: 0x8100, 0x0120: 7, 0x0800: 1, 0x0900: 0})


def cancel_with_data() -> bytes:
    return command_set({0x0100: 0x0FFF, 0x0120: 7, 0x0800: 1})


def unsupported() -> bytes:
    return command_set({0x0002: "1.2.3", 0x0100: 0x0150, 0x0110: 1, 0x0800: 1})


def answered(peer: RawPeer) -> None:
    unfinished(peer, 48_000)
    finish(peer)


def too_long(peer: RawPeer) -> None:
    unfinished(peer, 80_000)
    assert finish(peer) == 0xA700


def not_supported(peer: RawPeer) -> None:
    unfinished(peer, 48_000, unsupported())
    assert finish(peer) == 0x0211


def a_response(peer: RawPeer) -> None:
    unfinished(peer, 48_000, response_nobody_waits_for())
    peer.send(p_data(pdv(5, LAST, b"")))
    peer.echo()


def a_cancel(peer: RawPeer) -> None:
    unfinished(peer, 48_000, cancel_with_data())
    peer.send(p_data(pdv(5, LAST, b"")))
    peer.echo()


def reset(peer: RawPeer) -> None:
    unfinished(peer, 48_000)
    peer.reset()


def closed(peer: RawPeer) -> None:
    unfinished(peer, 48_000)
    peer.sock.close()


def violation(peer: RawPeer) -> None:
    unfinished(peer, 48_000)
    peer.send(b"\x42" + bytes(9))
    assert peer.read_pdu().kind == 7


def raising(peer: RawPeer) -> None:
    peer.send_message(5, find(), identifier("RAISE"))
    assert peer.read_message().status == 0xC001


def left_while_it_is_answered(peer: RawPeer) -> None:
    peer.send_message(5, find(), identifier("ENDLESS"))
    peer.read_message()
    peer.reset()


def left_while_it_waits(peer: RawPeer) -> None:
    peer.send_message(5, find(7), identifier("ENDLESS"))
    peer.read_message()
    unfinished(peer, 48_000, find(8))
    peer.send(p_data(pdv(5, LAST, b"")))
    peer.reset()


def cancelled(peer: RawPeer) -> None:
    peer.send_message(5, find(7), identifier("ENDLESS"))
    peer.send_message(5, cancel(7))
    while peer.read_message().status != 0xFE00:
        pass


ENDS = (answered, too_long, not_supported, a_response, a_cancel, reset, closed, violation, raising,
        left_while_it_is_answered, left_while_it_waits, cancelled)  # fmt: skip


@pytest.mark.parametrize("end", ENDS)
def test_the_memory_of_a_message_comes_back_however_it_ends(listen: Listen, end: Callable[[RawPeer], None]) -> None:
    listener = listen(pdu=5)
    with listener.associated() as peer:
        end(peer)
        wait_until(lambda: listener.seats.memory.used() == 0)
    listener.wait_until_at_rest()
    assert listener.seats.memory.used() == 0


def test_a_message_that_never_ends_is_cut_off_however_briskly_it_comes(listen: Listen) -> None:
    listener = listen(idle=1, pdu=10)
    ended = threading.Event()
    with listener.associated() as peer:
        unfinished(peer, 16_000)

        def drip() -> None:
            try:
                while not ended.wait(0.1):
                    peer.send(p_data(pdv(5, 0, b"xx")))
            except OSError:
                return

        thread = threading.Thread(target=drip)
        thread.start()
        assert peer.read_pdu().abort == (2, 0)
        ended.set()
        thread.join()
    listener.wait_until_at_rest()
    assert listener.seats.memory.used() == 0


def test_complete_messages_that_wait_for_their_turn_count_too(listen: Listen) -> None:
    listener = listen(messages=200_000)
    with listener.associated() as peer:
        peer.send_message(5, find(1), identifier("READ UNTIL CANCELLED"))
        for message_id in range(2, 6):
            peer.send_message(5, find(message_id), bytes(48_000))
        # it comes after the four, so that all of them wait when the first is over
        peer.send_message(5, cancel(1))
        statuses = [peer.read_message().status for _ in range(5)]
        assert statuses[0] == 0xFE00
        assert statuses[1:].count(0xA700) == 2, "half of the budget is one address's"
        peer.echo()
        wait_until(lambda: listener.seats.memory.used() == 0)


def test_an_n_service_is_told_by_its_own_status(listen: Listen) -> None:
    listener = listen(messages=60_000)
    with listener.peer() as peer:
        peer.associate(association_request(contexts=[context_item(5, STORAGE_COMMITMENT)]))
        unfinished(peer, 48_000, n_action())
        peer.send(p_data(pdv(5, LAST, b"")))
        answer = peer.read_message()
        assert answer.status == 0x0213
        assert answer.comment == "No memory for another data set, for now"


# -- clients that others wrote


def test_pynetdicom_is_told_and_served_again(listen: Listen) -> None:
    listener = listen(messages=60_000)
    ae = AE()
    ae.add_requested_context(ModalityWorklistInformationFind)
    opened = ae.associate("127.0.0.1", listener.port, ae_title="TOY")
    assert opened.is_established
    keep_answers(opened)
    large, small = Dataset(), Dataset()
    large.PatientID, large.TextValue, small.PatientID = "1", "x" * 40_000, "1"
    before = metric(metrics.LIMITED, "messages")
    [(status, _)] = list(opened.send_c_find(large, ModalityWorklistInformationFind))
    assert status.Status == 0xA700
    assert metric(metrics.LIMITED, "messages") == before + 1
    assert [status.Status for status, _ in opened.send_c_find(small, ModalityWorklistInformationFind)] == [0xFF00, 0]
    opened.release()


@requires("dcmtk")
def test_dcmtk_is_told(listen: Listen, tmp_path: Path) -> None:
    listener = listen(messages=60_000)
    large = Dataset()
    large.PatientID, large.TextValue = "1", "x" * 40_000
    file = tmp_path / "query.dcm"
    large.save_as(file, implicit_vr=True, little_endian=True)
    outcome = dcmtk.run("findscu", "-v", "-W", "127.0.0.1", str(listener.port), str(file))
    assert "Received Final Find Response (Refused: OutOfResources)" in outcome.output


# -- the budget itself


def test_one_address_never_has_all_of_it_and_all_workers_share_it() -> None:
    memory = MessageMemory(1000, workers=3)
    assert memory.reserve("10.0.0.1", 500)
    memory.worker = 1
    assert not memory.reserve("10.0.0.1", 1), "another worker's part counts"
    assert memory.reserve("10.0.0.2", 400)
    memory.worker = 2
    assert not memory.reserve("10.0.0.3", 101)
    assert memory.reserve("10.0.0.3", 100)
    assert memory.used() == 1000
    memory.clear(1)
    assert memory.used() == 600
    memory.release("10.0.0.3", 100)
    assert memory.used() == 500


# -- what is inflated


def deflated_bomb(size: int) -> bytes:
    """A patient's comments of so many bytes, in as few as can be."""
    compressor = zlib.compressobj(9, wbits=-zlib.MAX_WBITS)
    element = struct.pack("<HH2sHL", 0x0010, 0x4000, b"UT", 0, size) + b"x" * size
    return compressor.compress(element) + compressor.flush()


@pytest.mark.parametrize("size", [15_700_000, 200_000_000])
def test_a_few_bytes_never_become_many(tmp_path: Path, django_db_blocker: Any, size: int) -> None:
    bomb = deflated_bomb(size)
    assert len(bomb) < 250_000
    deflated = context_item(5, "1.2.840.10008.5.1.4.31", ["1.2.840.10008.1.2.1.99"])
    with worklist_database(f"sqlite:///{tmp_path / 'worklist.sqlite3'}", django_db_blocker):
        running = start_provider(tmp_path, f"sqlite:///{tmp_path / 'worklist.sqlite3'}")
        try:
            family = [psutil.Process(running.process.pid), *psutil.Process(running.process.pid).children()]
            with RawPeer.connect(running.port) as peer:
                peer.associate(association_request(called=b"MWL_SCP", contexts=[deflated]))
                before = sum(process.memory_info().rss for process in family)
                for _ in range(5):
                    peer.send_message(5, find(), bomb)
                    answer = peer.read_message()
                    assert answer.status == 0xC000
                    assert answer.comment == "The identifier is longer than 1048576 bytes when inflated"
                assert sum(process.memory_info().rss for process in family) - before < 12_000_000
                peer.release()
        finally:
            running.stop()
