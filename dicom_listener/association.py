"""One association, from its first PDU to the end of its connection: the acceptor's side of PS3.8 §9.2.

One thread runs it and blocks where the standard's state machine waits. Sta2 is :meth:`Association.run` before the
request, Sta6 is :meth:`Association._serve`, Sta13 is :meth:`~dicom_listener.link.Link.send_last`; the states between
them last no longer than a function call.
"""

from __future__ import annotations

import itertools
import logging
import time
from collections import deque
from typing import TYPE_CHECKING

from dicom_listener import admission, metrics
from dicom_listener.access import Caller, Reason, Rejected
from dicom_listener.connection import Expired, PeerClosed, Stopped
from dicom_listener.dimse import RESPONSE, CommandField
from dicom_listener.exchange import Exchange
from dicom_listener.link import Link
from dicom_listener.message_reader import MessageReader
from dicom_listener.negotiation import agree
from dicom_listener.own_requests import OwnRequests
from dicom_listener.pdu import (
    HEADER,
    RELEASE_RESPONSE,
    UNLIMITED,
    Aborted,
    AbortReason,
    PduType,
    ProtocolViolation,
    Released,
    abort,
    reject,
)
from dicom_listener.proposal import MAX_REQUEST_LENGTH, MalformedRequest, Proposal, read_request
from dicom_listener.user_identity import Identification

if TYPE_CHECKING:
    import socket
    from collections.abc import Mapping

    from dicom_listener.access import Certificate
    from dicom_listener.dimse import Command
    from dicom_listener.message import Incoming
    from dicom_listener.service import Context
    from dicom_listener.shared import Shared

logger = logging.getLogger(__name__)

_SEQUENCE = itertools.count(1)
_MAX_WAITING = 16


