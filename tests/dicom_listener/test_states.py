"""Every PDU in every state where an acceptor waits: PS3.8 Table 9-10, Sta2, Sta6 and Sta13."""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import replace

import pytest

from tests.clients.raw import (
    ABORT_BY_USER,
    COMMAND,
    LAST,
    RELEASE_RP,
    RELEASE_RQ,
    Pdu,
    RawPeer,
    association_request,
    echo,
    p_data,
    pdu,
    pdv,
    store,
)
from tests.dicom_listener.conftest import Listen
from tests.dicom_listener.listening import LIMITS, Listening

BY_USER, BY_PROVIDER = 0, 2
UNRECOGNIZED, UNEXPECTED, INVALID = 1, 2, 6

ACCEPT = pdu(2, bytes(68))
REJECT = pdu(3, bytes((0, 1, 1, 1)))
ECHO = p_data(pdv(1, COMMAND | LAST, echo()))


# -- Sta2: connected, nothing received


@pytest.mark.parametrize(
    "first",
    [ACCEPT, REJECT, ECHO, RELEASE_RQ, RELEASE_RP, pdu(0x08, b""), pdu(0x00, b"abc"), pdu(0xFF, b"abc")],
    ids=["accept", "reject", "data", "release", "release response", "type 8", "type 0", "type 255"],
)
def test_any_other_first_pdu_is_answered_by_a_users_abort(listener: Listening, peer: RawPeer, first: bytes) -> None:
    peer.send(first)
    assert peer.read_pdu().abort[0] == BY_USER  # AA-1
    assert peer.is_ended()
    peer.sock.close()
    listener.wait_until_at_rest()
    assert listener.toy.events == []


def test_an_abort_as_the_first_pdu_ends_the_connection_without_an_answer(listener: Listening, peer: RawPeer) -> None:
    peer.send(ABORT_BY_USER)
    assert peer.is_ended()  # AA-2
    listener.wait_until_at_rest()


def test_a_connection_that_ends_before_a_request_leaves_nothing(listener: Listening) -> None:
    for said in (b"", b"\x01", association_request()[:100]):
        with listener.peer() as peer:
            peer.send(said)
    listener.wait_until_at_rest()
    listener.assert_works()


def test_an_http_request_is_answered_by_an_abort(listener: Listening, peer: RawPeer) -> None:
    peer.send(b"GET / HTTP/1.1\r\nHost: gateway\r\n\r\n")
    assert peer.read_pdu().abort[0] == BY_USER
    assert peer.is_ended()


@pytest.mark.parametrize("length", [0, 1, 67, 256 * 1024 + 1, 0xFFFFFFFF])
def test_an_association_request_of_an_impossible_length_is_aborted(
    listener: Listening, peer: RawPeer, length: int
) -> None:
    peer.send(struct.pack(">BxL", 1, length), bytes(min(length, 100)))
    assert peer.read_pdu().abort[0] == BY_USER
    assert peer.is_ended()


def test_a_request_may_come_byte_by_byte(listener: Listening, peer: RawPeer) -> None:
    for byte in association_request() + ECHO:
        peer.send(bytes((byte,)))
    assert peer.read_pdu().kind == 2
    assert peer.read_message().status == 0
    peer.release()


def test_a_request_and_all_that_follows_may_come_in_one_segment(listener: Listening, peer: RawPeer) -> None:
    peer.send(association_request(), ECHO, ECHO, RELEASE_RQ)
    assert peer.read_pdu().kind == 2
    assert peer.read_message().status == 0
    assert peer.read_message().status == 0
    assert peer.read_pdu() == Pdu(6, bytes(4))
    peer.sock.close()
    listener.wait_until_at_rest()
    assert listener.toy.events == ["ended"]


# -- Sta6: the association is open


@pytest.mark.parametrize(
    ("sent", "reason"),
    [
        (association_request(), UNEXPECTED),
        (ACCEPT, UNEXPECTED),
        (REJECT, UNEXPECTED),
        (RELEASE_RP, UNEXPECTED),
        (pdu(0x00, b""), UNRECOGNIZED),
        (pdu(0x08, b""), UNRECOGNIZED),
        (pdu(0xFF, b"abc"), UNRECOGNIZED),
        (pdu(0x05, b""), INVALID),
        (pdu(0x05, bytes(5)), INVALID),
        (pdu(0x06, bytes(3)), INVALID),
        (pdu(0x07, bytes(6)), INVALID),
        (p_data(), INVALID),
        (pdu(4, bytes(5)), INVALID),
        (pdu(4, struct.pack(">LBB", 1, 1, 3)), INVALID),
        (pdu(4, struct.pack(">LBB", 0, 1, 3)), INVALID),
        (pdu(4, struct.pack(">LBB", 3, 1, 3)), INVALID),
        (pdu(4, struct.pack(">LBB", 0xFFFFFFFF, 1, 3)), INVALID),
        (pdu(4, pdv(1, 3, echo()) + bytes(5)), INVALID),
        (struct.pack(">BxL", 4, LIMITS.max_pdu_length + 1), INVALID),
        (struct.pack(">BxL", 4, 0xFFFFFFFF), INVALID),
    ],
    ids=lambda value: value[:12].hex() if isinstance(value, bytes) else None,
)
def test_what_the_standard_forbids_is_answered_by_the_providers_abort(
    listener: Listening, associated: RawPeer, sent: bytes, reason: int
) -> None:
    associated.send(sent)
    answer = associated.read_pdu()
    if answer.kind == 4:  # the message before the fault was complete, and answered
        answer = associated.read_pdu()
    assert answer.abort == (BY_PROVIDER, reason)  # AA-8
    assert associated.is_ended()
    associated.sock.close()
    listener.wait_until_at_rest()
    listener.assert_works()


