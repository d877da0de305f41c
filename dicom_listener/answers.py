"""Responses on their way out: encoded, and the small ones of one request sent together."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from dicom_encoding.statuses import Status
from dicom_listener.dimse import KEYWORDS, NO_DATA_SET, RESPONSE, Command, Tag, encode
from dicom_listener.pdu import COMMAND, p_data

if TYPE_CHECKING:
    from dicom_listener.link import Link
    from dicom_listener.message import Incoming
    from dicom_listener.service import AcceptedAssociation, Response

_BATCH_BYTES = 16 * 1024
_BATCH_SECONDS = 0.02
_PENDING = (Status.PENDING, Status.PENDING_WARNING)


def encode_response(request: Command, response: Response) -> bytes:
    """Encode the command set of a response to ``request`` (PS3.7 §9.3, §10.3).

    The affected SOP class and instance are those that the request named, unless ``response.elements`` sets others.
    """
    elements: dict[int, str | int | tuple[int, ...]] = {
        Tag.COMMAND_FIELD: request.field | RESPONSE,
        Tag.MESSAGE_ID_BEING_RESPONDED_TO: request.message_id,
        Tag.COMMAND_DATA_SET_TYPE: NO_DATA_SET if response.data is None else 0x0001,
        Tag.STATUS: response.status,
    }
    if sop_class := request.affected_sop_class_uid or request.requested_sop_class_uid:
        elements[Tag.AFFECTED_SOP_CLASS_UID] = sop_class
    if instance := request.affected_sop_instance_uid or request.requested_sop_instance_uid:
        elements[Tag.AFFECTED_SOP_INSTANCE_UID] = instance
    if response.comment:
        elements[Tag.ERROR_COMMENT] = response.comment[:64]
    if response.error_id is not None:
        elements[Tag.ERROR_ID] = response.error_id
    if response.offending:
        elements[Tag.OFFENDING_ELEMENT] = tuple(response.offending)
    for keyword, value in response.elements.items():
        elements[KEYWORDS[keyword]] = value
    return encode(elements.items())


class Answers:
    """The responses to one request: small ones share a segment, the first and the last never wait."""

    def __init__(self, association: AcceptedAssociation, link: Link, incoming: Incoming) -> None:
        self.final = False
        self._association = association
        self._link = link
        self._command = incoming.command
        self._context_id = incoming.context.context_id
        self._buffer = bytearray()
        self._flushed = 0.0
        self._pending_commands: dict[tuple[int, bool], bytes] = {}

    def add(self, response: Response) -> bool:
        """Send a response, or keep it for a moment; return whether it was the final one."""
        if self.final:
            raise RuntimeError("an operation yielded a response after the final one")
        final = response.status not in _PENDING
        max_pdu = self._link.peer_max_pdu
        self._buffer += p_data(self._context_id, COMMAND, self._encoded(response, final=final), max_pdu)
        self.final = final
        if response.data is not None:
            self._buffer += p_data(self._context_id, 0, response.data, max_pdu)
        now = time.monotonic()
        if self.final or len(self._buffer) >= _BATCH_BYTES or now - self._flushed > _BATCH_SECONDS:
            self._link.send(self._buffer)
            self._buffer.clear()
            self._flushed = now
            if not self.final:
                self._association.poll()
        return self.final

    def _encoded(self, response: Response, *, final: bool) -> bytes:
        if final or response.comment or response.offending or response.elements or response.error_id is not None:
            return encode_response(self._command, response)
        key = response.status, response.data is None
        encoded = self._pending_commands.get(key)
        if encoded is None:
            encoded = self._pending_commands[key] = encode_response(self._command, response)
        return encoded
