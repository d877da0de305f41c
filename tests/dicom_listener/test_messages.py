"""Messages on their way in and out: fragments, PDVs, PDUs, and the peer's maximum length (PS3.8 Annex E, §D.1)."""

from __future__ import annotations

from dataclasses import replace

import pytest

from dicom_listener.pdu import p_data as encode_p_data
from tests.clients.raw import (
    COMMAND,
    CT_IMAGE_STORAGE,
    LAST,
    Message,
    RawPeer,
    association_request,
    command_set,
    context_item,
    echo,
    find,
    identifier,
    item,
    maximum_length,
    p_data,
    pdv,
    pdvs_of,
    store,
)
from tests.dicom_listener.conftest import Listen
from tests.dicom_listener.listening import LIMITS, Listening

UNEXPECTED_PARAMETER, INVALID_PARAMETER = 5, 6


def test_a_command_set_may_come_in_many_pdus(associated: RawPeer) -> None:
    command = echo(77)
    for position, byte in enumerate(command):
        last = LAST if position == len(command) - 1 else 0
        associated.send(p_data(pdv(1, COMMAND | last, bytes((byte,)))))
    assert associated.read_message().responds_to == 77


def test_a_command_set_may_come_in_many_pdvs_of_one_pdu(associated: RawPeer) -> None:
    command = echo(78)
    parts = [command[begin : begin + 7] for begin in range(0, len(command), 7)]
    pdvs = [pdv(1, COMMAND | (LAST if part is parts[-1] else 0), part) for part in parts]
    associated.send(p_data(*pdvs))
    assert associated.read_message().responds_to == 78


def test_command_and_data_may_share_a_pdu(listener: Listening, associated: RawPeer) -> None:
    associated.send(p_data(pdv(3, COMMAND | LAST, store()), pdv(3, 0, b"first "), pdv(3, LAST, b"second")))
    assert associated.read_message().status == 0
    assert listener.toy.stored["1.2.3.4.5"] == b"first second"


def test_several_messages_may_share_a_pdu(associated: RawPeer) -> None:
    associated.send(p_data(*(pdv(1, COMMAND | LAST, echo(number)) for number in (5, 6, 7))))
    assert [associated.read_message().responds_to for _ in range(3)] == [5, 6, 7]


def test_a_message_may_end_and_the_next_begin_in_one_pdu(listener: Listening, associated: RawPeer) -> None:
    associated.send(p_data(pdv(3, COMMAND | LAST, store()), pdv(3, 0, b"a")))
    associated.send(p_data(pdv(3, LAST, b"b"), pdv(1, COMMAND, echo(9)[:20])))
    associated.send(p_data(pdv(1, COMMAND | LAST, echo(9)[20:])))
    assert associated.read_message().status == 0
    assert associated.read_message().responds_to == 9
    assert listener.toy.stored["1.2.3.4.5"] == b"ab"


def test_fragments_may_be_empty(listener: Listening, associated: RawPeer) -> None:
    associated.send(
        p_data(pdv(3, COMMAND, b""), pdv(3, COMMAND, store()), pdv(3, COMMAND | LAST, b"")),
        p_data(pdv(3, 0, b""), pdv(3, 0, b"data"), pdv(3, 0, b"")),
        p_data(pdv(3, LAST, b"")),
    )
    assert associated.read_message().status == 0
    assert listener.toy.stored["1.2.3.4.5"] == b"data"


def test_a_data_set_may_be_empty(listener: Listening, associated: RawPeer) -> None:
    assert associated.store(b"").status == 0
    assert listener.toy.stored["1.2.3.4.5"] == b""


def test_fragments_may_be_of_odd_length(listener: Listening, associated: RawPeer) -> None:
    associated.send(p_data(pdv(3, COMMAND | LAST, store())), p_data(pdv(3, 0, b"odd")), p_data(pdv(3, LAST, b"s")))
    assert associated.read_message().status == 0
    assert listener.toy.stored["1.2.3.4.5"] == b"odds"


def test_reserved_bits_of_the_message_control_header_are_not_looked_at(associated: RawPeer) -> None:
    associated.send(p_data(pdv(1, 0xFC | COMMAND | LAST, echo(4))))
    assert associated.read_message().responds_to == 4


def test_a_data_set_larger_than_the_buffer_arrives_whole(listener: Listening, associated: RawPeer) -> None:
    data = bytes(range(251)) * 8000
    assert associated.store(data).status == 0
    assert listener.toy.stored["1.2.3.4.5"] == data


