"""Operations and their answers: statuses, failures, C-CANCEL, requests that come early, requests of our own."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from dicom_listener import metrics
from dicom_listener.dimse import CommandField
from tests.clients.raw import (
    ABORT_BY_USER,
    COMMAND,
    EXPLICIT,
    LAST,
    RELEASE_RQ,
    WORKLIST_FIND,
    Pdu,
    RawPeer,
    action,
    association_request,
    cancel,
    command_set,
    context_item,
    echo,
    element,
    event_response,
    find,
    identifier,
    p_data,
    pdv,
    store,
)
from tests.dicom_listener.conftest import Listen
from tests.dicom_listener.listening import LIMITS, Listening, metric
from tests.dicom_listener.toy_service import ACTION_LIMIT, SECRET
from tests.waiting import wait_until

Lines = Callable[[], list[str]]


def ask(peer: RawPeer, order: str, message_id: int = 1) -> None:
    peer.send_message(5, find(message_id), identifier(order))


# -- answers and failures


@pytest.mark.parametrize("count", [0, 1, 50, 1000])
def test_every_response_arrives_in_order_and_the_final_one_last(associated: RawPeer, count: int) -> None:
    ask(associated, str(count))
    answers = [associated.read_message() for _ in range(count + 1)]
    assert [answer.status for answer in answers] == [0xFF00] * count + [0]
    assert {answer.data for answer in answers[:-1]} <= {identifier(str(count))}
    associated.echo()


@pytest.mark.parametrize(
    ("order", "statuses"),
    [
        ("RAISE", [0xC001]),
        ("PENDING THEN RAISE", [0xFF00, 0xC001]),
        ("REFUSE", [0xA900]),
        ("NOTHING", [0xC001]),
        ("TWO FINALS", [0]),
        ("UNENCODABLE", [0xC001]),
    ],
)
def test_a_failed_operation_is_a_status_and_the_association_goes_on(
    listener: Listening, associated: RawPeer, log_lines: Lines, order: str, statuses: list[int]
) -> None:
    ask(associated, order)
    answers = [associated.read_message() for _ in statuses]
    assert [answer.status for answer in answers] == statuses
    assert not any(SECRET in answer.comment for answer in answers)
    associated.echo(2)
    associated.release()
    listener.wait_until_at_rest()
    assert f"find {order} closed" in listener.toy.events
    assert not any(SECRET in line for line in log_lines())


def test_a_refusal_says_why(associated: RawPeer) -> None:
    ask(associated, "REFUSE")
    answer = associated.read_message()
    assert answer.comment == "Patient ID is not to be had"
    assert answer.number(0x0903) == 7
    assert answer.command[0x0901] == b"\x10\x00\x20\x00"


@pytest.mark.parametrize(
    ("instance", "status", "comment"),
    [
        ("1.666", 0xA700, "Internal error"),
        ("1.667", 0xA700, "no room at all"),
        ("1.668", 0xA700, "Internal error"),
        ("1.669", 0xA700, "Internal error"),
    ],
    ids=["open raises", "open refuses", "write raises", "finish raises"],
)
def test_a_sink_that_fails_is_a_status_after_the_whole_data_set(
    listener: Listening, associated: RawPeer, instance: str, status: int, comment: str
) -> None:
    answer = associated.store(bytes(100_000), instance=instance)
    assert (answer.status, answer.comment) == (status, comment)
    assert listener.toy.incoming == []
    assert associated.store(b"next").status == 0
    associated.release()
    listener.wait_until_at_rest()
    assert listener.toy.stored == {"1.2.3.4.5": b"next"}


@pytest.mark.parametrize("field", [0x0002, 0x0010, 0x0021, 0x0110, 0x0120, 0x0140, 0x0150, 0x0FFE, 0x7FFF])
@pytest.mark.parametrize("has_data", [False, True])
def test_an_operation_that_nobody_knows_is_answered_0211(associated: RawPeer, field: int, has_data: bool) -> None:
    command = command_set({0x0002: "1.2.3", 0x0100: field, 0x0110: 9, 0x0800: 0 if has_data else 0x0101})
    associated.send_message(1, command, b"dropped " if has_data else None)
    answer = associated.read_message()
    assert (answer.field, answer.status, answer.responds_to) == (field | 0x8000, 0x0211, 9)
    associated.echo()


def test_unknown_operations_do_not_multiply_what_is_counted(associated: RawPeer) -> None:
    for field in (0x0003, 0x0004, 0x0005):
        associated.send_message(1, command_set({0x0100: field, 0x0110: 9, 0x0800: 0x0101}))
        assert associated.read_message().status == 0x0211
    associated.echo()
    commands = {sample.labels["command"] for family in metrics.MESSAGES.collect() for sample in family.samples}
    assert commands <= {"OTHER", *CommandField.__members__}


def test_a_store_without_a_data_set_is_a_status(associated: RawPeer) -> None:
    associated.send_message(3, command_set({0x0002: "1.2", 0x0100: 1, 0x0110: 2, 0x0800: 0x0101, 0x1000: "1.2"}))
    assert associated.read_message().status == 0xC000
    associated.echo()


def test_responses_that_nobody_awaits_are_ignored(associated: RawPeer) -> None:
    associated.send_message(7, event_response(5))
    associated.send_message(1, command_set({0x0100: 0x8030, 0x0120: 1, 0x0800: 1, 0x0900: 0}), b"data")
    associated.echo()


def test_an_identifier_that_is_too_long_is_a_status(listener: Listening, associated: RawPeer) -> None:
    before = metric(metrics.LIMITED, "identifier")
    associated.send_message(5, find(), identifier("1") + bytes(LIMITS.identifier))
    answer = associated.read_message()
    assert answer.status == 0xA700
    assert str(LIMITS.identifier) in answer.comment
    assert metric(metrics.LIMITED, "identifier") == before + 1
    associated.echo()


def nested(depth: int) -> bytes:
    start, end = b"\x40\x00\x00\x01\xff\xff\xff\xff\xfe\xff\x00\xe0\xff\xff\xff\xff", b""
    end = b"\xfe\xff\x0d\xe0\x00\x00\x00\x00\xfe\xff\xdd\xe0\x00\x00\x00\x00"
    return identifier("0") + start * depth + end * depth


def test_sequences_nested_too_deep_are_a_status(associated: RawPeer) -> None:
    before = metric(metrics.LIMITED, "nesting")
    associated.send_message(5, find(), nested(LIMITS.nesting + 1))
    answer = associated.read_message()
    assert answer.status == 0xC001
    assert "nested" in answer.comment
    assert metric(metrics.LIMITED, "nesting") == before + 1
    associated.send_message(5, find(2), nested(1000))
    assert associated.read_message().status == 0xC001
    associated.echo()


def test_the_status_of_a_malformed_data_set_fits_the_operation(associated: RawPeer) -> None:
    associated.send_message(7, action(), b"\x10\x00\x20\x00\xff\xff\x00\x00")
    answer = associated.read_message()
    assert answer.status == 0x0110, "C001 is no status of an N-ACTION"
    assert "longer" in answer.comment
    associated.echo()


def test_a_malformed_identifier_is_a_status_in_explicit_vr_too(listener: Listening) -> None:
    with listener.associated(association_request(contexts=[context_item(5, WORKLIST_FIND, [EXPLICIT])])) as peer:
        peer.send_message(5, find(), b"\x10\x00\x20\x00LO\x05\x00ab")
        assert peer.read_message().status == 0xC001
        peer.send_message(5, find(), b"\x10\x00\x20\x00L")
        assert peer.read_message().status == 0xC001
        peer.release()


# -- C-CANCEL (PS3.7 §9.3.2.3)


def test_a_cancel_ends_the_responses(listener: Listening, associated: RawPeer) -> None:
    ask(associated, "ENDLESS", 7)
    assert associated.read_message().status == 0xFF00
    associated.send_message(5, cancel(7))
    while (answer := associated.read_message()).status == 0xFF00:
        pass
    assert (answer.status, answer.responds_to, answer.data) == (0xFE00, 7, None)
    assert "find ENDLESS closed" in listener.toy.events
    associated.echo()


def test_a_cancel_that_comes_with_its_request_ends_it_too(associated: RawPeer) -> None:
    associated.send(
        p_data(pdv(5, COMMAND | LAST, find(7)), pdv(5, LAST, identifier("ENDLESS")), pdv(5, COMMAND | LAST, cancel(7)))
    )
    while (answer := associated.read_message()).status == 0xFF00:
        pass
    assert answer.status == 0xFE00


def test_a_cancel_for_another_message_is_ignored(associated: RawPeer) -> None:
    ask(associated, "2000", 7)
    associated.send_message(5, cancel(8))
    assert [associated.read_message().status for _ in range(2001)][-1] == 0


def test_a_late_cancel_is_ignored(associated: RawPeer) -> None:
    ask(associated, "0", 7)
    assert associated.read_message().status == 0
    associated.send_message(5, cancel(7))
    associated.echo()


# -- requests before the answer to the one before


def test_requests_that_come_early_are_answered_in_their_order(associated: RawPeer) -> None:
    associated.send(
        *(p_data(pdv(5, COMMAND | LAST, find(number)), pdv(5, LAST, identifier("30"))) for number in range(1, 6))
    )
    answers = [associated.read_message() for _ in range(5 * 31)]
    assert [answer.responds_to for answer in answers] == [number for number in range(1, 6) for _ in range(31)]


def test_stores_that_come_early_are_answered_in_their_order(listener: Listening, associated: RawPeer) -> None:
    parts = []
    for number in range(1, 101):
        parts += [p_data(pdv(3, COMMAND | LAST, store(number, f"1.{number}"))), p_data(pdv(3, LAST, b"x" * number))]
    associated.send(*parts)
    assert [associated.read_message().responds_to for _ in range(100)] == list(range(1, 101))
    assert len(listener.toy.stored) == 100


def test_more_requests_at_once_than_can_wait_are_an_abort(listener: Listening, associated: RawPeer) -> None:
    associated.send(
        *(p_data(pdv(5, COMMAND | LAST, find(number)), pdv(5, LAST, identifier("ENDLESS"))) for number in range(1, 40))
    )
    while (answer := associated.read_pdu()).kind == 4:
        pass
    assert answer.abort == (2, 5)
    associated.sock.close()
    listener.wait_until_at_rest()
    assert listener.toy.events.count("find ENDLESS closed") == 1


def test_an_echo_is_answered_while_another_operation_works(associated: RawPeer) -> None:
    ask(associated, "ENDLESS", 7)
    associated.send_message(1, echo(8))
    while (answer := associated.read_message()).status == 0xFF00:
        pass
    assert (answer.field, answer.responds_to) == (0x8030, 8)
    associated.send_message(5, cancel(7))
    while (answer := associated.read_message()).status == 0xFF00:
        pass
    assert answer.status == 0xFE00


def test_an_operation_may_take_longer_than_a_pdu_may(listen: Listen) -> None:
    listener = listen(limits=replace(LIMITS, pdu=0.3, idle=0.3))
    with listener.associated() as peer:
        ask(peer, "WAIT", 1)
        assert peer.read_message().status == 0xFF00
        wait_until(listener.toy.flag("waiting").exists)
        peer.send_message(5, cancel(99))
        ask(peer, "0", 2)  # waits behind the first
        for _ in range(3):  # longer than any limit of the peer's
            peer.sock.settimeout(0.3)
            with pytest.raises(TimeoutError):
                peer.sock.recv(1)
        peer.sock.settimeout(60)
        listener.toy.flag("go").touch()
        assert peer.read_message().status == 0
        assert peer.read_message().responds_to == 2


# -- an association that ends while an operation works


@pytest.mark.parametrize("end", [RELEASE_RQ, ABORT_BY_USER, b""], ids=["release", "abort", "close"])
def test_an_operation_ends_with_its_association(listener: Listening, associated: RawPeer, end: bytes) -> None:
    ask(associated, "ENDLESS")
    assert associated.read_message().status == 0xFF00
    if end:
        associated.send(end)
        try:
            while (answer := associated.read_pdu()).kind == 4:
                pass
            assert answer.kind == 6
        except EOFError:
            assert end == ABORT_BY_USER
    associated.sock.close()
    listener.wait_until_at_rest()
    assert "find ENDLESS closed" in listener.toy.events


# -- N-EVENT-REPORT on the same association (PS3.4 §J.3.3)


def act(peer: RawPeer) -> int:
    """Send the N-ACTION; see its response and the N-EVENT-REPORT; give the latter's message ID."""
    peer.send_message(7, action(3), identifier("T"))
    answer = peer.read_message()
    assert (answer.field, answer.status, answer.responds_to) == (0x8130, 0, 3)
    event = peer.read_message()
    assert (event.context_id, event.field, event.number(0x1002), event.data) == (7, 0x0100, 1, identifier("T"))
    return event.number(0x0110)


