"""What must not wedge it: after each, a store succeeds at once, and no descriptor, thread or open sink is left."""

from __future__ import annotations

import contextlib
import random
import resource
import threading
import time
from collections.abc import Callable, Iterator

import pytest

from tests.clients.raw import (
    ABORT_BY_USER,
    COMMAND,
    LAST,
    RELEASE_RQ,
    RawPeer,
    association_request,
    echo,
    find,
    identifier,
    p_data,
    pdv,
    store,
)
from tests.dicom_listener.conftest import StartToy
from tests.dicom_listener.toy_process import ToyProcess
from tests.pace import Stopwatch
from tests.waiting import wait_until


@pytest.fixture
def toy(start_toy: StartToy) -> Iterator[ToyProcess]:
    """A service with short limits, which must be at rest afterwards as it was before."""
    process = start_toy(
        TOY_FIRST_PDU_SECONDS="1.5", TOY_PDU_SECONDS="1", TOY_IDLE_SECONDS="20", TOY_RELEASE_SECONDS="1"
    )
    before = process.usage_at_rest()
    yield process
    process.assert_works()
    process.wait_for_usage(before)
    assert process.is_healthy()
    wait_until(lambda: process.health()["associations"] == 0)
    assert "a process died" not in process.log_text()
    assert "association failed" not in process.log_text()
    assert not (process.folder / "toy" / "ended-twice").exists()


def promptly(toy: ToyProcess) -> None:
    """A store succeeds at once, whatever else goes on."""
    watch = Stopwatch()
    toy.assert_works()
    assert watch.is_below(1)


@pytest.fixture(scope="module", autouse=True)
def _many_descriptors() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < 4096:
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(4096, hard), hard))


def in_the_middle(toy: ToyProcess, number: int) -> RawPeer:
    """A peer that has sent part of a data set."""
    peer = toy.associated()
    peer.send(p_data(pdv(3, COMMAND | LAST, store(1, f"1.5.{number}"))), p_data(pdv(3, 0, bytes(30_000))))
    peer.send(p_data(pdv(3, 0, bytes(30_000)))[:-1000])
    return peer


def test_a_thousand_connections_that_say_nothing(toy: ToyProcess) -> None:
    peers = [toy.peer() for _ in range(1000)]
    threads = sum(worker.num_threads() for worker in toy.workers())
    assert threads <= 4, "silence costs no thread"
    promptly(toy)
    for peer in peers:
        assert peer.is_ended()
        peer.sock.close()


def test_connections_that_end_before_they_say_anything(toy: ToyProcess) -> None:
    for number in range(500):
        peer = toy.peer()
        if number % 2:
            peer.reset()
        else:
            peer.sock.close()
    promptly(toy)


def test_resets_in_the_middle_of_a_data_set(toy: ToyProcess) -> None:
    for number in range(40):
        in_the_middle(toy, number).reset()
    promptly(toy)
    wait_until(lambda: toy.usage()[2] == 0, what="no sink is open")


def test_half_open_connections_in_the_middle_of_a_data_set(toy: ToyProcess) -> None:
    peers = [in_the_middle(toy, number) for number in range(20)]
    promptly(toy)
    for peer in peers:
        # the limit of a PDU that has begun
        assert peer.read_pdu().abort == (2, 0)
        peer.sock.close()


def test_senders_of_single_bytes(toy: ToyProcess) -> None:
    peers = [toy.peer() for _ in range(20)] + [toy.associated() for _ in range(20)]
    said = [association_request()] * 20 + [p_data(pdv(1, COMMAND | LAST, echo()))] * 20
    open_ones = list(zip(peers, said, strict=True))
    deadline = time.monotonic() + 8
    position = 0
    pace = threading.Event()
    while open_ones and time.monotonic() < deadline:
        for entry in tuple(open_ones):
            peer, data = entry
            try:
                peer.send(data[position : position + 1])
            except OSError:
                open_ones.remove(entry)
        position += 1
        pace.wait(0.2)
    assert not open_ones, "each was cut off"
    promptly(toy)
    for peer in peers:
        peer.sock.close()


