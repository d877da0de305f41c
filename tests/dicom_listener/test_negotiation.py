"""Association negotiation on bytes: what a peer may propose, and what it is told (PS3.8 §9.3, PS3.7 Annex D)."""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import NamedTuple

import pytest
from pydicom.uid import UID

from dicom_listener.identity import IMPLEMENTATION_CLASS_UID, UID_ROOT
from tests.clients.raw import (
    APPLICATION_CONTEXT,
    CONTEXTS,
    CT_IMAGE_STORAGE,
    EXPLICIT,
    IMPLICIT,
    STORAGE_COMMITMENT,
    VERIFICATION,
    Pdu,
    association_request,
    context_item,
    item,
    maximum_length,
    pdu,
    role_selection,
    user_identity,
)
from tests.dicom_listener.conftest import Listen
from tests.dicom_listener.listening import LIMITS, Listening

Lines = Callable[[], list[str]]


class Accepted(NamedTuple):
    """An A-ASSOCIATE-AC, taken apart: contexts as (result, transfer syntax) by ID, sub-items by type."""

    titles: bytes
    application_context: str
    contexts: dict[int, tuple[int, str]]
    sub_items: dict[int, list[bytes]]


def items_of(data: bytes) -> list[tuple[int, bytes]]:
    found = []
    position = 0
    while position < len(data):
        kind, length = struct.unpack_from(">BxH", data, position)
        found.append((kind, data[position + 4 : position + 4 + length]))
        position += 4 + length
    assert position == len(data), "items fill what holds them"
    return found


def parse(answer: Pdu) -> Accepted:
    assert answer.kind == 2, answer
    assert answer.body[:4] == b"\0\1\0\0"
    accepted = Accepted(answer.body[4:68], "", {}, {})
    for kind, value in items_of(answer.body[68:]):
        if kind == 0x10:
            accepted = accepted._replace(application_context=value.decode())
        elif kind == 0x21:
            [(sub_kind, transfer_syntax)] = items_of(value[4:])
            assert sub_kind == 0x40
            accepted.contexts[value[0]] = value[2], transfer_syntax.decode()
        else:
            assert kind == 0x50
            for sub_kind, sub_value in items_of(value):
                accepted.sub_items.setdefault(sub_kind, []).append(sub_value)
    return accepted


def ask(listener: Listening, request: bytes) -> Pdu:
    """The answer to an association request; an association that was accepted is released."""
    with listener.peer() as peer:
        peer.send(request)
        answer = peer.read_pdu()
        if answer.kind == 2:
            peer.release()
        return answer


def with_user_items(*items: bytes) -> bytes:
    return association_request(user_items=[maximum_length(16384), *items])


# -- what is said of this side


def test_the_answer_says_who_we_are_and_what_we_take(listener: Listening) -> None:
    accepted = parse(ask(listener, association_request()))
    assert accepted.application_context == APPLICATION_CONTEXT
    assert accepted.titles[:32] == b"TOY".ljust(16) + b"RAW".ljust(16)
    assert accepted.sub_items[0x51] == [struct.pack(">L", LIMITS.max_pdu_length)]
    assert accepted.sub_items[0x52] == [IMPLEMENTATION_CLASS_UID.encode()]
    assert accepted.sub_items[0x55] == [b"GATEWAY_0_1"]
    assert accepted.sub_items.keys() == {0x51, 0x52, 0x55}, "nothing is answered that was not asked"


def test_our_uids_have_a_root_of_their_own() -> None:
    assert UID_ROOT.startswith("2.25.")
    assert UID(IMPLEMENTATION_CLASS_UID).is_valid


def test_titles_and_reserved_bytes_come_back_as_they_came(listener: Listening) -> None:
    request = bytearray(association_request(called=b" LEFT", calling=b"\xc4NGSTR\xd6M"))
    request[42:74] = bytes(range(32))
    assert parse(ask(listener, bytes(request))).titles == bytes(request[10:74])


# -- who asks, and by which protocol


