"""Requests that the service sends to the peer of an open association, as the N-EVENT-REPORT of a commitment."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dicom_listener.dimse import encode_request
from dicom_listener.pdu import COMMAND, Aborted, Released, p_data
from dicom_listener.service import PeerEnding

if TYPE_CHECKING:
    from collections.abc import Mapping

    from dicom_listener.dimse import Command, CommandField
    from dicom_listener.exchange import Exchange
    from dicom_listener.link import Link
    from dicom_listener.message import Incoming
    from dicom_listener.message_reader import MessageReader
    from dicom_listener.service import Context


class OwnRequests:
    """Sends one request at a time and waits for its response."""

    def __init__(self, link: Link, reader: MessageReader, exchange: Exchange) -> None:
        self._link = link
        self._reader = reader
        self._exchange = exchange
        self._message_id = 0
        self._is_waiting = False
        self._response: tuple[Command, bytes] | None = None

    def send(self, field: CommandField, context: Context, elements: Mapping[str, str | int],
             data: bytes | None) -> tuple[Command, bytes]:  # fmt: skip
        """See :meth:`dicom_listener.service.AcceptedAssociation.request`."""
        self._message_id = self._message_id % 0xFFFF + 1
        command = encode_request(field, self._message_id, elements, has_data_set=data is not None)
        encoded = p_data(context.context_id, COMMAND, command, self._link.peer_max_pdu)
        if data is not None:
            encoded += p_data(context.context_id, 0, data, self._link.peer_max_pdu)
        self._is_waiting = True
        try:
            self._link.send(encoded)
            return self._received()
        except (Released, Aborted) as error:
            self._exchange.ending = error
            raise PeerEnding from error
        finally:
            self._is_waiting, self._response = False, None

    def _received(self) -> tuple[Command, bytes]:
        while self._response is None:
            self._reader.next_pdu()
        return self._response

    def deliver(self, response: Incoming) -> None:
        """Take a response of the peer's; one that nothing waits for is dropped."""
        if self._is_waiting and response.command.message_id == self._message_id:
            self._response = response.command, bytes(response.data)
        response.release()
