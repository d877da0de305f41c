"""One association, from its first PDU to the end of its connection: the acceptor's side of PS3.8 §9.2.

One thread runs it and blocks where the standard's state machine waits. Sta2 is :meth:`Association.run` before the
request, Sta6 is :meth:`Association._serve`, Sta13 is :meth:`Association._await_close`; the states between them last no
longer than a function call.
"""

from __future__ import annotations

import itertools
import logging
import time
from collections import deque
from typing import TYPE_CHECKING

from dicom_listener import metrics
from dicom_listener.access import Caller, Reason, Rejected
from dicom_listener.connection import NEVER, Connection, Expired, PeerClosed, Stopped
from dicom_listener.dimse import RESPONSE, Command, CommandField, encode_request
from dicom_listener.exchange import Exchange, PeerEnding
from dicom_listener.log import log_failure
from dicom_listener.message import Incoming
from dicom_listener.negotiation import (
    APPLICATION_CONTEXT,
    MAX_REQUEST_LENGTH,
    MalformedRequest,
    Proposal,
    agree,
    read_request,
)
from dicom_listener.pdu import (
    COMMAND,
    FIXED_LENGTH,
    HEADER,
    PDU_TYPES,
    PDV_HEADER,
    RELEASE_RESPONSE,
    UNLIMITED,
    Aborted,
    AbortReason,
    PduType,
    ProtocolViolation,
    Released,
    abort,
    p_data,
    reject,
)
from dicom_listener.user_identity import Identification

if TYPE_CHECKING:
    import socket
    from collections.abc import Mapping

    from dicom_listener.access import Certificate
    from dicom_listener.service import Context
    from dicom_listener.shared import Shared

logger = logging.getLogger(__name__)

_SEQUENCE = itertools.count(1)
_MAX_WAITING = 16