@pytest.mark.parametrize(
    ("request_", "rejection", "because"),
    [
        (association_request(application_context=b"1.2.3"), (1, 1, 2), "application context name"),
        (association_request(application_context=None), (1, 1, 2), "application context name"),
        (association_request(application_context=b""), (1, 1, 2), "application context name"),
        (association_request(called=b""), (1, 1, 7), "called AE title is empty"),
        (association_request(calling=b""), (1, 1, 3), "calling AE title is empty"),
        (association_request(called=bytes(16)), (1, 1, 7), "called AE title is empty"),
        (association_request(version=0), (1, 2, 2), "protocol version"),
        (association_request(version=2), (1, 2, 2), "protocol version"),
    ],
)
def test_a_request_that_cannot_be_served_is_rejected_with_its_reason(
    listener: Listening, log_lines: Lines, request_: bytes, rejection: tuple[int, int, int], because: str
) -> None:
    assert ask(listener, request_).rejection == rejection
    listener.wait_until_at_rest()
    [line] = [line for line in log_lines() if "rejected" in line]
    assert f"because={because!r}" in line
    assert "address=127.0.0.1" in line


@pytest.mark.parametrize("version", [1, 3, 0xFFFF])
def test_only_the_first_bit_of_the_protocol_version_counts(listener: Listening, version: int) -> None:
    assert ask(listener, association_request(version=version)).kind == 2


@pytest.mark.parametrize(
    "title", [b"A", b"SIXTEEN_CHARS_16", b"  LEADING", b"TRAILING\0\0", b"lower case", b"\xe9t\xe9", b"a\\b", b"x\ny"]
)
def test_titles_as_devices_send_them_are_no_reason_to_fail(listener: Listening, log_lines: Lines, title: bytes) -> None:
    assert ask(listener, association_request(calling=title)).kind == 2
    listener.wait_until_at_rest()
    assert all("\n" not in line for line in log_lines())


def test_a_caller_must_name_us_where_that_is_required(listen: Listen) -> None:
    listener = listen(require_called_ae=True)
    assert ask(listener, association_request(called=b"TOY")).kind == 2
    assert ask(listener, association_request(called=b" TOY ")).kind == 2
    assert ask(listener, association_request(called=b"toy")).rejection == (1, 1, 7)
    assert ask(listener, association_request(called=b"ANY-SCP")).rejection == (1, 1, 7)


# -- presentation contexts


def test_each_context_gets_its_own_answer(listener: Listening) -> None:
    request = association_request(
        contexts=[
            context_item(1, VERIFICATION),
            context_item(3, "1.2.3.4.5"),
            context_item(5, CT_IMAGE_STORAGE, ["1.2.840.10008.1.2.4.100"]),
            context_item(7, CT_IMAGE_STORAGE, [IMPLICIT, EXPLICIT]),
            context_item(255, CT_IMAGE_STORAGE, ["1.2.840.10008.1.2.4.70"]),
        ]
    )
    contexts = parse(ask(listener, request)).contexts
    assert {number: result for number, (result, _) in contexts.items()} == {1: 0, 3: 3, 5: 4, 7: 0, 255: 0}
    assert contexts[7][1] == EXPLICIT, "the service's order decides"
    assert contexts[255][1] == "1.2.840.10008.1.2.4.70"


def test_128_contexts_are_answered(listener: Listening) -> None:
    contexts = [context_item(number, CT_IMAGE_STORAGE, [EXPLICIT, IMPLICIT]) for number in range(1, 256, 2)]
    accepted = parse(ask(listener, association_request(contexts=contexts)))
    assert list(accepted.contexts) == list(range(1, 256, 2))
    assert {result for result, _ in accepted.contexts.values()} == {0}


def test_a_context_may_offer_many_transfer_syntaxes(listener: Listening) -> None:
    offered = [f"1.2.826.0.1.{number}" for number in range(300)] + [IMPLICIT]
    request = association_request(contexts=[context_item(1, VERIFICATION, offered)])
    assert parse(ask(listener, request)).contexts == {1: (0, IMPLICIT)}


@pytest.mark.parametrize("padding", [b"\0", b" "])
def test_padded_uids_are_understood(listener: Listening, padding: bytes) -> None:
    context = item(
        0x20, b"\1\0\0\0" + item(0x30, VERIFICATION.encode() + padding) + item(0x40, IMPLICIT.encode() + padding)
    )
    request = association_request(application_context=APPLICATION_CONTEXT.encode() + padding, contexts=[context])
    assert parse(ask(listener, request)).contexts == {1: (0, IMPLICIT)}