def test_a_request_of_our_own_is_answered(listener: Listening, associated: RawPeer) -> None:
    for status in (0, 0x0110):
        associated.send_message(7, event_response(act(associated), status))
        wait_until(lambda: f"event answered {status:04X}" in listener.toy.events)  # noqa: B023 - called at once
    associated.echo()
    associated.release()


def test_an_operation_may_take_more_than_an_identifier_and_says_how_much(associated: RawPeer) -> None:
    longest = identifier("T") + element(0x00104000, bytes(ACTION_LIMIT - len(identifier("T")) - 8))
    associated.send_message(7, action(3), longest + b"x")
    answer = associated.read_message()
    assert (answer.status, answer.comment) == (0x0213, f"Data set is longer than {ACTION_LIMIT} bytes")
    associated.send_message(5, find(), bytes(ACTION_LIMIT))
    assert associated.read_message().status == 0xA700, "the limit is that operation's alone"
    associated.send_message(7, action(3), longest)
    assert associated.read_message().status == 0
    assert associated.read_message().data == longest


def test_only_the_right_response_answers_a_request_of_our_own(listener: Listening, associated: RawPeer) -> None:
    message_id = act(associated)
    associated.send_message(7, event_response(message_id + 1, 0x0110))
    associated.send_message(7, event_response(message_id))
    wait_until(lambda: "event answered 0000" in listener.toy.events)


