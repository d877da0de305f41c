"""From a complete request to its responses: runs the operation, sends what it yields, honours C-CANCEL."""

from __future__ import annotations

import logging
import time
from functools import cache
from typing import TYPE_CHECKING

from dicom_encoding.faults import MalformedDataSet, NestedTooDeep
from dicom_encoding.statuses import Status
from dicom_encoding.syntaxes import DEFLATED
from dicom_encoding.walk import check_nesting
from dicom_listener import dimse, metrics
from dicom_listener.answers import Answers, encode_response
from dicom_listener.dimse import CommandField
from dicom_listener.pdu import COMMAND, Ending, p_data
from dicom_listener.service import Collected, PeerEnding, Refused, Request, Response
from gateway_settings.log import log_failure

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from prometheus_client import Counter, Histogram

    from dicom_listener.link import Link
    from dicom_listener.message import Incoming
    from dicom_listener.service import AcceptedAssociation
    from dicom_listener.shared import Shared

logger = logging.getLogger(__name__)


@cache
def _figures_of(name: str, status: int) -> tuple[Counter, Histogram]:
    """Return the counter and the histogram of one kind of answer: looking them up costs more than counting."""
    return metrics.MESSAGES.labels(name, f"{status:04X}"), metrics.OPERATION_SECONDS.labels(name)


class Exchange:
    """The operations of one association, one at a time."""

    def __init__(self, association: AcceptedAssociation, link: Link, shared: Shared) -> None:
        self.answered = 0
        self.ending: Ending | None = None
        self._association = association
        self._link = link
        self._service = shared.service
        self._nesting = shared.limits.nesting
        self._current: Request | None = None

    def cancel(self, message_id: int) -> None:
        """Mark the request at work as cancelled, if it has this message ID."""
        if self._current is not None and self._current.command.message_id == message_id:
            self._current.cancelled = True

    def streamed(self, incoming: Incoming) -> None:
        """Answer a streamed request whose data set is complete."""
        started = time.perf_counter()
        response = incoming.finish()
        self._send_final(incoming, response, started)

    def collected(self, incoming: Incoming) -> None:
        """Run a request that is complete in memory and send its responses."""
        self._link.stop_clock()
        try:
            self._answer(incoming)
        finally:
            incoming.release()

    def _answer(self, incoming: Incoming) -> None:
        command = incoming.command
        started = time.perf_counter()
        operation = self._service.operations.get(command.field)
        if incoming.failure is not None:
            self._send_final(incoming, incoming.failure, started)
        elif command.field == CommandField.C_ECHO_RQ:
            self._send_final(incoming, Response(Status.SUCCESS), started)
            if self._service.echoed:
                self._service.echoed(self._association)
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
        request = self._current = incoming.request()
        answers = Answers(self._association, self._link, incoming)
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
        except Refused as error:
            self._conclude(answers, command.field, error.response, started)
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
        syntax = request.context.transfer_syntax
        if operation.walked and syntax not in DEFLATED:  # who inflates it looks then
            check_nesting(request.data, syntax, self._nesting)
        return operation.run(self._association, request)

    def _conclude(self, answers: Answers, field: int, response: Response, started: float) -> None:
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
        command, link = incoming.command, self._link
        encoded = encode_response(command, response)
        link.send(p_data(incoming.context.context_id, COMMAND, encoded, link.peer_max_pdu))
        self._count(command.field, response.status, started)
