"""From a complete request to its responses: runs the operation, sends what it yields, honours C-CANCEL."""

from __future__ import annotations

import logging
import time
from functools import cache
from typing import TYPE_CHECKING

from dicom_listener import dimse, metrics
from dicom_listener.connection import NEVER
from dicom_listener.dimse import CommandField, Status
from dicom_listener.log import log_failure
from dicom_listener.pdu import COMMAND, Ending, p_data
from dicom_listener.service import Collected, Refused, Request, Response
from dicom_listener.structure import MalformedDataSet, NestedTooDeep, check_nesting

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from prometheus_client import Counter, Histogram

    from dicom_listener.association import Association
    from dicom_listener.message import Incoming

logger = logging.getLogger(__name__)

_BATCH_BYTES = 16 * 1024
_BATCH_SECONDS = 0.02
_PENDING = (Status.PENDING, Status.PENDING_WARNING)


@cache
def _figures_of(name: str, status: int) -> tuple[Counter, Histogram]:
    """Return the counter and the histogram of one kind of answer: looking them up costs more than counting."""
    return metrics.MESSAGES.labels(name, f"{status:04X}"), metrics.OPERATION_SECONDS.labels(name)


class PeerEnding(Exception):
    """The peer released or aborted the association while a request of ours was unanswered."""


class Exchange:
    """The operations of one association, one at a time."""

    def __init__(self, association: Association) -> None:
        self.answered = 0
        self.ending: Ending | None = None
        self._association = association
        self._current: Request | None = None

    def cancel(self, message_id: int) -> None:
        """Let the operation at work know that it was cancelled, if this is its request."""
        if self._current is not None and self._current.command.message_id == message_id:
            self._current.cancelled = True

    def streamed(self, incoming: Incoming) -> None:
        """Answer a streamed request whose data set is complete."""
        started = time.perf_counter()
        response = incoming.finish()
        self._send_final(incoming, response, started)

    def collected(self, incoming: Incoming) -> None:
        """Run a request that is complete in memory and send its responses."""
        try:
            self._answer(incoming)
        finally:
            incoming.release()

    def _answer(self, incoming: Incoming) -> None:
        command = incoming.command
        started = time.perf_counter()
        operation = self._association.service.operations.get(command.field)
        if incoming.failure is not None:
            self._send_final(incoming, incoming.failure, started)
        elif command.field == CommandField.C_ECHO_RQ:
            self._send_final(incoming, Response(Status.SUCCESS), started)
            if self._association.service.echoed:
                self._association.service.echoed(self._association)
        elif operation is None:
            comment = "This operation is not supported"
            self._send_final(incoming, Response(Status.UNRECOGNIZED_OPERATION, comment=comment), started)
        elif not isinstance(operation, Collected):
            response = Response(Status.CANNOT_UNDERSTAND, comment="The request has no data set")
            self._send_final(incoming, response, started)
        else:
            self._run(incoming, operation, started)

    def _run(self, incoming: Incoming, operation: Collected, started: float) -> None:
        command = incoming.command
        self._association.connection.deadline = NEVER
        request = self._current = incoming.request()
        answers = _Answers(self._association, incoming)
        responses: Iterator[Response] = iter(())
        try:
            responses = iter(self._begun(operation, request))
            for response in responses:
                final = answers.add(response)
                if final:
                    self._count(command.field, response.status, started)
                if request.cancelled and not answers.final:
                    break
        except Ending:
            raise
        except PeerEnding:
            logger.debug("peer ended the association before it answered", extra={"fields": self._association.peer()})
        except MalformedDataSet as error:
            metrics.LIMITED.labels("nesting").inc(isinstance(error, NestedTooDeep))
            malformed = Response(dimse.failure_status(command.field), comment=str(error))
            self._conclude(answers, command.field, malformed, started)
        except Refused as refused:
            self._conclude(answers, command.field, refused.response, started)
        except Exception as error:  # noqa: BLE001 - whatever it is: logged, and answered as a failure
            log_failure(logger, "operation failed", error, self._association.peer())
            failure = Response(dimse.failure_status(command.field), comment="Internal error")
            self._conclude(answers, command.field, failure, started)
        finally:
            if close := getattr(responses, "close", None):
                close()
            self._current = None
        if self.ending is not None:
            raise self.ending
        if not answers.final:
            status = Status.CANCEL if request.cancelled else dimse.failure_status(command.field)
            self._conclude(answers, command.field, Response(status), started)

    def _begun(self, operation: Collected, request: Request) -> Iterable[Response]:
        if operation.walked:
            check_nesting(request.data, request.context.transfer_syntax, self._association.limits.nesting)
        return operation.run(self._association, request)

    def _conclude(self, answers: _Answers, field: int, response: Response, started: float) -> None:
        if answers.final:
            return
        answers.add(response)
        self._count(field, response.status, started)

    def _count(self, field: int, status: int, started: float) -> None:
        self.answered += 1
        messages, seconds = _figures_of(dimse.name_of(field), status)
        messages.inc()
        seconds.observe(time.perf_counter() - started)

    def _send_final(self, incoming: Incoming, response: Response, started: float) -> None:
        command = incoming.command
        association = self._association
        association.connection.deadline = NEVER
        encoded = dimse.encode_response(command, response)
        association.send(p_data(incoming.context.context_id, COMMAND, encoded, association.peer_max_pdu))
        self._count(command.field, response.status, started)


class _Answers:
    """The responses to one request: small ones share a segment, the first and the last never wait."""

    def __init__(self, association: Association, incoming: Incoming) -> None:
        self.final = False
        self._association = association
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
        max_pdu = self._association.peer_max_pdu
        self._buffer += p_data(self._context_id, COMMAND, self._encoded(response, final=final), max_pdu)
        self.final = final
        if response.data is not None:
            self._buffer += p_data(self._context_id, 0, response.data, max_pdu)
        now = time.monotonic()
        if self.final or len(self._buffer) >= _BATCH_BYTES or now - self._flushed > _BATCH_SECONDS:
            self._association.send(self._buffer)
            self._buffer.clear()
            self._flushed = now
            if not self.final:
                self._association.poll()
        return self.final

    def _encoded(self, response: Response, *, final: bool) -> bytes:
        if final or response.comment or response.offending or response.elements or response.error_id is not None:
            return dimse.encode_response(self._command, response)
        key = response.status, response.data is None
        encoded = self._pending_commands.get(key)
        if encoded is None:
            encoded = self._pending_commands[key] = dimse.encode_response(self._command, response)
        return encoded
