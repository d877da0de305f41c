"""The link to one peer: a connection and its deadline, the moment until which the peer may keep it waiting.

Every time limit of an association is set in this module. Setting one costs no system call: the owner's thread only
notes the deadline, and the accept loop compares it with the clock four times a second. An idle link costs nothing.
"""

from __future__ import annotations

import math
import time
from typing import TYPE_CHECKING

from dicom_listener.connection import Connection, Expired, PeerClosed, Stopped
from dicom_listener.pdu import HEADER, PDU_TYPES, UNLIMITED, Aborted, AbortReason, PduType, abort

if TYPE_CHECKING:
    import socket

    from dicom_listener.config import Limits

NEVER = math.inf
"""The deadline of a link whose peer is not waited for."""

_LAST_WORDS_SECONDS = 1.0


class Link(Connection):
    """A connection whose owner never waits longer than ``limits`` allow.

    ``peer_max_pdu`` is the longest P-DATA-TF that the peer takes, in bytes. ``was_idle`` tells of a deadline that
    has passed whether the peer was waited for between two messages.
    """

    def __init__(self, sock: socket.socket, limits: Limits) -> None:
        super().__init__(sock)
        self.peer_max_pdu = UNLIMITED
        self.was_idle = False
        self._limits = limits
        self._deadline = NEVER

    # -- the deadline

    def expire_if_due(self, now: float) -> None:
        """Wake the owner with :class:`Expired` when the deadline has passed. Called by the accept loop's thread.

        The owner then has a second to send its A-ABORT, before sending is ended too.
        """
        if self._deadline < now:
            self.was_idle = self._idle
            self._deadline = now + _LAST_WORDS_SECONDS
            self.expire()

    def allow_negotiation(self) -> None:
        """Start ARTIM (PS3.8 §9.1.5): a request for an association has arrived and is to be answered."""
        self._deadline = time.monotonic() + self._limits.first_pdu

    def allow_pdu(self, until: float = NEVER) -> None:
        """Give the peer the time for one PDU from now on, at most ``until``, by :func:`time.monotonic`."""
        deadline = time.monotonic() + self._limits.pdu
        self._deadline = deadline if deadline < until else until

    def stop_clock(self) -> None:
        """Set no deadline while an operation works: its time is not the peer's."""
        self._deadline = NEVER

    # -- receiving

    def wait(self) -> None:
        """Wait for the first byte of the next PDU, as long as an association may be idle."""
        self._deadline = time.monotonic() + self._limits.idle
        try:
            self.wait_for_input()
        finally:
            self._deadline = NEVER

    def begin_pdu(self, until: float = NEVER) -> tuple[int, int]:
        """Return type and length of the next PDU, for which the peer has the time of :meth:`allow_pdu`."""
        self.allow_pdu(until)
        return self._header()

    def _header(self) -> tuple[int, int]:
        kind, length = HEADER.unpack(self.take(6))
        return kind, length

    # -- sending

    def send(self, data: bytes | bytearray) -> None:
        """Send encoded PDUs; a peer that does not take them within the time for one PDU is cut off."""
        self._send(data, self._limits.pdu)

    def _send(self, data: bytes | bytearray, seconds: float) -> None:
        previous, self._deadline = self._deadline, time.monotonic() + seconds
        try:
            self.write(data)
        finally:
            self._deadline = previous

    def send_last(self, pdu: bytes, *, in_step: bool = False) -> None:
        """Send the last PDU and wait, within ARTIM's time, for the peer to close (Sta13).

        ``in_step``: the peer's next byte is the first of a PDU. After an abort nobody knows where a PDU begins.
        """
        try:
            self._send(pdu, self._limits.release)
            self._deadline = time.monotonic() + self._limits.release
            if in_step:
                self._await_close()
            # closing with unread bytes would reset the connection and destroy the last PDU on its way
            self.finish_sending()
            self.drain()
        except (Aborted, PeerClosed, Expired, Stopped):
            return

    def _await_close(self) -> None:
        """Ignore PDUs (AA-6), until the peer aborts (AA-2) or sends what must be answered by an abort (AA-7)."""
        while True:
            kind, length = self._header()
            if kind == PduType.ABORT:
                raise Aborted
            if kind == PduType.ASSOCIATE_RQ or kind not in PDU_TYPES:
                reason = AbortReason.UNEXPECTED_PDU if kind in PDU_TYPES else AbortReason.UNRECOGNIZED_PDU
                self._send(abort(source=2, reason=reason), self._limits.release)
                return
            self.stream(length, len)