def test_an_abort_storm(toy: ToyProcess) -> None:
    ends: list[Callable[[RawPeer], None]] = [
        lambda peer: peer.send(ABORT_BY_USER),
        lambda peer: peer.reset(),
        lambda peer: peer.send(RELEASE_RQ),
        lambda peer: peer.send(p_data(pdv(3, COMMAND | LAST, store())), ABORT_BY_USER),
        lambda peer: peer.send(
            p_data(pdv(5, COMMAND | LAST, find()), pdv(5, LAST, identifier("ENDLESS"))), ABORT_BY_USER
        ),
        lambda peer: peer.send(b"\x42\0\0\0\0\0"),
    ]

    def storm(seed: int) -> None:
        chance = random.Random(seed)
        for _ in range(60):
            peer = toy.peer()
            with contextlib.suppress(OSError):
                peer.send(association_request())
                if chance.random() < 0.7:
                    peer.read_pdu()
                chance.choice(ends)(peer)
            peer.sock.close()

    threads = [threading.Thread(target=storm, args=(seed,)) for seed in range(8)]
    for thread in threads:
        thread.start()
    for _ in range(10):
        promptly(toy)
    for thread in threads:
        thread.join()
    promptly(toy)


def test_a_peer_that_asks_and_never_reads(toy: ToyProcess) -> None:
    peers = [toy.associated() for _ in range(5)]
    for peer in peers:
        peer.send_message(5, find(), identifier("ENDLESS"))
    promptly(toy)
    wait_until(lambda: toy.health()["associations"] == 0, what="they are cut off")
    for peer in peers:
        peer.sock.close()


def test_sigkill_of_a_worker_under_load(start_toy: StartToy) -> None:
    toy = start_toy(TOY_WORKERS="2")
    before = toy.usage_at_rest()
    ended = threading.Event()
    stored: list[str] = []
    broken: list[str] = []

    def load(client: int) -> None:
        number = 0
        while not ended.is_set():
            number += 1
            uid = f"1.9.{client}.{number}"
            try:
                with toy.associated() as peer:
                    assert peer.store(bytes(200_000), instance=uid).status == 0
                    stored.append(uid)
                    peer.release()
            except (EOFError, OSError):
                broken.append(uid)

    threads = [threading.Thread(target=load, args=(client,)) for client in range(4)]
    for thread in threads:
        thread.start()
    for _ in range(2):
        count = len(stored)
        wait_until(lambda: len(stored) > count + 20)  # noqa: B023 - called at once
        victim = toy.workers()[0]
        victim.kill()
        wait_until(lambda: victim.pid not in {worker.pid for worker in toy.workers()})  # noqa: B023
        wait_until(lambda: len(toy.workers()) == 2)
    count = len(stored)
    wait_until(lambda: len(stored) > count + 20)
    ended.set()
    for thread in threads:
        thread.join()
    # what was answered is there; what was not may be; a worker's death breaks no more than what it served
    assert set(stored) <= toy.stored().keys()
    assert len(broken) <= 8
    wait_until(lambda: toy.health()["associations"] == 0)
    toy.assert_works()
    for path in (toy.folder / "toy" / "incoming").iterdir():
        path.unlink()  # the toy, unlike the receiver, does not look after what a dead worker left
    assert toy.usage_at_rest() == before


@pytest.mark.slow
def test_five_hundred_associations_at_once(start_toy: StartToy) -> None:
    toy = start_toy(TOY_WORKERS="2")
    before = toy.usage_at_rest()
    peers = [toy.associated() for _ in range(500)]
    for number, peer in enumerate(peers):
        assert peer.store(b"x" * 1000, instance=f"1.7.{number}").status == 0
    assert toy.health()["associations"] == 500
    family = [toy.master, *toy.master.children()]
    assert sum(process.memory_info().rss for process in family) < 400 * 1024 * 1024
    promptly(toy)
    for peer in peers:
        peer.release()
    toy.wait_for_usage(before)
    assert len(toy.stored()) == 500
