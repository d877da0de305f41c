"""What an A-ASSOCIATE-RQ proposes (PS3.8 §9.3.2, PS3.7 §D.3.3).

pynetdicom's PDU classes decode it; this module prepares their input, since they refuse values that devices do send.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from enum import IntEnum
from struct import Struct
from typing import TYPE_CHECKING, Any

from pynetdicom.pdu import A_ASSOCIATE_RQ
from pynetdicom.pdu_items import (
    ApplicationContextItem,
    AsynchronousOperationsWindowSubItem,
    MaximumLengthSubItem,
    PresentationContextItemRQ,
    SCP_SCU_RoleSelectionSubItem,
    SOPClassExtendedNegotiationSubItem,
    UserInformationItem,
)
from pynetdicom.presentation import PresentationContext

from dicom_encoding import uids
from dicom_listener.user_identity import UserIdentity

if TYPE_CHECKING:
    from collections.abc import Iterator


APPLICATION_CONTEXT = "1.2.840.10008.3.1.1.1"
MAX_REQUEST_LENGTH = 256 * 1024
"""Bytes of an A-ASSOCIATE-RQ: 128 contexts with every transfer syntax of the standard fit several times."""

_ITEM = Struct(">BxH")
_IDENTITY = Struct(">BBH")
_FIXED_FIELDS = 68
_SOME_TITLES = b"X".ljust(16) * 2
"""Replaces the AE titles, which this module reads itself: pynetdicom raises exceptions for some that devices send."""
IMPOSSIBLE_UID = b"2.25.1"
"""Replaces a malformed UID: its presentation context is rejected, and the other contexts are not affected."""


class _Item(IntEnum):
    """Items and sub-items that are read (PS3.8 §9.3.2, PS3.7 §D.3.3)."""

    APPLICATION_CONTEXT = 0x10
    PRESENTATION_CONTEXT = 0x20
    ABSTRACT_SYNTAX = 0x30
    TRANSFER_SYNTAX = 0x40
    USER_INFORMATION = 0x50
    MAXIMUM_LENGTH = 0x51
    IMPLEMENTATION_CLASS_UID = 0x52
    ASYNCHRONOUS_OPERATIONS = 0x53
    ROLE_SELECTION = 0x54
    IMPLEMENTATION_VERSION_NAME = 0x55
    EXTENDED_NEGOTIATION = 0x56
    USER_IDENTITY = 0x58


class MalformedRequest(Exception):
    """An A-ASSOCIATE-RQ that cannot be read; the text says why and holds nothing of its content."""


@dataclass(slots=True)
class Proposal:
    """The content of an A-ASSOCIATE-RQ. ``max_pdu`` is the longest P-DATA-TF that it takes, 0 when it sets no limit."""

    protocol_version: int
    called_ae: str
    calling_ae: str
    application_context: str = ""
    contexts: list[PresentationContext] = field(default_factory=list)
    max_pdu: int = 0
    implementation_uid: str = ""
    implementation_version: str = ""
    asynchronous_operations: bool = False
    roles: dict[str, tuple[bool, bool]] = field(default_factory=dict)
    extended: dict[str, bytes] = field(default_factory=dict)
    user_identity: UserIdentity | None = None
    identity_answered: bool = False
    """Whether the A-ASSOCIATE-AC confirms the identity: set once it has been verified, and never without."""


def read_request(body: bytes) -> Proposal:
    """Read an A-ASSOCIATE-RQ without its six bytes of type and length.

    Items of unknown type are skipped, as PS3.8 §9.3.1 asks.

    :raises MalformedRequest: when it is none.
    """
    if len(body) < _FIXED_FIELDS:
        raise MalformedRequest("shorter than its fixed fields")
    proposal = Proposal(int.from_bytes(body[:2], "big"), _text(body[4:20]), _text(body[20:36]))
    items = b"".join(_readable(proposal, body[_FIXED_FIELDS:]))
    pdu = A_ASSOCIATE_RQ()
    try:
        pdu.decode(b"\x01\x00\x00\x00\x00\x00" + body[:4] + _SOME_TITLES + body[36:_FIXED_FIELDS] + items)
        for item in pdu.variable_items:
            _READERS[type(item)](proposal, item)
    except (AttributeError, IndexError, KeyError, struct.error, TypeError, UnicodeError, ValueError) as error:
        # the exceptions of pynetdicom's decoders for a malformed item
        raise MalformedRequest(f"an item cannot be read ({type(error).__name__})") from error
    if len({context.context_id for context in proposal.contexts}) < len(proposal.contexts):
        raise MalformedRequest("two presentation contexts have one ID")
    return proposal


def _text(raw: bytes) -> str:
    return raw.decode("ascii", "replace").replace("\ufffd", "?").strip(" \0")


def _uid(raw: bytes) -> bytes:
    value = raw.strip(b"\0 ")
    return value if uids.is_usable(uids.decode(value)) else IMPOSSIBLE_UID


def _readable(proposal: Proposal, data: bytes) -> Iterator[bytes]:
    """Yield the items for pynetdicom, in a form that it can read.

    It raises exceptions for values that devices do send. Items that only describe the peer are read here and left out.
    """
    for kind, value in _items(data):
        match kind:
            case _Item.APPLICATION_CONTEXT | _Item.ABSTRACT_SYNTAX | _Item.TRANSFER_SYNTAX:
                yield _item(kind, _uid(value))
            case _Item.PRESENTATION_CONTEXT:
                yield _item(kind, value[:4] + b"".join(_readable(proposal, value[4:])))
            case _Item.USER_INFORMATION:
                yield _item(kind, b"".join(_readable(proposal, value)))
            case _Item.IMPLEMENTATION_CLASS_UID:
                proposal.implementation_uid = _text(value)
            case _Item.IMPLEMENTATION_VERSION_NAME:
                proposal.implementation_version = _text(value)
            case _Item.USER_IDENTITY:
                if proposal.user_identity is not None:
                    raise MalformedRequest("two user identities")
                proposal.user_identity = _user_identity(value)
            case (
                _Item.MAXIMUM_LENGTH | _Item.ASYNCHRONOUS_OPERATIONS | _Item.ROLE_SELECTION | _Item.EXTENDED_NEGOTIATION
            ):
                yield _item(kind, value)


def _user_identity(value: bytes) -> UserIdentity:
    """Read a User Identity sub-item (PS3.7 Table D.3-14), whatever its type."""
    if len(value) < _IDENTITY.size:
        raise MalformedRequest("ends within a user identity")
    kind, response_requested, length = _IDENTITY.unpack_from(value)
    primary, rest = value[4 : 4 + length], value[4 + length :]
    secondary = rest[2:]
    if len(primary) < length or len(rest) < 2 or len(secondary) != int.from_bytes(rest[:2], "big"):
        raise MalformedRequest("a user identity does not fit its item")
    return UserIdentity(kind, primary, secondary, bool(response_requested))


def _item(kind: int, value: bytes) -> bytes:
    return _ITEM.pack(kind, len(value)) + value


def _items(data: bytes) -> Iterator[tuple[int, bytes]]:
    position = 0
    while position < len(data):
        if len(data) - position < _ITEM.size:
            raise MalformedRequest("ends within an item's header")
        kind, length = _ITEM.unpack_from(data, position)
        value = data[position + 4 : position + 4 + length]
        if len(value) < length:
            raise MalformedRequest(f"item {kind:02X} is longer than the PDU")
        position += 4 + length
        yield kind, value


def _read_application_context(proposal: Proposal, item: ApplicationContextItem) -> None:
    proposal.application_context = str(item.application_context_name or "")


def _read_context(proposal: Proposal, item: PresentationContextItemRQ) -> None:
    context = item.to_primitive()
    if not context.abstract_syntax or not context.transfer_syntax:
        raise ValueError("a presentation context without abstract or transfer syntax")
    proposal.contexts.append(context)


def _read_user_information(proposal: Proposal, item: UserInformationItem) -> None:
    for sub in item.user_data:
        if reader := _SUB_READERS.get(type(sub)):
            reader(proposal, sub)


def _read_maximum_length(proposal: Proposal, sub: MaximumLengthSubItem) -> None:
    proposal.max_pdu = sub.maximum_length_received or 0


def _read_operations_window(proposal: Proposal, _: AsynchronousOperationsWindowSubItem) -> None:
    proposal.asynchronous_operations = True


def _read_role(proposal: Proposal, sub: SCP_SCU_RoleSelectionSubItem) -> None:
    proposal.roles[str(sub.sop_class_uid)] = (bool(sub.scu_role), bool(sub.scp_role))


def _read_extended(proposal: Proposal, sub: SOPClassExtendedNegotiationSubItem) -> None:
    proposal.extended[str(sub.sop_class_uid)] = bytes(sub.service_class_application_information or b"")


_READERS: dict[type, Any] = {
    ApplicationContextItem: _read_application_context,
    PresentationContextItemRQ: _read_context,
    UserInformationItem: _read_user_information,
}
_SUB_READERS: dict[type, Any] = {
    MaximumLengthSubItem: _read_maximum_length,
    AsynchronousOperationsWindowSubItem: _read_operations_window,
    SCP_SCU_RoleSelectionSubItem: _read_role,
    SOPClassExtendedNegotiationSubItem: _read_extended,
}
