"""What a peer may use of time, size and number, and what it is told when it wants more."""

from __future__ import annotations

import struct
import threading
from collections.abc import Callable
from dataclasses import replace

import pytest

from dicom_listener import metrics
from dicom_listener.access import Reason
from dicom_listener.seats import Seats
from tests.clients.raw import (
    COMMAND,
    LAST,
    RawPeer,
    association_request,
    echo,
    find,
    identifier,
    item,
    p_data,
    pdu,
    pdv,
    store,
)
from tests.dicom_listener.conftest import Listen, StartToy
from tests.dicom_listener.listening import LIMITS, Listening, metric
from tests.pace import Stopwatch
from tests.waiting import wait_until

Lines = Callable[[], list[str]]


def within(limit: float, watch: Stopwatch) -> bool:
    """Whether the time on ``watch`` is what a limit asks, given how often limits are looked at."""
    return limit <= watch.seconds and watch.is_below(limit + 1.5)


# -- number


def test_associations_in_all_are_limited(listen: Listen, log_lines: Lines) -> None:
    listener = listen(limits=replace(LIMITS, associations=2))
    before = metric(metrics.REJECTED, "local_limit")
    peers = [listener.associated(), listener.associated()]
    with listener.peer() as third:
        third.send(association_request())
        assert third.read_pdu().rejection == (2, 3, 2)
    assert metric(metrics.REJECTED, "local_limit") == before + 1
    peers.pop().release()
    wait_until(lambda: listener.seats.taken() == 1)
    peers.append(listener.associated())
    for peer in peers:
        peer.release()
    listener.wait_until_at_rest()
    assert any("because='too many associations'" in line for line in log_lines())


def test_associations_of_one_address_are_limited(listen: Listen, log_lines: Lines) -> None:
    listener = listen(limits=replace(LIMITS, associations_per_address=1))
    with listener.associated() as first:
        with listener.peer() as second:
            second.send(association_request())
            assert second.read_pdu().rejection == (2, 3, 2)
        first.release()
    listener.wait_until_at_rest()
    listener.assert_works()
    assert any("because='too many associations from this address'" in line for line in log_lines())


def test_a_rejected_peer_takes_no_seat(listen: Listen) -> None:
    listener = listen(limits=replace(LIMITS, associations=1, release=60))
    rejected = [listener.peer() for _ in range(3)]
    for peer in rejected:
        peer.send(association_request(called=b""))
        assert peer.read_pdu().kind == 3
    listener.assert_works()
    for peer in rejected:
        peer.sock.close()


class Seated:
    def __init__(self, address: str) -> None:
        self.address = address
        self.seat: int | None = None


def test_seats_are_exact_among_many_threads() -> None:
    seats = Seats(replace(LIMITS, associations=10, associations_per_address=6), workers=2)
    everyone = [Seated(f"10.0.0.{number % 2}") for number in range(40)]
    threads = [threading.Thread(target=seats.take, args=(one,)) for one in everyone]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    seated = [one for one in everyone if one.seat is not None]
    assert len({one.seat for one in seated}) == len(seated) == seats.taken() == 10
    assert max(sum(one.address == address for one in seated) for address in ("10.0.0.0", "10.0.0.1")) <= 6
    refused = seats.take(Seated("10.0.0.9"))
    assert refused is not None
    assert refused.reason is Reason.LOCAL_LIMIT
    for one in everyone:
        seats.leave(one)
        seats.leave(one)
    assert seats.taken() == 0
    seats.close()


def test_the_limits_hold_for_all_workers_together(start_toy: StartToy) -> None:
    toy = start_toy(TOY_WORKERS="3", TOY_MAX_ASSOCIATIONS="7", TOY_MAX_ASSOCIATIONS_PER_ADDRESS="5")
    peers = [toy.peer() for _ in range(30)]
    for peer in peers:
        peer.send(association_request())
    answers = [peer.read_pdu() for peer in peers]
    accepted = [peer for peer, answer in zip(peers, answers, strict=True) if answer.kind == 2]
    assert len(accepted) == 5
    assert {answer.rejection for answer in answers if answer.kind == 3} == {(2, 3, 2)}
    assert toy.health()["associations"] == 5
    wait_until(lambda: toy.metrics()['dicom_associations_rejected_total{reason="local_limit"}'] >= 25)
    for peer in peers:
        peer.sock.close()
    wait_until(lambda: toy.health()["associations"] == 0)
    toy.assert_works()


# -- time


@pytest.mark.parametrize("said", [b"", association_request()[:1], association_request()[:90]], ids=len)
def test_a_peer_that_does_not_ask_in_time_is_closed(listen: Listen, said: bytes) -> None:
    listener = listen(limits=replace(LIMITS, first_pdu=0.5))
    before = metric(metrics.LIMITED, "first_pdu")
    with listener.peer() as peer:
        watch = Stopwatch()
        peer.send(said)
        assert peer.is_ended(), "AA-2: nothing is sent"
        assert within(0.5, watch)
    listener.wait_until_at_rest()
    assert metric(metrics.LIMITED, "first_pdu") == before + 1


