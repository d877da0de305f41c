"""DIMSE command sets (PS3.7 §6.3, §9.3, §10.3, Annex E) to and from bytes, without generic data sets.

A command set is always Implicit VR Little Endian, holds only group 0000 and is small, so that a dictionary from tag to
raw value is all that receiving and answering need.
"""

from __future__ import annotations

from enum import IntEnum
from struct import Struct
from typing import TYPE_CHECKING

from dicom_encoding.statuses import Status

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

_ELEMENT = Struct("<HHL")
_US = Struct("<H")
_US_ELEMENT = Struct("<HHLH")
_GROUP_LENGTH = Struct("<HHLL")

NO_DATA_SET = 0x0101
"""Command Data Set Type (0000,0800) of a message without a data set; every other value means that one follows."""

RESPONSE = 0x8000
"""The bit that makes a request's command field that of its response."""


class CommandField(IntEnum):
    """Command Field (0000,0100), PS3.7 §E.1."""

    C_STORE_RQ = 0x0001
    C_GET_RQ = 0x0010
    C_FIND_RQ = 0x0020
    C_MOVE_RQ = 0x0021
    C_ECHO_RQ = 0x0030
    N_EVENT_REPORT_RQ = 0x0100
    N_GET_RQ = 0x0110
    N_SET_RQ = 0x0120
    N_ACTION_RQ = 0x0130
    N_CREATE_RQ = 0x0140
    N_DELETE_RQ = 0x0150
    C_CANCEL_RQ = 0x0FFF


class Tag(IntEnum):
    """The elements of group 0000 that this codec reads or writes by name (PS3.7 §E.1)."""

    GROUP_LENGTH = 0x00000000
    AFFECTED_SOP_CLASS_UID = 0x00000002
    REQUESTED_SOP_CLASS_UID = 0x00000003
    COMMAND_FIELD = 0x00000100
    MESSAGE_ID = 0x00000110
    MESSAGE_ID_BEING_RESPONDED_TO = 0x00000120
    PRIORITY = 0x00000700
    COMMAND_DATA_SET_TYPE = 0x00000800
    STATUS = 0x00000900
    OFFENDING_ELEMENT = 0x00000901
    ERROR_COMMENT = 0x00000902
    ERROR_ID = 0x00000903
    AFFECTED_SOP_INSTANCE_UID = 0x00001000
    REQUESTED_SOP_INSTANCE_UID = 0x00001001
    EVENT_TYPE_ID = 0x00001002
    ATTRIBUTE_IDENTIFIER_LIST = 0x00001005
    ACTION_TYPE_ID = 0x00001008
    MOVE_ORIGINATOR_AE_TITLE = 0x00001030
    MOVE_ORIGINATOR_MESSAGE_ID = 0x00001031


KEYWORDS = {
    "AffectedSOPClassUID": Tag.AFFECTED_SOP_CLASS_UID,
    "RequestedSOPClassUID": Tag.REQUESTED_SOP_CLASS_UID,
    "Priority": Tag.PRIORITY,
    "AffectedSOPInstanceUID": Tag.AFFECTED_SOP_INSTANCE_UID,
    "RequestedSOPInstanceUID": Tag.REQUESTED_SOP_INSTANCE_UID,
    "EventTypeID": Tag.EVENT_TYPE_ID,
    "ActionTypeID": Tag.ACTION_TYPE_ID,
    "MoveOriginatorApplicationEntityTitle": Tag.MOVE_ORIGINATOR_AE_TITLE,
    "MoveOriginatorMessageID": Tag.MOVE_ORIGINATOR_MESSAGE_ID,
    "AttributeIdentifierList": Tag.ATTRIBUTE_IDENTIFIER_LIST,
}
"""Keywords that :attr:`dicom_listener.service.Response.elements` and requests of our own may use."""

_FAILURES: dict[int, int] = {
    CommandField.C_STORE_RQ: Status.OUT_OF_RESOURCES,  # the sender keeps the image and comes back with it
    CommandField.C_FIND_RQ: Status.UNABLE_TO_PROCESS,
}


class MalformedCommand(Exception):
    """A command set that cannot be read; the text says why and holds nothing of its content."""