@pytest.mark.filterwarnings("ignore:Invalid value for VR UI")
@pytest.mark.parametrize("uid", ["1.2.03.4", "1.2." + "3" * 100, "not a UID", "1..2", ""])
def test_a_context_with_an_impossible_uid_does_not_spoil_the_others(listener: Listening, uid: str) -> None:
    request = association_request(contexts=[context_item(1, VERIFICATION), context_item(3, uid)])
    contexts = parse(ask(listener, request)).contexts
    assert contexts[1][0] == 0
    assert contexts[3][0] == 3


@pytest.mark.parametrize(
    "contexts",
    [
        pytest.param([context_item(1, VERIFICATION), context_item(1, CT_IMAGE_STORAGE)], id="one ID twice"),
        pytest.param([context_item(2, VERIFICATION)], id="even ID"),
        pytest.param([context_item(0, VERIFICATION)], id="ID zero"),
        pytest.param([context_item(1, VERIFICATION, [])], id="no transfer syntax"),
        pytest.param([item(0x20, b"\1\0\0\0" + item(0x40, IMPLICIT.encode()))], id="no abstract syntax"),
        pytest.param([item(0x20, b"\1\0")], id="cut short"),
        pytest.param([item(0x20, b"")], id="empty"),
        pytest.param([item(0x20, b"\1\0\0\0\x30\0\0\x40" + VERIFICATION.encode())], id="sub-item too long"),
    ],
)
def test_contexts_that_make_no_sense_are_an_abort(listener: Listening, contexts: list[bytes]) -> None:
    assert ask(listener, association_request(contexts=contexts)).abort[0] == 0
    listener.wait_until_at_rest()
    listener.assert_works()


# -- user information


def test_user_information_may_be_missing(listener: Listening) -> None:
    fixed = association_request()[6:74]
    body = fixed + item(0x10, APPLICATION_CONTEXT.encode()) + CONTEXTS[0]
    assert parse(ask(listener, pdu(1, body))).contexts == {1: (0, IMPLICIT)}


def test_asynchronous_operations_are_negotiated_down_to_one(listener: Listening) -> None:
    for invoked, performed in ((0, 0), (1, 1), (8, 8), (0xFFFF, 1)):
        request = with_user_items(item(0x53, struct.pack(">HH", invoked, performed)))
        assert parse(ask(listener, request)).sub_items[0x53] == [struct.pack(">HH", 1, 1)]


@pytest.mark.parametrize("roles", [(1, 1), (1, 0), (0, 1)])
def test_roles_are_answered_where_the_service_knows_them(listener: Listening, roles: tuple[int, int]) -> None:
    request = with_user_items(role_selection(STORAGE_COMMITMENT, *roles), role_selection(CT_IMAGE_STORAGE, 1, 1))
    accepted = parse(ask(listener, request))
    assert accepted.sub_items[0x54] == [role_selection(STORAGE_COMMITMENT, *roles)[4:]]
    assert accepted.contexts[3][0] == 0
    assert accepted.contexts[7][0] == 0


def test_extended_negotiation_is_the_services_to_answer(listener: Listening) -> None:
    def extended(sop_class: str, information: bytes) -> bytes:
        return struct.pack(">H", len(sop_class)) + sop_class.encode() + information

    request = with_user_items(
        item(0x56, extended(CT_IMAGE_STORAGE, b"\2\0\3\0\1\0")), item(0x56, extended(VERIFICATION, b"\1"))
    )
    assert parse(ask(listener, request)).sub_items[0x56] == [extended(CT_IMAGE_STORAGE, bytes(6))]


@pytest.mark.parametrize("kind", [0, 1, 2, 3, 4, 5, 6, 255])
def test_an_identity_that_nobody_verifies_is_ignored(listener: Listening, kind: int) -> None:
    for response in (False, True):
        request = with_user_items(user_identity(kind, b"someone", b"secret", response=response))
        assert 0x59 not in parse(ask(listener, request)).sub_items


