"""From PDUs to messages: what a peer sends while an association is open (Sta6 of PS3.8 §9.2)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dicom_listener import metrics
from dicom_listener.link import NEVER
from dicom_listener.message import Incoming
from dicom_listener.pdu import (
    FIXED_LENGTH,
    PDU_TYPES,
    PDV_HEADER,
    Aborted,
    AbortReason,
    PduType,
    ProtocolViolation,
    Released,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from dicom_listener.link import Link
    from dicom_listener.service import AcceptedAssociation, Context
    from dicom_listener.shared import Shared


class MessageReader:
    """Reads PDUs one by one, and hands each message that is complete to ``deliver``.

    ``contexts`` are the accepted presentation contexts by ID.
    """

    def __init__(self, association: AcceptedAssociation, link: Link, shared: Shared,
                 deliver: Callable[[Incoming], None]) -> None:  # fmt: skip
        self.contexts: Mapping[int, Context] = {}
        self._association = association
        self._link = link
        self._shared = shared
        self._deliver = deliver
        self._max_pdu_length = shared.limits.max_pdu_length
        self._incoming: Incoming | None = None

    def next_pdu(self) -> None:
        """Receive one PDU; raises what ends the association."""
        incoming = self._incoming
        if incoming is None:
            self._link.wait()
            kind, length = self._link.begin_pdu()
        else:
            kind, length = self._link.begin_pdu(NEVER if incoming.is_streamed else incoming.until)
        if kind == PduType.P_DATA:
            if length > self._max_pdu_length:
                metrics.LIMITED.labels("pdu_length").inc()
                raise ProtocolViolation(AbortReason.INVALID_PARAMETER, "PDU is longer than negotiated")
            self._p_data(length)
        else:
            self._control_pdu(kind, length)

    def _control_pdu(self, kind: int, length: int) -> None:
        if kind not in PDU_TYPES:
            raise ProtocolViolation(AbortReason.UNRECOGNIZED_PDU, f"PDU of unknown type {kind:02X}")
        if kind in FIXED_LENGTH and length != 4:
            raise ProtocolViolation(AbortReason.INVALID_PARAMETER, f"PDU of type {kind:02X} has a wrong length")
        if kind == PduType.ABORT:
            raise Aborted
        if kind == PduType.RELEASE_RQ:
            self._link.take(4)
            raise Released
        raise ProtocolViolation(AbortReason.UNEXPECTED_PDU, f"PDU of type {kind:02X} during data transfer")

    def _p_data(self, remaining: int) -> None:
        if not remaining:
            raise ProtocolViolation(AbortReason.INVALID_PARAMETER, "P-DATA-TF without a value")
        while remaining:
            if remaining < 6:
                raise ProtocolViolation(AbortReason.INVALID_PARAMETER, "P-DATA-TF ends within a PDV's header")
            item_length, context_id, control = PDV_HEADER.unpack(self._link.take(6))
            remaining -= item_length + 4
            if item_length < 2 or remaining < 0:
                raise ProtocolViolation(AbortReason.INVALID_PARAMETER, "PDV length does not fit its PDU")
            is_delivered = self._fragment(context_id, control, item_length - 2)
            if is_delivered and remaining:
                self._link.allow_pdu()

    def _fragment(self, context_id: int, control: int, size: int) -> bool:
        """Receive one PDV; return whether it completed a message, which has been delivered.

        Bit 0 of ``control`` marks a command fragment, bit 1 the last one (PS3.8 §E.2).
        """
        incoming = self._incoming
        if incoming is None:
            context = self.contexts.get(context_id)
            if context is None:
                raise ProtocolViolation(AbortReason.INVALID_PARAMETER, "PDV for a context that was not accepted")
            incoming = self._incoming = Incoming(context, self._association, self._link, self._shared)
        incoming.fragment(context_id, control, size)
        if not incoming.complete:
            return False
        self._incoming = None
        self._link.stop_clock()
        self._deliver(incoming)
        return True

    def abandon(self) -> None:
        """Drop the message that has begun, if one has."""
        incoming, self._incoming = self._incoming, None
        if incoming is not None:
            incoming.abandon()
