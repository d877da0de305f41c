"""One DIMSE message on its way in: fragments become a command set, and a data set that is collected or streamed."""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING

from dicom_listener import dimse, metrics
from dicom_listener.pdu import COMMAND, LAST, AbortReason, ProtocolViolation
from dicom_listener.service import Collected, Context, Refused, Request, Response, Sink, Streamed
from gateway_settings.log import log_failure

if TYPE_CHECKING:
    from dicom_listener.link import Link
    from dicom_listener.service import AcceptedAssociation
    from dicom_listener.shared import Shared

logger = logging.getLogger(__name__)


class Incoming:
    """A message that is being received in one presentation context (PS3.7 §6.3, PS3.8 Annex E).

    A data set that cannot be taken is still read to its end, and dropped: only then can a response say so.
    """

    command: dimse.Command
    """Set once :attr:`command_complete`."""
    until: float
    """When it has to be complete, if it is collected in memory; by :func:`time.monotonic`."""

    __slots__ = (
        "_association",
        "_command_set",
        "_limit",
        "_link",
        "_reserved",
        "_shared",
        "cancelled",
        "command",
        "command_complete",
        "complete",
        "context",
        "data",
        "failure",
        "is_streamed",
        "sink",
        "until",
    )

    def __init__(self, context: Context, association: AcceptedAssociation, link: Link, shared: Shared) -> None:
        self.context = context
        self.command_complete = False
        self.complete = False
        self.cancelled = False
        self.data = bytearray()
        self.is_streamed = False
        self.sink: Sink | None = None
        self.failure: Response | None = None
        self._association = association
        self._link = link
        self._shared = shared
        self._command_set = bytearray()
        self._limit = shared.limits.identifier
        self._reserved = 0
        self.until = time.monotonic() + shared.limits.idle

    def fragment(self, context_id: int, control: int, size: int) -> None:
        """Take the next PDV of ``size`` bytes from the connection; ``control`` is its message control header."""
        if context_id != self.context.context_id:
            raise ProtocolViolation(AbortReason.UNEXPECTED_PARAMETER, "one message in two presentation contexts")
        if control & COMMAND:
            self._command_fragment(size, last=bool(control & LAST))
            return
        if not self.command_complete:
            raise ProtocolViolation(AbortReason.UNEXPECTED_PARAMETER, "data set before the command set is complete")
        self._link.stream(size, self._deliver)
        self.complete = bool(control & LAST)

    def _command_fragment(self, size: int, *, last: bool) -> None:
        if self.command_complete:
            raise ProtocolViolation(AbortReason.UNEXPECTED_PARAMETER, "command set where a data set is due")
        if len(self._command_set) + size > self._shared.limits.command_set:
            metrics.LIMITED.labels("command_set").inc()
            raise ProtocolViolation(AbortReason.INVALID_PARAMETER, "command set is too long")
        self._link.stream(size, self._command_set.extend)
        if last:
            self._command_complete()

    def _command_complete(self) -> None:
        try:
            command = dimse.decode(self._command_set)
        except dimse.MalformedCommand as error:
            raise ProtocolViolation(AbortReason.INVALID_PARAMETER, f"command set: {error}") from error
        self.command = command
        self.command_complete = True
        self.complete = not command.has_data_set
        operation = self._shared.service.operations.get(command.field)
        if isinstance(operation, Collected) and operation.max_bytes is not None:
            self._limit = operation.max_bytes
        if isinstance(operation, Streamed) and command.has_data_set:
            self.is_streamed = True
            self._open(operation)

    def _open(self, operation: Streamed) -> None:
        try:
            self.sink = operation.open(self._association, self.request())
        except Exception as error:  # noqa: BLE001 - whatever it is: logged, and answered as a failure
            self._fail(error)

    def request(self) -> Request:
        """Return the request for its operation; the data set moves into it."""
        data, self.data = bytes(self.data), bytearray()
        return Request(self.command, self.context, data, self.cancelled)

    def _deliver(self, piece: memoryview) -> None:
        if self.failure is not None:
            return
        if self.sink is not None:
            try:
                self.sink.write(piece)
            except Exception as error:  # noqa: BLE001 - the same
                self._fail(error)
            return
        if len(self.data) + len(piece) > self._limit:
            self._refuse("identifier", f"Data set is longer than {self._limit} bytes")
        elif not self._shared.seats.memory.reserve(self._association.address, len(piece)):
            self._refuse("messages", "No memory for another data set, for now")
        else:
            self._reserved += len(piece)
            self.data.extend(piece)

    def _refuse(self, limit: str, comment: str) -> None:
        metrics.LIMITED.labels(limit).inc()
        self.release()
        self.failure = Response(dimse.too_large_status(self.command.field), comment=comment)

    def release(self) -> None:
        """Give back the memory of the data set, which is no longer needed."""
        reserved, self._reserved = self._reserved, 0
        self.data = bytearray()
        if reserved:
            self._shared.seats.memory.release(self._association.address, reserved)

    def finish(self) -> Response:
        """End a streamed message; return the response of its sink, or the failure."""
        if self.failure is None and self.sink is not None:
            try:
                response = self.sink.finish()
            except Exception as error:  # noqa: BLE001 - the same
                self._fail(error)
            else:
                self.sink = None
                return response
        return self.failure or Response(dimse.failure_status(self.command.field))

    def abandon(self) -> None:
        """No response will say success: the sink leaves no trace."""
        self.release()
        sink, self.sink = self.sink, None
        if sink is not None:
            sink.abandon()

    def _fail(self, error: Exception) -> None:
        if isinstance(error, Refused):
            self.failure = error.response
        else:
            log_failure(logger, "streamed operation failed", error, self._association.peer())
            self.failure = Response(dimse.failure_status(self.command.field), comment="Internal error")
        self.abandon()