def test_an_idle_association_is_aborted(listen: Listen, log_lines: Lines) -> None:
    listener = listen(limits=replace(LIMITS, idle=0.5))
    before = metric(metrics.LIMITED, "idle")
    with listener.associated() as peer:
        peer.echo()
        watch = Stopwatch()
        assert peer.read_pdu().abort == (2, 0)
        assert within(0.5, watch)
        assert peer.is_ended()
    listener.wait_until_at_rest()
    assert metric(metrics.LIMITED, "idle") == before + 1
    assert any("because='idle time limit'" in line for line in log_lines())


def drip(peer: RawPeer, data: bytes, ended: threading.Event) -> None:
    """Send byte by byte, slowly, until the peer ends it."""
    try:
        for byte in data:
            peer.send(bytes((byte,)))
            if ended.wait(0.1):
                return
    except OSError:
        return


@pytest.mark.parametrize(
    "slow",
    [
        pytest.param(p_data(pdv(1, COMMAND | LAST, echo())), id="command"),
        pytest.param(p_data(pdv(3, COMMAND | LAST, store()), pdv(3, LAST, bytes(20000))), id="data set"),
        pytest.param(struct.pack(">BxL", 5, 4) + bytes(4), id="release"),
    ],
)
def test_a_sender_of_single_bytes_is_cut_off(listen: Listen, slow: bytes) -> None:
    listener = listen(limits=replace(LIMITS, pdu=0.5))
    before = metric(metrics.LIMITED, "pdu")
    ended = threading.Event()
    with listener.associated() as peer:
        watch = Stopwatch()
        peer.send(slow[:-40])
        dripping = threading.Thread(target=drip, args=(peer, slow[-40:], ended))
        dripping.start()
        assert peer.read_pdu().abort == (2, 0)
        assert within(0.5, watch)
        ended.set()
        dripping.join()
    listener.wait_until_at_rest()
    assert metric(metrics.LIMITED, "pdu") == before + 1
    assert listener.toy.stored == {}


def test_a_message_that_is_not_continued_is_cut_off(listen: Listen) -> None:
    listener = listen(limits=replace(LIMITS, pdu=0.5, idle=60))
    before = metric(metrics.LIMITED, "pdu")
    with listener.associated() as peer:
        peer.send(p_data(pdv(3, COMMAND | LAST, store()), pdv(3, 0, b"begun")))
        watch = Stopwatch()
        assert peer.read_pdu().abort == (2, 0)
        assert within(0.5, watch)
    listener.wait_until_at_rest()
    assert metric(metrics.LIMITED, "pdu") == before + 1
    assert listener.toy.incoming == []


def test_a_peer_that_does_not_take_its_answers_is_cut_off(listen: Listen, log_lines: Lines) -> None:
    listener = listen(limits=replace(LIMITS, pdu=0.5, idle=60))
    before = metric(metrics.LIMITED, "pdu")
    with listener.associated() as peer:
        peer.send(p_data(pdv(5, COMMAND | LAST, find()), pdv(5, LAST, identifier("ENDLESS"))))
        listener.wait_until_at_rest()
    assert metric(metrics.LIMITED, "pdu") == before + 1
    assert any("because='pdu time limit'" in line for line in log_lines())


# -- size


def test_a_pdu_longer_than_offered_is_an_abort_before_it_is_read(listener: Listening, associated: RawPeer) -> None:
    before = metric(metrics.LIMITED, "pdu_length")
    associated.send(struct.pack(">BxL", 4, LIMITS.max_pdu_length + 1))
    assert associated.read_pdu().abort == (2, 6)
    assert metric(metrics.LIMITED, "pdu_length") == before + 1


def test_a_command_set_longer_than_allowed_is_an_abort(listener: Listening, associated: RawPeer) -> None:
    before = metric(metrics.LIMITED, "command_set")
    for _ in range(LIMITS.command_set // 1000):
        associated.send(p_data(pdv(1, COMMAND, bytes(1000))))
    associated.send(p_data(pdv(1, COMMAND, bytes(1000))))
    assert associated.read_pdu().abort == (2, 6)
    assert metric(metrics.LIMITED, "command_set") == before + 1


def test_an_association_request_longer_than_allowed_is_an_abort(listener: Listening, peer: RawPeer) -> None:
    before = metric(metrics.LIMITED, "request_length")
    peer.send(pdu(1, association_request()[6:] + item(0x50, bytes(60000)) * 5))
    assert peer.read_pdu().abort == (0, 0)
    assert metric(metrics.LIMITED, "request_length") == before + 1