class Association:
    """An association with a peer, for its service an :class:`~dicom_listener.service.AcceptedAssociation`.

    ``calling_ae`` and ``called_ae`` are AE titles without padding; ``user`` is the name of a verified user identity, or
    empty; ``address`` and ``port`` are the peer's. ``is_own_health_check`` marks the health check of this very service,
    which is logged at DEBUG only: it has sent a token that only the master and its children know. ``place`` and
    ``seat`` belong to :class:`~dicom_listener.lobby.Lobby` and :class:`~dicom_listener.seats.Seats`.
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
        self.limits = shared.limits
        self.link = Link(sock, shared.limits)
        self._service = shared.service
        self._shared = shared
        self._certificate = certificate
        self._reader = MessageReader(self, self.link, shared, self._deliver)
        self._exchange = Exchange(self, self.link, shared)
        self._own_requests = OwnRequests(self.link, self._reader, self._exchange)
        self._waiting: deque[Incoming] = deque()

    # -- life

    def run(self, request: bytes | bytearray) -> None:
        """Serve the connection until it ends. Raises nothing that a peer can cause.

        ``request`` is the A-ASSOCIATE-RQ, or the header of the PDU that came instead of one.
        """
        try:
            if self._establish(request):
                self._run_established()
        except (PeerClosed, Stopped, Expired, OSError) as error:
            logger.debug(
                "connection ended before an association",
                extra={"fields": self.peer(because=str(error) or type(error).__name__)},
            )
        except ProtocolViolation as error:
            # AA-1: in Sta2 the source of the A-ABORT is the service user
            self._end_with(abort(source=0, reason=0), "protocol violation", str(error))
        except BaseException:
            # a fault of this side: the peer gets an A-ABORT here, and the server logs the fault
            self.link.send_last(abort(source=2, reason=AbortReason.NOT_SPECIFIED))
            raise
        finally:
            self.link.close()
            self._shared.lobby.leave(self)

    def _run_established(self) -> None:
        started = time.monotonic()
        metrics.ASSOCIATIONS.inc()
        metrics.ACTIVE.inc()
        how = "failed"
        try:
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
            if self._service.association_ended:
                self._service.association_ended(self)

    def peer(self, **more: object) -> dict[str, object]:
        who = {"association": self.id, "address": self.address}
        if self.calling_ae:
            who |= {"calling": self.calling_ae, "called": self.called_ae}
        return who | more

    # -- establishment

    def _establish(self, request: bytes | bytearray) -> bool:
        self.link.allow_negotiation()
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
        if self.link.stopped:
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
        agreement = agree(proposal, body, self._service, self.limits.max_pdu_length)
        self._reader.contexts = agreement.contexts
        level = logging.DEBUG if self.is_own_health_check else logging.INFO
        fields = self.peer(contexts=f"{len(agreement.contexts)}/{len(proposal.contexts)}", port=self.port)
        if self.user:
            fields["user"] = self.user
        logger.log(level, "association accepted", extra={"fields": fields})
        self.link.send(agreement.pdu)

    def _adopt(self, proposal: Proposal) -> None:
        self.calling_ae = proposal.calling_ae
        self.called_ae = proposal.called_ae
        self.is_own_health_check = self._shared.is_health_token(proposal.implementation_version)
        self.link.peer_max_pdu = proposal.max_pdu or UNLIMITED

    def _judge(self, proposal: Proposal) -> Rejected | None:
        identify = Identification(self._shared.verifier, proposal.user_identity, self.calling_ae, self.address)
        caller = Caller(self.calling_ae, self.called_ae, self.address, self._certificate, identify,
                        self.is_own_health_check)  # fmt: skip
        rejected = admission.judge(proposal, caller, self._service.access, self.peer())
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
                self._reader.next_pdu()
                while self._waiting:
                    self._exchange.collected(self._waiting.popleft())
        except Released:
            self.link.send_last(RELEASE_RESPONSE, in_step=True)
            return "released"
        except Aborted:
            return "aborted by peer"
        except PeerClosed:
            return "connection lost"
        except Stopped:
            self._end_with(abort(source=0, reason=0), "association ended", "service stops")
            return "stopped"
        except Expired:
            limit = "idle" if self.link.was_idle else "pdu"
            metrics.LIMITED.labels(limit).inc()
            self._end_with(abort(source=2, reason=0), "association aborted", f"{limit} time limit")
            return "timed out"
        except ProtocolViolation as error:
            self._end_with(abort(source=2, reason=error.reason), "association aborted", str(error))
            return "aborted by us"

    def _deliver(self, incoming: Incoming) -> None:
        command = incoming.command
        if command.field & RESPONSE:
            self._own_requests.deliver(incoming)
        elif command.field == CommandField.C_CANCEL_RQ:
            incoming.release()
            self._cancel(command.message_id)
        elif incoming.is_streamed:
            self._exchange.streamed(incoming)
        elif command.field == CommandField.C_ECHO_RQ:
            self._exchange.collected(incoming)
        else:
            self._queue(incoming)

    def _queue(self, incoming: Incoming) -> None:
        """Keep a request until its PDU is read to the end, since its operation polls for the next PDU while it works.

        Several wait when a peer sends requests ahead, although one operation at a time was negotiated.
        """
        if len(self._waiting) >= _MAX_WAITING:
            raise ProtocolViolation(AbortReason.UNEXPECTED_PARAMETER, "more operations at once than negotiated")
        self._waiting.append(incoming)

    def _cancel(self, message_id: int) -> None:
        """Note a C-CANCEL; one for a request that has been answered is ignored (PS3.7 §9.3.2.3)."""
        self._exchange.cancel(message_id)
        for incoming in self._waiting:
            if incoming.command.message_id == message_id:
                incoming.cancelled = True

    def _abandon_incoming(self) -> None:
        self._reader.abandon()
        while self._waiting:
            self._waiting.popleft().release()

    # -- what a service may use

    @property
    def has_waiting(self) -> bool:
        return bool(self._waiting)

    @property
    def is_stopping(self) -> bool:
        return self.link.stopped

    def poll(self, seconds: float = 0) -> None:
        if seconds:
            self.link.await_input(seconds)
        while self.link.has_input():
            self._reader.next_pdu()
        self.link.stop_clock()

    def request(self, field: CommandField, context: Context, elements: Mapping[str, str | int],
                data: bytes | None = None) -> tuple[Command, bytes]:  # fmt: skip
        return self._own_requests.send(field, context, elements, data)

    # -- ends

    def _end_with(self, pdu: bytes, event: str, because: str, *, in_step: bool = False) -> None:
        level = logging.DEBUG if self.is_own_health_check else logging.INFO
        logger.log(level, event, extra={"fields": self.peer(because=because)})
        self.link.send_last(pdu, in_step=in_step)

    def end_now(self) -> None:
        """End the association at once, from another thread: the time that a stop may take has passed."""
        self.link.cut()

    evict = end_now