class Command:
    """A command set: raw values by tag, the usual ones by name.

    ``field`` and ``message_id`` are integers (of a response: ``message_id`` is the one responded to); ``has_data_set``
    tells whether a data set follows. UIDs and AE titles come without their padding, and empty when absent.
    """

    __slots__ = ("elements", "field", "has_data_set", "message_id")

    def __init__(self, elements: Mapping[int, bytes]) -> None:
        self.elements = elements
        self.field = self._required(Tag.COMMAND_FIELD)
        self.has_data_set = self._required(Tag.COMMAND_DATA_SET_TYPE) != NO_DATA_SET
        carries_id = self.field & RESPONSE or self.field == CommandField.C_CANCEL_RQ
        self.message_id = self._required(Tag.MESSAGE_ID_BEING_RESPONDED_TO if carries_id else Tag.MESSAGE_ID)

    def _required(self, tag: Tag) -> int:
        value = self.number(tag)
        if value is None:
            raise MalformedCommand(f"({tag >> 16:04X},{tag & 0xFFFF:04X}) is missing")
        return value

    def get(self, tag: int) -> bytes | None:
        """Return the raw value of an element, None when absent."""
        return self.elements.get(tag)

    def number(self, tag: int) -> int | None:
        """Return the value of a US element, None when absent or empty."""
        raw = self.elements.get(tag)
        if not raw:
            return None
        if len(raw) != 2:
            raise MalformedCommand(f"({tag >> 16:04X},{tag & 0xFFFF:04X}) is not one US value")
        return int.from_bytes(raw, "little")

    def text(self, tag: int) -> str:
        """Return the value of a UI or AE element without padding, empty when absent.

        Bytes outside ASCII become `?`: such a value equals no UID and no AE title.
        """
        raw = self.elements.get(tag)
        return raw.decode("ascii", "replace").replace("\ufffd", "?").strip("\0 ") if raw else ""

    @property
    def affected_sop_class_uid(self) -> str:
        return self.text(Tag.AFFECTED_SOP_CLASS_UID)

    @property
    def affected_sop_instance_uid(self) -> str:
        return self.text(Tag.AFFECTED_SOP_INSTANCE_UID)

    @property
    def requested_sop_class_uid(self) -> str:
        return self.text(Tag.REQUESTED_SOP_CLASS_UID)

    @property
    def requested_sop_instance_uid(self) -> str:
        return self.text(Tag.REQUESTED_SOP_INSTANCE_UID)

    @property
    def status(self) -> int | None:
        return self.number(Tag.STATUS)

    @property
    def action_type_id(self) -> int | None:
        return self.number(Tag.ACTION_TYPE_ID)

    @property
    def event_type_id(self) -> int | None:
        return self.number(Tag.EVENT_TYPE_ID)

    @property
    def attribute_identifier_list(self) -> tuple[int, ...]:
        """Tags of Attribute Identifier List (0000,1005), empty when absent."""
        raw = self.elements.get(Tag.ATTRIBUTE_IDENTIFIER_LIST) or b""
        if len(raw) % 4:
            raise MalformedCommand("(0000,1005) is not a list of tags")
        groups = Struct(f"<{len(raw) // 2}H").unpack(raw)
        return tuple(group << 16 | element for group, element in zip(groups[::2], groups[1::2], strict=True))


def decode(data: bytes | bytearray) -> Command:
    """Read a command set.

    A wrong group length is ignored, since the message's length is known without it. An element of another group, one
    that is longer than the command set, and one that comes twice are errors.

    :raises MalformedCommand: when it is none.
    """
    elements: dict[int, bytes] = {}
    position, end = 0, len(data)
    while position < end:
        if end - position < 8:
            raise MalformedCommand("ends within an element's header")
        group, element, length = _ELEMENT.unpack_from(data, position)
        position += 8
        if group:
            raise MalformedCommand(f"holds ({group:04X},{element:04X}), which is not of group 0000")
        if length > end - position:
            raise MalformedCommand(f"(0000,{element:04X}) is longer than the command set")
        if element in elements:
            raise MalformedCommand(f"(0000,{element:04X}) comes twice")
        elements[element] = bytes(data[position : position + length])
        position += length
    return Command(elements)


def _us(tag: int, value: int) -> bytes:
    return _US_ELEMENT.pack(0, tag, 2, value)


def _padded(tag: int, value: bytes, pad: bytes) -> bytes:
    if len(value) % 2:
        value += pad
    return _ELEMENT.pack(0, tag, len(value)) + value


def encode(elements: Iterable[tuple[int, str | int | tuple[int, ...]]]) -> bytes:
    """Encode a command set, with its group length, from (tag, value) in any order.

    An int is a US value, a tuple a list of tags (AT), a string a UID, an AE title or an Error Comment.
    """
    parts = [_encode_element(tag, value) for tag, value in sorted(elements)]
    body = b"".join(parts)
    return _GROUP_LENGTH.pack(0, 0, 4, len(body)) + body


def _encode_element(tag: int, value: str | int | tuple[int, ...]) -> bytes:
    if isinstance(value, int):
        return _us(tag, value)
    if isinstance(value, tuple):
        packed = b"".join(_US.pack(item >> 16) + _US.pack(item & 0xFFFF) for item in value)
        return _ELEMENT.pack(0, tag, len(packed)) + packed
    is_text = tag in (Tag.ERROR_COMMENT, Tag.MOVE_ORIGINATOR_AE_TITLE)
    return _padded(tag, value.encode("ascii", "replace"), b" " if is_text else b"\0")


def encode_request(
    field: CommandField, message_id: int, elements: Mapping[str, str | int], *, has_data_set: bool
) -> bytes:
    """Encode the command set of a request of our own; ``elements`` maps keywords to values."""
    command: dict[int, str | int | tuple[int, ...]] = {KEYWORDS[keyword]: value for keyword, value in elements.items()}
    command[Tag.COMMAND_FIELD] = field
    command[Tag.MESSAGE_ID] = message_id
    command[Tag.COMMAND_DATA_SET_TYPE] = 0x0001 if has_data_set else NO_DATA_SET
    return encode(command.items())


def failure_status(field: int) -> int:
    """Return the failure status for a fault of this side, for a request of this command field."""
    return _FAILURES.get(field, Status.PROCESSING_FAILURE)


def too_large_status(field: int) -> int:
    """Return the status for a data set that is longer than the limit."""
    is_composite = field in (CommandField.C_STORE_RQ, CommandField.C_FIND_RQ)
    return Status.OUT_OF_RESOURCES if is_composite else Status.RESOURCE_LIMITATION


def name_of(field: int) -> str:
    """Return a command field's name, as `C_STORE_RQ`; `OTHER` for unknown numbers, since peers may send any."""
    return _NAMES.get(field, "OTHER")


_NAMES = {int(field): field.name for field in CommandField}