def test_a_peer_may_release_instead_of_answering(listener: Listening, associated: RawPeer) -> None:
    act(associated)
    associated.send(RELEASE_RQ)
    assert associated.read_pdu() == Pdu(6, bytes(4))
    associated.sock.close()
    listener.wait_until_at_rest()
    assert not any(event.startswith("event answered") for event in listener.toy.events)


@pytest.mark.parametrize("end", [ABORT_BY_USER, b""], ids=["abort", "close"])
def test_a_peer_may_abort_or_leave_instead_of_answering(
    listener: Listening, associated: RawPeer, end: bytes, log_lines: Lines
) -> None:
    act(associated)
    associated.send(end)
    associated.sock.close()
    listener.wait_until_at_rest()
    assert not any("ERROR" in line for line in log_lines())
    listener.assert_works()


def test_requests_are_answered_while_a_response_is_awaited(listener: Listening, associated: RawPeer) -> None:
    message_id = act(associated)
    assert associated.store(b"meanwhile").status == 0
    associated.echo(12)
    associated.send_message(7, event_response(message_id))
    wait_until(lambda: "event answered 0000" in listener.toy.events)


def test_elements_of_a_command_that_nobody_knows_are_ignored(associated: RawPeer) -> None:
    odd = command_set({0x0002: "1.2", 0x0100: 0x30, 0x0110: 1, 0x0800: 0x0101, 0x4000: b"", 0x5010: "old", 0x9999: 4})
    associated.send_message(1, odd)
    assert associated.read_message().status == 0


def test_a_wrong_group_length_is_forgiven(associated: RawPeer) -> None:
    body = echo()[12:]
    associated.send_message(1, element(0, b"\xff\xff\x00\x00") + body)
    assert associated.read_message().status == 0
    associated.send_message(1, body)
    assert associated.read_message().status == 0
