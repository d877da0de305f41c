"""New connections, until they have asked for an association: received by the accept loop, without a thread.

Whatever a peer does before its A-ASSOCIATE-RQ is complete (nothing, half a request, a TLS handshake that it never ends)
costs a place in the lobby, and of time what the standard's ARTIM timer allows (PS3.8 §9.1.5).
"""

from __future__ import annotations

import contextlib
import logging
import selectors
import socket
import ssl
import time
from typing import TYPE_CHECKING

from dicom_listener import metrics
from dicom_listener.pdu import HEADER, PduType
from dicom_listener.proposal import MAX_REQUEST_LENGTH

if TYPE_CHECKING:
    from collections.abc import Callable

    from dicom_listener.lobby import Lobby

logger = logging.getLogger(__name__)

_ABORT_LENGTH = 4
_PIECE = 16 * 1024
_MAX_BYTES = 32 * 1024 * 1024
"""Of all unfinished requests together: a hundred of the longest, tens of thousands of the usual ones."""


def missing(data: bytes | bytearray) -> int:
    """Return how many more bytes an A-ASSOCIATE-RQ needs at least; 0 when it is complete, or will not be accepted."""
    if len(data) < HEADER.size:
        return HEADER.size - len(data)
    kind, length = HEADER.unpack_from(data)
    if kind == PduType.ABORT and length == _ABORT_LENGTH:
        # an A-ABORT is read to its end, too: closing with unread bytes would reset the connection
        return HEADER.size + _ABORT_LENGTH - len(data)
    if kind != PduType.ASSOCIATE_RQ or length > MAX_REQUEST_LENGTH:
        return 0
    return HEADER.size + int(length) - len(data)


class Arrival:
    """A connection that has not asked for an association yet. ``data`` is what it has sent.

    Its time ends at ``until``, by :func:`time.monotonic`.
    """

    def __init__(self, sock: socket.socket, address: str, port: int, *, until: float,
                 evict: Callable[[Arrival], None], tls: ssl.SSLContext | None) -> None:  # fmt: skip
        self.sock = sock
        self.address = address
        self.port = port
        self.until = until
        self.place: int | None = None
        self.data = bytearray()
        self.has_spoken = False
        self._evict = evict
        self._shaking_hands = tls is not None
        sock.setblocking(False)
        if tls is not None:
            self.sock = tls.wrap_socket(sock, server_side=True, do_handshake_on_connect=False)

    def evict(self) -> None:
        self._evict(self)

    def advance(self) -> int:
        """Receive the bytes that are there; return the event to wait for next, 0 when the request is complete.

        :raises OSError: when the connection ended (among them :class:`ssl.SSLError`).
        """
        try:
            if self._shaking_hands and isinstance(self.sock, ssl.SSLSocket):
                self.has_spoken = True
                self.sock.do_handshake()
                self._shaking_hands = False
            while wanted := missing(self.data):
                piece = self.sock.recv(min(wanted, _PIECE))
                if not piece:
                    raise ConnectionResetError("closed by the peer")
                self.has_spoken = True
                self.data += piece
        except (BlockingIOError, ssl.SSLWantReadError):
            if self.data:
                # the rest comes at once also from a peer with Nagle's algorithm on (see Connection)
                with contextlib.suppress(OSError):
                    self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)
            return selectors.EVENT_READ
        except ssl.SSLWantWriteError:
            return selectors.EVENT_WRITE
        return 0


class Reception:
    """The arrivals of one worker, on the accept loop's selector; ``hand_over`` is called with each that is complete."""

    def __init__(self, selector: selectors.BaseSelector, lobby: Lobby, first_pdu_seconds: float,
                 tls: ssl.SSLContext | None, hand_over: Callable[[Arrival], None]) -> None:  # fmt: skip
        self._selector = selector
        self._lobby = lobby
        self._seconds = first_pdu_seconds
        self._tls = tls
        self._hand_over = hand_over
        self._arrivals: dict[socket.socket, Arrival] = {}
        self._bytes = 0

    def __len__(self) -> int:
        return len(self._arrivals)

    def welcome(self, sock: socket.socket, address: str, port: int) -> None:
        """Receive from a new connection, if there is a place for it."""
        try:
            until = time.monotonic() + self._seconds
            arrival = Arrival(sock, address, port, until=until, evict=self._drop, tls=self._tls)
        except OSError:  # it was reset already
            sock.close()
            return
        if not self._lobby.enter(arrival):
            metrics.LIMITED.labels("waiting").inc()
            arrival.sock.close()
            return
        self._arrivals[arrival.sock] = arrival
        self._selector.register(arrival.sock, selectors.EVENT_READ, self._ready)

    def _ready(self, sock: socket.socket) -> None:
        arrival = self._arrivals.get(sock)
        if arrival is None:
            return  # it was dropped in this very turn
        before = len(arrival.data)
        try:
            event = arrival.advance()
        except OSError as error:
            self._log_end(arrival, error)
            self._drop(arrival)
            return
        self._bytes += len(arrival.data) - before
        if event:
            self._selector.modify(sock, event, self._ready)
            self._keep_within_bytes()
            return
        self._forget(arrival)
        sock.setblocking(True)
        self._hand_over(arrival)

    def _log_end(self, arrival: Arrival, error: OSError) -> None:
        fields = {"address": arrival.address}
        if isinstance(error, ssl.SSLError) and not isinstance(error, ssl.SSLEOFError):
            metrics.TLS_FAILED.inc()
            because = error.reason or type(error).__name__
            logger.info("TLS handshake failed", extra={"fields": {**fields, "because": because}})
        else:
            fields["because"] = type(error).__name__
            logger.debug("connection ended before an association", extra={"fields": fields})

    def _keep_within_bytes(self) -> None:
        while self._bytes > _MAX_BYTES:
            self._lobby.evict_one_of(arrival for arrival in self._arrivals.values() if arrival.data)

    def _forget(self, arrival: Arrival) -> None:
        del self._arrivals[arrival.sock]
        self._bytes -= len(arrival.data)
        self._selector.unregister(arrival.sock)

    def _drop(self, arrival: Arrival) -> None:
        self._forget(arrival)
        self._lobby.leave(arrival)
        arrival.sock.close()

    def watch(self, now: float) -> None:
        """Close those whose time is over: ARTIM expired in Sta2, nothing is sent (PS3.8 Table 9-10, AA-2)."""
        for arrival in [arrival for arrival in self._arrivals.values() if arrival.until < now]:
            metrics.LIMITED.labels("first_pdu").inc()
            if arrival.has_spoken:
                logger.info("no association request in time", extra={"fields": {"address": arrival.address}})
            self._drop(arrival)

    def close(self, *, silent_only: bool) -> None:
        """Close all arrivals, or only those that have sent nothing."""
        for arrival in list(self._arrivals.values()):
            if not (silent_only and arrival.has_spoken):
                self._drop(arrival)