@pytest.mark.parametrize(
    ("sent", "reason"),
    [
        pytest.param(p_data(pdv(3, LAST, b"x")), UNEXPECTED_PARAMETER, id="data before any command"),
        pytest.param(
            p_data(pdv(3, COMMAND, store()[:8]), pdv(3, LAST, b"x")), UNEXPECTED_PARAMETER, id="data within a command"
        ),
        pytest.param(
            p_data(pdv(3, COMMAND | LAST, store()), pdv(3, COMMAND | LAST, store())),
            UNEXPECTED_PARAMETER,
            id="command where data is due",
        ),
        pytest.param(
            p_data(pdv(1, COMMAND | LAST, echo()), pdv(1, LAST, b"x")), UNEXPECTED_PARAMETER, id="data that none awaits"
        ),
        pytest.param(
            p_data(pdv(3, COMMAND | LAST, store()), pdv(3, LAST, b"x"), pdv(3, LAST, b"y")),
            UNEXPECTED_PARAMETER,
            id="second data set",
        ),
        pytest.param(
            p_data(pdv(3, COMMAND | LAST, store()), pdv(5, LAST, b"x")), UNEXPECTED_PARAMETER, id="another context"
        ),
        pytest.param(
            p_data(pdv(1, COMMAND, echo()[:8]), pdv(3, COMMAND | LAST, echo()[8:])),
            UNEXPECTED_PARAMETER,
            id="command set in two contexts",
        ),
        pytest.param(p_data(pdv(99, COMMAND | LAST, echo())), INVALID_PARAMETER, id="unknown context"),
        pytest.param(p_data(pdv(9, COMMAND | LAST, echo())), INVALID_PARAMETER, id="rejected context"),
        pytest.param(p_data(pdv(0, COMMAND | LAST, echo())), INVALID_PARAMETER, id="context zero"),
        pytest.param(p_data(pdv(1, COMMAND | LAST, b"")), INVALID_PARAMETER, id="empty command set"),
        pytest.param(p_data(pdv(1, COMMAND | LAST, echo()[:-1])), INVALID_PARAMETER, id="command set cut short"),
        pytest.param(p_data(pdv(1, COMMAND | LAST, bytes(40))), INVALID_PARAMETER, id="command set of zeros"),
        pytest.param(p_data(pdv(1, COMMAND | LAST, b"\xff" * 40)), INVALID_PARAMETER, id="command set of ones"),
        pytest.param(
            p_data(pdv(1, COMMAND | LAST, command_set({0x0110: 1, 0x0800: 0x0101}))),
            INVALID_PARAMETER,
            id="no command field",
        ),
        pytest.param(
            p_data(pdv(1, COMMAND | LAST, command_set({0x0100: 0x30, 0x0110: b"\x01\x00\x02\x00", 0x0800: 0x0101}))),
            INVALID_PARAMETER,
            id="two message IDs",
        ),
    ],
)
def test_a_message_that_does_not_hold_together_is_aborted(listener: Listening, sent: bytes, reason: int) -> None:
    rejected = context_item(9, "1.2.3.4.5.6.7")
    with listener.associated(association_request(more_items=rejected)) as peer:
        peer.send(sent)
        while (answer := peer.read_pdu()).kind == 4:
            pass
        assert answer.abort == (2, reason)
        assert peer.is_ended()
    listener.wait_until_at_rest()
    listener.assert_works()


def test_an_instance_that_is_cut_off_leaves_nothing(listener: Listening) -> None:
    for end in (RawPeer.reset, lambda peer: peer.sock.close()):
        peer = listener.associated()
        peer.send(p_data(pdv(3, COMMAND | LAST, store())), p_data(pdv(3, 0, bytes(20000))))
        end(peer)
        listener.wait_until_at_rest()
    assert listener.toy.stored == {}


# -- sending


@pytest.mark.parametrize("maximum", [8, 9, 10, 13, 127, 128, 1001, 16384, 65535, 0xFFFFFFFF, 0])
def test_no_pdu_is_longer_than_the_peer_takes(listener: Listening, maximum: int) -> None:
    request = association_request(user_items=[maximum_length(maximum), item(0x52, b"1.2.3.4")])
    data = identifier("3") + b"\x10\x00\x10\x00\x28\x4e\x00\x00" + bytes(20008)
    with listener.associated(request) as peer:
        peer.send_message(5, find(), data)
        answers = [peer.read_message() for _ in range(4)]
        assert [answer.status for answer in answers] == [0xFF00] * 3 + [0]
        assert [answer.data for answer in answers] == [data] * 3 + [None]
        longest = max(answer.longest_pdu for answer in answers)
        assert longest <= (maximum or 0xFFFFFFFF)
        if maximum in (0, 0xFFFFFFFF):
            assert longest == len(data) + 6, "without a limit nothing is split"
        peer.release()


@pytest.mark.parametrize("maximum", [8, 9, 11, 50, 4096, 4097])
@pytest.mark.parametrize("size", [0, 1, 2, 43, 44, 45, 5000])
def test_fragments_are_even_but_the_last_and_join_to_what_was_sent(maximum: int, size: int) -> None:
    data = bytes(index % 251 for index in range(size))
    encoded = encode_p_data(3, 0, data, maximum)
    fragments = []
    while encoded:
        length = int.from_bytes(encoded[2:6], "big")
        assert length <= maximum
        [(context_id, control, fragment)] = pdvs_of(encoded[6 : 6 + length])
        assert (context_id, control & COMMAND) == (3, 0)
        fragments.append((control, fragment))
        encoded = encoded[6 + length :]
    assert b"".join(fragment for _, fragment in fragments) == data
    assert [control for control, _ in fragments] == [0] * (len(fragments) - 1) + [LAST]
    assert all(len(fragment) % 2 == 0 for _, fragment in fragments[:-1])


def test_the_response_names_what_the_request_named(associated: RawPeer) -> None:
    answer: Message = associated.store(b"x", message_id=4711, instance="1.2.840.1")
    assert answer.context_id == 3
    assert (answer.field, answer.responds_to) == (0x8001, 4711)
    assert (answer.text(0x0002), answer.text(0x1000)) == (CT_IMAGE_STORAGE, "1.2.840.1")
    assert answer.number(0x0800) == 0x0101


def test_a_peer_that_takes_nothing_is_cut_off(listen: Listen) -> None:
    listener = listen(limits=replace(LIMITS, pdu=0.5, release=0.5))
    with listener.associated() as peer:
        peer.send_message(5, find(), identifier("ENDLESS") + b"\x10\x00\x10\x00\x20\x4e\x00\x00" + bytes(20000))
        listener.wait_until_at_rest()
    assert "find ENDLESS closed" in listener.toy.events
