"""The contract between the listener and a service: the operations of the one, the associations of the other."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from dicom_listener.access import AccessRule
    from dicom_listener.config import Limits
    from dicom_listener.dimse import Command, CommandField


@dataclass(frozen=True, slots=True)
class Context:
    """An accepted presentation context (PS3.8 §7.1.1.13).

    ``context_id`` is odd, 1 to 255; ``abstract_syntax`` and ``transfer_syntax`` are UIDs.
    """

    context_id: int
    abstract_syntax: str
    transfer_syntax: str


@dataclass(slots=True)
class Request:
    """A DIMSE request (PS3.7 §9.1, §10.1) as it arrived.

    ``command`` holds the command set; ``data`` the encoded data set in the context's transfer syntax, empty when the
    message had none and for a streamed operation, whose data set goes to its :class:`Sink`. ``cancelled`` becomes true
    when a C-CANCEL for this request was received.
    """

    command: Command
    context: Context
    data: bytes = b""
    cancelled: bool = False


@dataclass(slots=True)
class Response:
    """One DIMSE response. The listener fills in message ID, command field and the affected SOP class and instance.

    ``status`` is (0000,0900); ``data`` an encoded data set in the context's transfer syntax, or None. ``comment`` is
    the Error Comment (0000,0902), LO, cut to 64 characters; ``error_id`` (0000,0903); ``offending`` the tags of
    Offending Element (0000,0901). ``elements`` sets or replaces further command elements, keyword to value, as
    ``{"AffectedSOPInstanceUID": uid}`` (PS3.7 Annex C and E).
    """

    status: int
    data: bytes | None = None
    comment: str = ""
    error_id: int | None = None
    offending: tuple[int, ...] = ()
    elements: Mapping[str, str | int | tuple[int, ...]] = field(default_factory=dict)


class Refused(Exception):
    """The operation is refused, and :attr:`response` is sent.

    Raised by an operation or a sink. ``comment`` goes to the peer: it names the error, and no patient.
    """

    def __init__(
        self, status: int, comment: str = "", *, error_id: int | None = None, offending: tuple[int, ...] = ()
    ) -> None:
        super().__init__(f"{status:04X} {comment}")
        self.response = Response(status, comment=comment, error_id=error_id, offending=offending)


class PeerEnding(Exception):
    """The peer released or aborted the association instead of answering a request of the service's."""


class AcceptedAssociation(Protocol):
    """All that a service may use of an association. The attributes are set when it is accepted, and stay.

    ``id`` is unique within the process; ``address`` is the peer's IP address; the AE titles come without padding.
    ``limits`` are those of the listener. ``is_own_health_check``: the health check of this very service opened it.
    """

    @property
    def id(self) -> int: ...

    @property
    def address(self) -> str: ...

    @property
    def calling_ae(self) -> str: ...

    @property
    def called_ae(self) -> str: ...

    @property
    def is_own_health_check(self) -> bool: ...

    @property
    def limits(self) -> Limits: ...

    @property
    def has_waiting(self) -> bool:
        """Whether another request waits until the operation at work is done."""

    @property
    def is_stopping(self) -> bool:
        """Whether the listener was told to stop: the association ends when it is idle next."""

    def peer(self, **more: object) -> dict[str, object]:
        """Return the structured fields that name the peer in a log line, followed by ``more``."""

    def poll(self, seconds: float = 0) -> None:
        """Receive what the peer has sent; when it has sent nothing, wait for it, ``seconds`` at most.

        Called by an operation while it works: a C-CANCEL shows in ``request.cancelled``, the next request in
        :attr:`has_waiting`. What ends the association is raised, and not the operation's to handle.
        """

    def request(
        self, field: CommandField, context: Context, elements: Mapping[str, str | int], data: bytes | None = None
    ) -> tuple[Command, bytes]:
        """Send a request to the peer and return its response: command set and encoded data set.

        Called by an operation that has sent its final response, as for an N-EVENT-REPORT on the same association
        (PS3.4 §J.3.3). ``elements`` are command elements, keyword to value.

        :raises PeerEnding: when the peer ends the association instead; it is not the operation's to handle.
        """


class Sink(Protocol):
    """Where the data set of one streamed request goes, fragment by fragment.

    After :meth:`write` or :meth:`finish` raised, the rest of the data set is read from the network and dropped,
    :meth:`abandon` is called, and the failure is answered. Exactly one of a successful ``finish`` and ``abandon`` ends
    a sink's life; neither is called twice.
    """

    def write(self, fragment: memoryview) -> None:
        """Take a fragment. The memory is reused after the call: keep a copy, never the view."""

    def finish(self) -> Response:
        """The data set is complete: make it durable, then say so."""

    def abandon(self) -> None:
        """No response will say success: leave no trace. Must not raise."""


class CollectedOperation(Protocol):
    """An operation whose data set is small: it is collected in memory, within the identifier size limit."""

    def __call__(self, association: AcceptedAssociation, request: Request) -> Iterable[Response]:
        """Yield every response, the final one last.

        Each response is sent as it is yielded (several small ones may share a segment; the first never waits). After a
        C-CANCEL the listener sets ``request.cancelled``, closes the iterator and answers FE00 itself. :class:`Refused`
        becomes the final response; any other exception is logged and answered as a failure, without its text.
        """


class StreamedOperation(Protocol):
    """An operation whose data set may be of any size: it never is in memory as a whole."""

    def __call__(self, association: AcceptedAssociation, request: Request) -> Sink:
        """Called when the command set is complete, before any of the data set.

        :raises Refused: when the operation is not to be.
        """


@dataclass(frozen=True, slots=True)
class Collected:
    """``max_bytes`` is the longest data set, None: the limit on identifiers. ``walked`` is False for an operation that
    checks the nesting of its data set itself, or reads nothing recursively in this process.
    """

    run: CollectedOperation
    max_bytes: int | None = None
    walked: bool = True


@dataclass(frozen=True, slots=True)
class Streamed:
    open: StreamedOperation


@dataclass(frozen=True, slots=True)
class Service:
    """The operations of one process, and the rule on who may call them.

    ``transfer_syntaxes(abstract_syntax, proposed)`` gives those transfer syntaxes out of ``proposed`` that are
    acceptable for an abstract syntax, best first; None when the abstract syntax is not supported at all. ``operations``
    maps a command field (:class:`dicom_listener.dimse.CommandField`) to its operation; C-ECHO and C-CANCEL are the
    listener's own.
    ``association_ended`` is called once for every association that was accepted, however it ended.
    """

    transfer_syntaxes: Callable[[str, tuple[str, ...]], tuple[str, ...] | None]
    operations: Mapping[int, Collected | Streamed]
    access: AccessRule
    extended_negotiation: Callable[[str, bytes], bytes | None] | None = None
    """Answers a SOP Class Extended Negotiation (PS3.7 §D.3.3.5): SOP class and requestor's information in, ours out.
    For Query/Retrieve (PS3.4 §C.5)."""
    reload: Callable[[], None] | None = None
    """Called in each worker's main thread on SIGHUP."""
    association_ended: Callable[[AcceptedAssociation], None] | None = None
    echoed: Callable[[AcceptedAssociation], None] | None = None
    """Called when a C-ECHO has been answered, by the association's thread: it neither waits nor raises."""
    scu_roles: frozenset[str] = frozenset()
    """Abstract syntaxes for which the role selection may make the requestor an SCP and this side the SCU, or keep the
    default while this side sends requests of its own (PS3.7 §D.3.3.4)."""