class Association:
    """An association with a peer. Attributes are set when it is accepted and stay.

    ``calling_ae`` and ``called_ae`` are AE titles without padding; ``user`` is that of a verified user identity, or "";
    ``address`` and ``port`` are the peer's; ``peer_max_pdu`` is the longest P-DATA-TF that the peer takes, in
    bytes; ``contexts`` the accepted ones by ID. ``is_own_health_check`` tells the health check of this very service,
    which would fill the log: it says what only the master and its children know.
    """

    def __init__(self, sock: socket.socket, address: str, port: int, certificate: Certificate | None,
                 shared: Shared) -> None:  # fmt: skip
        self.id = next(_SEQUENCE)
        self.place: int | None = None
        self.seat: int | None = None
        self.address = address
        self.port = port
        self.calling_ae = ""
        self.called_ae = ""
        self.user = ""
        self.is_own_health_check = False
        self.implementation_uid = ""
        self.implementation_version = ""
        self.peer_max_pdu = UNLIMITED
        self.contexts: dict[int, Context] = {}
        self.connection = Connection(sock)
        self.limits = shared.limits
        self.service = shared.service
        self.memory = shared.seats.memory
        self._shared = shared
        self._certificate = certificate
        self._incoming: Incoming | None = None
        self._exchange = Exchange(self)
        self._waiting: deque[Incoming] = deque()
        self._awaited: int | None = None
        self._answer: tuple[Command, bytes] | None = None
        self._own_message_id = 0
        self._reading = False

    # -- life

    def run(self, request: bytes | bytearray) -> None:
        """Serve the connection until it ends. Raises nothing that a peer can cause.

        ``request`` is its A-ASSOCIATE-RQ, or the header of what is none.
        """
        try:
            if self._establish(request):
                self._run_established()
        except (PeerClosed, Stopped, Expired, OSError) as error:
            logger.debug("connection ended before an association", extra={"fields": self.peer(because=repr(error))})
        except ProtocolViolation as violation:
            # AA-1: in Sta2 the abort is the service user's
            self._end_with(abort(source=0, reason=0), "protocol violation", str(violation))
        except BaseException:
            # a fault of ours, logged where associations are started; the peer is told before
            self._send_last(abort(source=2, reason=AbortReason.NOT_SPECIFIED))
            raise
        finally:
            self.connection.close()
            self._shared.lobby.leave(self)

    def _run_established(self) -> None:
        started = time.monotonic()
        metrics.ASSOCIATIONS.inc()
        metrics.ACTIVE.inc()
        how = "failed"
        try:
            if self.service.association_accepted:
                self.service.association_accepted(self)
            how = self._serve()
        finally:
            self._abandon_incoming()
            self._shared.seats.leave(self)
            metrics.ACTIVE.dec()
            metrics.ENDED.labels(how).inc()
            seconds = round(time.monotonic() - started, 3)
            level = logging.DEBUG if self.is_own_health_check else logging.INFO
            fields = self.peer(how=how, messages=self._exchange.answered, seconds=seconds)
            logger.log(level, "association ended", extra={"fields": fields})
            if self.service.association_ended:
                self.service.association_ended(self)

    def peer(self, **more: object) -> dict[str, object]:
        who = {"association": self.id, "address": self.address}
        if self.calling_ae:
            who |= {"calling": repr(self.calling_ae), "called": repr(self.called_ae)}
        return who | more

    # -- establishment

    def _establish(self, request: bytes | bytearray) -> bool:
        self.connection.deadline = time.monotonic() + self.limits.first_pdu
        kind, length = HEADER.unpack_from(request)
        if kind == PduType.ABORT:
            return False
        if kind != PduType.ASSOCIATE_RQ:
            raise ProtocolViolation(AbortReason.UNEXPECTED_PDU, f"first PDU is of type {kind:02X}")
        if length > MAX_REQUEST_LENGTH:
            metrics.LIMITED.labels("request_length").inc()
            raise ProtocolViolation(AbortReason.INVALID_PARAMETER, "association request is too long")
        body = bytes(request[HEADER.size :])
        try:
            proposal = read_request(body)
        except MalformedRequest as error:
            raise ProtocolViolation(AbortReason.INVALID_PARAMETER, f"association request: {error}") from error
        self._adopt(proposal)
        if self.connection.stopped:
            self._reject(Rejected(Reason.CONGESTION, "service stops"))
            return False
        if rejected := self._judge(proposal) or self._shared.seats.take(self):
            self._reject(rejected)
            return False
        self._shared.lobby.leave(self)
        try:
            self._accept(proposal, body)
        except BaseException:
            self._shared.seats.leave(self)
            raise
        return True

    def _accept(self, proposal: Proposal, body: bytes) -> None:
        agreement = agree(proposal, body, self.service, self.limits.max_pdu_length)
        self.contexts = agreement.contexts
        level = logging.DEBUG if self.is_own_health_check else logging.INFO
        fields = self.peer(contexts=f"{len(self.contexts)}/{len(proposal.contexts)}", port=self.port)
        if self.user:
            fields["user"] = repr(self.user)
        logger.log(level, "association accepted", extra={"fields": fields})
        self.send(agreement.pdu)

    def _adopt(self, proposal: Proposal) -> None:
        self.calling_ae = proposal.calling_ae
        self.called_ae = proposal.called_ae
        self.implementation_uid = proposal.implementation_uid
        self.implementation_version = proposal.implementation_version
        self.is_own_health_check = self._shared.is_health_token(proposal.implementation_version)
        self.peer_max_pdu = proposal.max_pdu or UNLIMITED

    def _judge(self, proposal: Proposal) -> Rejected | None:
        if not proposal.protocol_version & 1:
            return Rejected(Reason.PROTOCOL_VERSION, "protocol version")
        if proposal.application_context != APPLICATION_CONTEXT:
            return Rejected(Reason.APPLICATION_CONTEXT, "application context name")
        if not proposal.calling_ae:
            return Rejected(Reason.CALLING_AE, "calling AE title is empty")
        if not proposal.called_ae:
            return Rejected(Reason.CALLED_AE, "called AE title is empty")
        identify = Identification(self._shared.verifier, proposal.user_identity, proposal.calling_ae, self.address)
        caller = Caller(proposal.calling_ae, proposal.called_ae, self.address, self._certificate, identify,
                        self.is_own_health_check)  # fmt: skip
        try:
            rejected = self.service.access(caller) or identify()
        except Exception as error:  # noqa: BLE001 - on doubt nobody is let in
            log_failure(logger, "access rule failed; nobody is let in", error, self.peer())
            return Rejected(Reason.NO_REASON, "access rule failed")
        proposal.identity_answered = identify.is_answered
        self.user = identify.user.name if identify.user else ""
        return rejected

    def _reject(self, rejected: Rejected) -> None:
        metrics.REJECTED.labels(rejected.reason.name.lower()).inc()
        result, source, reason = rejected.reason.value
        self._end_with(reject(result, source, reason), "association rejected", rejected.because, in_step=True)

    # -- data transfer (Sta6)

    def _serve(self) -> str:
        """Serve until the association ends; return how it did."""
        try:
            while True:
                self._next_pdu()
                while self._waiting:
                    self._exchange.collected(self._waiting.popleft())
        except Released:
            return self._release()
        except Aborted:
            return "aborted by peer"
        except PeerClosed:
            return "connection lost"
        except Stopped:
            self._end_with(abort(source=0, reason=0), "association ended", "service stops")
            return "stopped"
        except Expired:
            limit = "idle" if self._incoming is None and not self._reading else "pdu"
            metrics.LIMITED.labels(limit).inc()
            self._end_with(abort(source=2, reason=0), "association aborted", f"{limit} time limit")
            return "timed out"
        except ProtocolViolation as violation:
            self._end_with(abort(source=2, reason=violation.reason), "association aborted", str(violation))
            return "aborted by us"

    def _pdu_header(self) -> tuple[int, int]:
        kind, length = HEADER.unpack(self.connection.take(6))
        return kind, length

    def _next_pdu(self) -> None:
        """Receive one PDU and do what it asks for; raises what ends the association."""
        connection = self.connection
        if self._incoming is None:
            connection.wait(self.limits.idle)
        self._reading = True
        connection.deadline = time.monotonic() + self.limits.pdu
        if self._incoming is not None and not self._incoming.is_streamed:
            connection.deadline = min(connection.deadline, self._incoming.until)
        kind, length = self._pdu_header()
        if kind == PduType.P_DATA:
            if length > self.limits.max_pdu_length:
                metrics.LIMITED.labels("pdu_length").inc()
                raise ProtocolViolation(AbortReason.INVALID_PARAMETER, "PDU is longer than negotiated")
            self._p_data(length)
        else:
            self._control_pdu(kind, length)
        self._reading = False

    def _control_pdu(self, kind: int, length: int) -> None:
        if kind not in PDU_TYPES:
            raise ProtocolViolation(AbortReason.UNRECOGNIZED_PDU, f"PDU of unknown type {kind:02X}")
        if kind in FIXED_LENGTH and length != 4:
            raise ProtocolViolation(AbortReason.INVALID_PARAMETER, f"PDU of type {kind:02X} has a wrong length")
        if kind == PduType.ABORT:
            raise Aborted
        if kind == PduType.RELEASE_RQ:
            self.connection.take(4)
            raise Released
        raise ProtocolViolation(AbortReason.UNEXPECTED_PDU, f"PDU of type {kind:02X} during data transfer")

    def _p_data(self, remaining: int) -> None:
        if not remaining:
            raise ProtocolViolation(AbortReason.INVALID_PARAMETER, "P-DATA-TF without a value")
        while remaining:
            if remaining < 6:
                raise ProtocolViolation(AbortReason.INVALID_PARAMETER, "P-DATA-TF ends within a PDV's header")
            item_length, context_id, control = PDV_HEADER.unpack(self.connection.take(6))
            remaining -= item_length + 4
            if item_length < 2 or remaining < 0:
                raise ProtocolViolation(AbortReason.INVALID_PARAMETER, "PDV length does not fit its PDU")
            self._fragment(context_id, control, item_length - 2)

    def _fragment(self, context_id: int, control: int, size: int) -> None:
        """Take one PDV: bit 0 of ``control`` marks a command fragment, bit 1 the last one (PS3.8 §E.2)."""
        incoming = self._incoming
        if incoming is None:
            context = self.contexts.get(context_id)
            if context is None:
                raise ProtocolViolation(AbortReason.INVALID_PARAMETER, "PDV for a context that was not accepted")
            incoming = self._incoming = Incoming(context, self)
        incoming.fragment(context_id, control, size)
        if incoming.complete:
            self._incoming = None
            self._message(incoming)

    def _message(self, incoming: Incoming) -> None:
        command = incoming.command
        self.connection.deadline = NEVER  # the operation's time is not the peer's
        if command.field & RESPONSE:
            if command.message_id == self._awaited:  # what nobody waits for is kept for nobody
                self._answer = (command, bytes(incoming.data))
            incoming.release()
        elif command.field == CommandField.C_CANCEL_RQ:
            incoming.release()
            self._cancel(command.message_id)
        elif incoming.is_streamed:
            self._exchange.streamed(incoming)
        elif command.field == CommandField.C_ECHO_RQ:
            self._exchange.collected(incoming)
        else:
            self._queue(incoming)
        self.connection.deadline = time.monotonic() + self.limits.pdu

    def _queue(self, incoming: Incoming) -> None:
        """Keep a request until its PDU is read to the end, since its operation looks for the next PDU while it works.

        More than one waits when a peer sends the next before the one at work is answered, though one at a time was
        agreed on.
        """
        if len(self._waiting) >= _MAX_WAITING:
            raise ProtocolViolation(AbortReason.UNEXPECTED_PARAMETER, "more operations at once than negotiated")
        self._waiting.append(incoming)

    def _cancel(self, message_id: int) -> None:
        """Take a C-CANCEL; one for a request that is over is ignored (PS3.7 §9.3.2.3)."""
        self._exchange.cancel(message_id)
        for incoming in self._waiting:
            if incoming.command.message_id == message_id:
                incoming.cancelled = True

    def _abandon_incoming(self) -> None:
        incoming, self._incoming = self._incoming, None
        if incoming is not None:
            incoming.abandon()
        while self._waiting:
            self._waiting.popleft().release()

    # -- sending

    def send(self, data: bytes | bytearray) -> None:
        """Send encoded PDUs; a peer that does not take them in time is cut off."""
        self.connection.send(data, self.limits.pdu)

    def poll(self, seconds: float = 0) -> None:
        """Take what the peer sent meanwhile; when it sent nothing, wait for it so long at most."""
        if seconds:
            self.connection.await_input(seconds)
        while self.connection.has_input():
            self._next_pdu()
        self.connection.deadline = NEVER  # the operation goes on, and its time is not the peer's

    @property
    def has_waiting(self) -> bool:
        """Whether a request waits until the operation at work is done."""
        return bool(self._waiting)

    # -- requests of our own

    def request(self, field: CommandField, context: Context, elements: Mapping[str, str | int],
                data: bytes | None = None) -> tuple[Command, bytes]:  # fmt: skip
        """Send a request to the peer and return its response: command and data set.

        To be called from an operation that has sent its final response, as for an N-EVENT-REPORT on the same
        association (PS3.4 §J.3.3). Raises :class:`PeerEnding` when the peer releases or aborts instead of answering;
        the listener then ends the association as the peer asked.
        """
        self._own_message_id = self._own_message_id % 0xFFFF + 1
        command = encode_request(field, self._own_message_id, elements, has_data_set=data is not None)
        self._awaited, self._answer = self._own_message_id, None
        try:
            encoded = p_data(context.context_id, COMMAND, command, self.peer_max_pdu)
            if data is not None:
                encoded += p_data(context.context_id, 0, data, self.peer_max_pdu)
            self.send(encoded)
            while (answer := self._received_answer()) is None:
                self._next_pdu()
            return answer
        except (Released, Aborted) as ending:
            self._exchange.ending = ending
            raise PeerEnding from ending
        finally:
            self._awaited = self._answer = None

    def _received_answer(self) -> tuple[Command, bytes] | None:
        return self._answer

    # -- ends

    def _release(self) -> str:
        self._send_last(RELEASE_RESPONSE, in_step=True)
        return "released"

    def _end_with(self, pdu: bytes, event: str, because: str, *, in_step: bool = False) -> None:
        level = logging.DEBUG if self.is_own_health_check else logging.INFO
        logger.log(level, event, extra={"fields": self.peer(because=repr(because))})
        self._send_last(pdu, in_step=in_step)

    def _send_last(self, pdu: bytes, *, in_step: bool = False) -> None:
        """Send the last PDU and wait, within ARTIM's time, for the peer to close (Sta13).

        ``in_step`` says that what the peer sends next is the begin of a PDU; after an abort nobody knows.
        """
        try:
            self.connection.send(pdu, self.limits.release)
            self.connection.deadline = time.monotonic() + self.limits.release
            if in_step:
                self._await_close()
            # closing with unread bytes would reset the connection, and with it what was sent last
            self.connection.finish_sending()
            self.connection.drain()
        except (Aborted, PeerClosed, Expired, Stopped):
            return

    def _await_close(self) -> None:
        """Ignore PDUs (AA-6), until the peer aborts (AA-2) or sends what must be answered by an abort (AA-7)."""
        while True:
            kind, length = self._pdu_header()
            if kind == PduType.ABORT:
                raise Aborted
            if kind == PduType.ASSOCIATE_RQ or kind not in PDU_TYPES:
                reason = AbortReason.UNEXPECTED_PDU if kind in PDU_TYPES else AbortReason.UNRECOGNIZED_PDU
                self.connection.send(abort(source=2, reason=reason), self.limits.release)
                return
            self.connection.stream(length, len)

    def end_now(self) -> None:
        """End the association at once, from another thread: the time to stop is over."""
        self.connection.cut()

    evict = end_now