def test_a_release_is_answered_and_the_connection_is_the_peers_to_close(
    listener: Listening, associated: RawPeer
) -> None:
    associated.send(RELEASE_RQ)
    assert associated.read_pdu() == Pdu(6, bytes(4))
    assert not listener.is_at_rest(), "Sta13 lasts until the peer closes"
    associated.sock.close()
    listener.wait_until_at_rest()


def test_an_abort_ends_the_association_without_an_answer(
    listener: Listening, associated: RawPeer, log_lines: Callable[[], list[str]]
) -> None:
    associated.send(ABORT_BY_USER)
    assert associated.is_ended()
    listener.wait_until_at_rest()
    assert any("how='aborted by peer'" in line for line in log_lines())


def test_a_pdu_of_exactly_the_negotiated_length_is_taken(listener: Listening, associated: RawPeer) -> None:
    associated.send(p_data(pdv(3, COMMAND | LAST, store())))
    data = bytes(range(256)) * ((LIMITS.max_pdu_length - 6) // 256 + 1)
    data = data[: LIMITS.max_pdu_length - 6]
    associated.send(p_data(pdv(3, LAST, data)))
    assert associated.read_message().status == 0
    assert listener.toy.stored["1.2.3.4.5"] == data


# -- Sta13: the last PDU was sent, the peer has yet to close


def in_sta13(peer: RawPeer) -> RawPeer:
    peer.send(RELEASE_RQ)
    assert peer.read_pdu().kind == 6
    return peer


@pytest.mark.parametrize("sent", [ACCEPT, REJECT, ECHO, RELEASE_RQ, RELEASE_RP], ids=lambda sent: f"type {sent[0]}")
def test_what_comes_after_the_release_is_ignored(listen: Listen, sent: bytes) -> None:
    listener = listen(limits=replace(LIMITS, release=0.5))
    with in_sta13(listener.associated()) as peer:
        peer.send(sent)
        assert peer.is_ended()  # AA-6, then ARTIM: AA-2
    listener.wait_until_at_rest()
    assert listener.toy.events == ["ended"]


@pytest.mark.parametrize("sent", [association_request(), pdu(0x09, b"abc")], ids=["request", "unknown"])
def test_a_request_or_an_unknown_pdu_after_the_release_is_answered_by_an_abort(listen: Listen, sent: bytes) -> None:
    listener = listen(limits=replace(LIMITS, release=0.5))
    with in_sta13(listener.associated()) as peer:
        peer.send(sent)
        assert peer.read_pdu().abort[0] == BY_PROVIDER  # AA-7
        assert peer.is_ended()


def test_an_abort_after_the_release_ends_the_connection_at_once(listen: Listen) -> None:
    listener = listen(limits=replace(LIMITS, release=60))
    with in_sta13(listener.associated()) as peer:
        peer.send(ABORT_BY_USER)
        assert peer.is_ended()  # AA-2
    listener.wait_until_at_rest()


def test_a_peer_that_never_closes_is_closed_when_artim_expires(listen: Listen) -> None:
    listener = listen(limits=replace(LIMITS, release=0.5))
    peers = [listener.associated() for _ in range(3)]
    peers[0].send(RELEASE_RQ)
    peers[1].send(pdu(0x42, b""))
    peers[2].send(association_request())
    assert [peer.read_pdu().kind for peer in peers] == [6, 7, 7]
    listener.wait_until_at_rest()
    for peer in peers:
        assert peer.is_ended()
        peer.sock.close()


def flood(peer: RawPeer) -> None:
    while True:
        peer.send(bytes(65536))


def test_a_peer_that_never_stops_sending_is_closed_when_artim_expires(listen: Listen) -> None:
    listener = listen(limits=replace(LIMITS, release=0.5))
    with listener.associated() as peer:
        peer.send(pdu(0x42, b""))
        with pytest.raises(OSError, match=r"reset|Broken pipe"):
            flood(peer)
    listener.wait_until_at_rest()
