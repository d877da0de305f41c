"""Anything may come from the network: the readers fail as they say they do, and a live listener goes on.

Short here. For as long as wanted, with examples that are kept in `.hypothesis`:

    FUZZ_SECONDS=600 python -m pytest tests/dicom_listener/test_fuzz.py --timeout 0 -n 0
"""

from __future__ import annotations

import os
import random
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from dicom_encoding.faults import MalformedDataSet
from dicom_encoding.walk import check_nesting
from dicom_listener import dimse
from dicom_listener.answers import encode_response
from dicom_listener.negotiation import agree
from dicom_listener.proposal import MalformedRequest, read_request
from dicom_listener.service import Response
from tests.clients.raw import (
    ABORT_BY_USER,
    COMMAND,
    EXPLICIT,
    IMPLICIT,
    LAST,
    RELEASE_RQ,
    RawPeer,
    action,
    association_request,
    cancel,
    echo,
    element,
    event_response,
    find,
    identifier,
    item,
    maximum_length,
    p_data,
    pdu,
    pdv,
    role_selection,
    store,
    user_identity,
)
from tests.dicom_listener.listening import LIMITS, Listening, listening
from tests.dicom_listener.toy_service import Toy

SECONDS = float(os.environ.get("FUZZ_SECONDS", "0"))
READERS = 4
"""Tests that share the time: three readers and the live listener."""

pytestmark = pytest.mark.filterwarnings("ignore:Invalid value for VR", "ignore:The value length")

short = settings(
    max_examples=200,
    deadline=None,
    derandomize=True,
    suppress_health_check=list(HealthCheck),
    phases=(Phase.explicit, Phase.generate, Phase.shrink),
)
"""The same examples each time: CI never fails by chance."""


def fuzz(test: Callable[[], None]) -> None:
    """Run a hypothesis test once, shortly; or again and again until its share of the time is over."""
    until = time.monotonic() + SECONDS / READERS
    test()
    while time.monotonic() < until:
        test()


def options() -> settings:
    if not SECONDS:
        return short
    return settings(short, max_examples=5000, derandomize=False, database=None)


# -- mutations: valid bytes with a few changes reach deeper than noise


def mutated(whole: bytes, chance: random.Random) -> bytes:
    data = bytearray(whole)
    for _ in range(chance.choice((0, 1, 1, 1, 2, 3, 8))):
        position = chance.randrange(len(data) + 1)
        match chance.randrange(7):
            case 0 if position < len(data):
                data[position] = chance.choice((0, 1, 2, 3, 4, 5, 6, 7, 0x7F, 0x80, 0xFF, chance.randrange(256)))
            case 1 if position < len(data):
                data[position] ^= 1 << chance.randrange(8)
            case 2:
                data[position:position] = chance.randbytes(chance.choice((1, 2, 4, 6, 100)))
            case 3:
                del data[position : position + chance.choice((1, 2, 4, 6, 100))]
            case 4:
                other = chance.randrange(len(data) + 1)
                data[position:position] = data[other : other + chance.choice((6, 12, 40))]
            case 5:
                del data[position:]
            case _:
                data[position : position + 4] = chance.choice(
                    (b"\0\0\0\0", b"\xff\xff\xff\xff", b"\0\0\0\1", b"\0\1\0\0")
                )
    return bytes(data)


def mutations_of(*wholes: bytes) -> st.SearchStrategy[bytes]:
    return st.builds(
        lambda whole, seed: mutated(whole, random.Random(seed)), st.sampled_from(wholes), st.integers(0, 1 << 48)
    )


USER_ITEMS = (
    maximum_length(16384),
    item(0x52, b"1.2.3.4"),
    item(0x53, b"\0\1\0\1"),
    role_selection("1.2.840.10008.1.20.1", 1, 1),
    item(0x55, b"FUZZ"),
    item(0x56, b"\0\x031.2\1\2"),
    item(0x57, b"\0\x031.2\0\x031.3\0\0"),
    user_identity(2, b"user", b"pass", response=True),
)
REQUESTS = (association_request(), association_request(user_items=USER_ITEMS))
COMMANDS = (echo(), store(), find(), cancel(1), action(), event_response(1))
DATA_SETS = (
    identifier("3"),
    identifier("3") + b"\x40\x00\x00\x01\xff\xff\xff\xff\xfe\xff\x00\xe0\x08\0\0\0" + element(0x00080060, b""),
    b"\x40\x00\x00\x01SQ\0\0\xff\xff\xff\xff\xfe\xff\x00\xe0\xff\xff\xff\xff\xfe\xff\x0d\xe0\0\0\0\0",
    b"\x10\x00\x10\x00PN\x04\x00A^B ",
)


def test_the_reader_of_association_requests_fails_as_it_says(tmp_path: Path) -> None:
    service = Toy(tmp_path).service(lambda _: None)

    @options()
    @given(mutations_of(*(request[6:] for request in REQUESTS)) | st.binary(max_size=300))
    def read(body: bytes) -> None:
        try:
            proposal = read_request(body)
        except MalformedRequest:
            return
        agreement = agree(proposal, body, service, 16384)
        assert agreement.pdu[0] == 2
        assert int.from_bytes(agreement.pdu[2:6], "big") == len(agreement.pdu) - 6
        assert agreement.contexts.keys() <= {context.context_id for context in proposal.contexts}

    fuzz(read)


def test_the_reader_of_command_sets_fails_as_it_says() -> None:
    @options()
    @given(mutations_of(*COMMANDS) | st.binary(max_size=200))
    def read(data: bytes) -> None:
        try:
            command = dimse.decode(data)
        except dimse.MalformedCommand:
            return
        assert 0 <= command.field <= 0xFFFF
        assert 0 <= command.message_id <= 0xFFFF
        assert command.affected_sop_class_uid.isascii()
        answer = dimse.decode(encode_response(command, Response(0xC001, comment="why \xe9 not")))
        assert answer.field == command.field | 0x8000
        assert answer.message_id == command.message_id
        assert answer.status == 0xC001

    fuzz(read)