@pytest.mark.parametrize(
    "items",
    [
        [b""],
        [b"\2"],
        [b"\2\0\0\5name"],
        [b"\2\0\0\4name"],
        [b"\2\0\0\4name\0"],
        [b"\2\0\0\4name\0\2x"],
        [b"\2\0\0\4name\0\1xx"],
        [b"\1\0\0\4name\0\0"] * 2,
    ],
    ids=lambda items: repr(items[0]) + "x" * len(items),
)
def test_an_identity_that_does_not_fit_its_item_and_a_second_one_are_aborts(
    listener: Listening, items: list[bytes]
) -> None:
    assert ask(listener, with_user_items(*(item(0x58, value) for value in items))).abort == (0, 0)


@pytest.mark.parametrize(
    "version", [b"", b"A", b"SIXTEEN_CHARS_16", b"LONGER THAN SIXTEEN CHARACTERS", b"\xe9\xff", b"\0"]
)
def test_any_implementation_version_name_is_accepted(listener: Listening, version: bytes) -> None:
    assert ask(listener, with_user_items(item(0x52, b"1.2.3"), item(0x55, version))).kind == 2


@pytest.mark.parametrize("uid", [b"", b"1.2.3\0", b"not a UID", b"1.2.03"])
def test_any_implementation_class_uid_is_accepted(listener: Listening, uid: bytes) -> None:
    assert ask(listener, with_user_items(item(0x52, uid))).kind == 2


# -- items that nobody knows, and items that break off


def test_unknown_items_and_sub_items_are_skipped(listener: Listening) -> None:
    user_items = [item(0x99, b"odd"), maximum_length(16384), item(0x00, b""), item(0x5F, bytes(1000))]
    request = association_request(more_items=item(0x77, b"what") + item(0x11, b""), user_items=user_items)
    accepted = parse(ask(listener, request))
    assert len(accepted.contexts) == 4
    assert accepted.sub_items.keys() == {0x51, 0x52, 0x55}


def test_a_request_that_breaks_off_anywhere_is_an_abort_or_served(listener: Listening) -> None:
    user_items = [maximum_length(16384), role_selection(CT_IMAGE_STORAGE, 1, 0), user_identity(2, b"u", b"p")]
    whole = association_request(contexts=CONTEXTS[:2], user_items=user_items)[6:]
    kinds = {length: ask(listener, pdu(1, whole[:length])).kind for length in range(len(whole) + 1)}
    assert kinds[len(whole)] == 2
    # where an item ends, so may the request: without its application context it is rejected, after it served
    ends = {length for length, kind in kinds.items() if kind != 7}
    assert {length for length in kinds if length < 68} & ends == set()
    assert len(ends) <= 5
    listener.wait_until_at_rest()


@pytest.mark.parametrize(
    "sub_item",
    [
        item(0x51, b""),
        item(0x51, b"\0\0\1"),
        item(0x53, b"\0"),
        item(0x54, b"\0\x40" + b"1.2"),
        item(0x54, b""),
        item(0x56, b"\0"),
        item(0x56, b"\xff\xff1.2"),
        item(0x57, b"\0\1"),
        item(0x58, b"\1"),
        item(0x58, b"\1\0\xff\xffx"),
        item(0x58, b"\x09\0\0\1x\0\0"),
    ],
)
def test_a_malformed_sub_item_is_an_abort_or_ignored(listener: Listening, sub_item: bytes, log_lines: Lines) -> None:
    assert ask(listener, with_user_items(sub_item)).kind in (2, 7)
    listener.wait_until_at_rest()
    listener.assert_works()
    assert not any("ERROR" in line for line in log_lines())


def test_each_decision_is_one_line(listener: Listening, log_lines: Lines) -> None:
    ask(listener, association_request())
    ask(listener, association_request(called=b""))
    ask(listener, pdu(1, b""))
    listener.wait_until_at_rest()
    lines = log_lines()
    assert len([line for line in lines if "association accepted" in line and "contexts=4/4" in line]) == 1
    assert len([line for line in lines if "association ended" in line and "how=released" in line]) == 1
    assert len([line for line in lines if "association rejected" in line]) == 1
    assert len([line for line in lines if "protocol violation" in line]) == 1
    assert len(lines) == 4