def test_what_is_encoded_is_read_back() -> None:
    values = {
        dimse.Tag.AFFECTED_SOP_CLASS_UID: st.text("0123456789.", max_size=64),
        dimse.Tag.PRIORITY: st.integers(0, 0xFFFF),
        dimse.Tag.MOVE_ORIGINATOR_AE_TITLE: st.text("ABC_ 1", max_size=16).map(str.strip),
        dimse.Tag.OFFENDING_ELEMENT: st.lists(st.integers(0, 0xFFFFFFFF), max_size=5).map(tuple),
    }

    @options()
    @given(
        st.integers(0, 0x7FFF).filter(lambda field: field != 0x0FFF),
        st.integers(0, 0xFFFF),
        st.fixed_dictionaries(values),
    )
    def encode(field: int, message_id: int, more: dict[int, str | int | tuple[int, ...]]) -> None:
        elements = {0x0100: field, 0x0110: message_id, 0x0800: 0x0101, **more}
        command = dimse.decode(dimse.encode(elements.items()))
        assert (command.field, command.message_id, command.has_data_set) == (field, message_id, False)
        assert command.affected_sop_class_uid == more[dimse.Tag.AFFECTED_SOP_CLASS_UID]
        assert command.number(dimse.Tag.PRIORITY) == more[dimse.Tag.PRIORITY]
        assert command.text(dimse.Tag.MOVE_ORIGINATOR_AE_TITLE) == more[dimse.Tag.MOVE_ORIGINATOR_AE_TITLE]

    encode()


def test_the_walk_through_a_data_set_fails_as_it_says() -> None:
    @options()
    @given(
        mutations_of(*DATA_SETS) | st.binary(max_size=200),
        st.sampled_from((IMPLICIT, EXPLICIT, "1.2.840.10008.1.2.2", "1.2.840.10008.1.2.1.99")),
    )
    def walk(data: bytes, transfer_syntax: str) -> None:
        try:
            check_nesting(data, transfer_syntax, 4)
        except MalformedDataSet:
            return

    fuzz(walk)


# -- whole conversations against a live listener

CONVERSATION = (
    REQUESTS[1],
    p_data(pdv(1, COMMAND | LAST, echo(1))),
    p_data(pdv(3, COMMAND | LAST, store(2)), pdv(3, 0, b"some ")),
    p_data(pdv(3, LAST, b"bytes")),
    p_data(pdv(5, COMMAND, find(3)[:30]), pdv(5, COMMAND | LAST, find(3)[30:]), pdv(5, LAST, identifier("40"))),
    p_data(pdv(5, COMMAND | LAST, find(4)), pdv(5, LAST, DATA_SETS[1])),
    p_data(pdv(5, COMMAND | LAST, cancel(4))),
    p_data(pdv(7, COMMAND | LAST, action(5)), pdv(7, LAST, identifier("T"))),
    p_data(pdv(7, COMMAND | LAST, event_response(1))),
    RELEASE_RQ,
    ABORT_BY_USER,
    pdu(2, bytes(68)),
    pdu(9, b"?"),
)


def conversation(chance: random.Random) -> list[bytes]:
    """Return parts of a conversation, most of them whole, a few out of order, left out, or mutated."""
    parts = list(CONVERSATION[:10])
    for _ in range(chance.choice((0, 1, 1, 2, 4))):
        position = chance.randrange(len(parts))
        match chance.randrange(5):
            case 0:
                parts[position] = mutated(parts[position], chance)
            case 1 if len(parts) > 1:
                del parts[position]
            case 2:
                parts.insert(position, chance.choice(CONVERSATION))
            case 3:
                parts.append(parts.pop(position))
            case _:
                whole = b"".join(parts)
                cut = chance.randrange(len(whole) + 1)
                parts = [whole[:cut], mutated(whole[cut:], chance)]
    return parts


@pytest.fixture
def hardened(tmp_path: Path) -> Iterator[Listening]:
    limits = replace(LIMITS, first_pdu=1, idle=2, pdu=1, release=0.5, associations=200, associations_per_address=200)
    with listening(tmp_path, limits=limits) as running:
        yield running


def test_no_conversation_wedges_the_listener(
    hardened: Listening, log_lines: Callable[[], list[str]], caplog: pytest.LogCaptureFixture
) -> None:
    base = int(time.time()) if SECONDS else 0
    until = time.monotonic() + SECONDS / READERS
    number = 0
    while number < 150 or time.monotonic() < until:
        number += 1
        seed = base * 1_000_000 + number
        chance = random.Random(seed)
        with hardened.peer(timeout=5) as peer:
            talk(peer, conversation(chance), chance)
        if number % 50 == 0:
            hardened.assert_works()
            hardened.wait_until_at_rest()
            failures = [line for line in log_lines() if "ERROR dicom_listener" in line]
            assert not failures, f"before seed {seed}: {failures[:3]}"
            caplog.clear()


def talk(peer: RawPeer, parts: list[bytes], chance: random.Random) -> None:
    """Say everything, reading now and then; then leave in one of the ways a peer may."""
    try:
        for part in parts:
            peer.send(part)
            if chance.random() < 0.3:
                peer.sock.settimeout(0.005)
                try:
                    peer.sock.recv(65536)
                except TimeoutError:
                    continue
                finally:
                    peer.sock.settimeout(5)
    except OSError:
        return
    if chance.random() < 0.3:
        peer.reset()
