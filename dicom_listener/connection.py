"""One transport connection: a blocking socket behind one large buffer that is reused for everything received.

The thread that owns a connection blocks in ``recv_into`` with no time-out of its own, until another thread calls
:meth:`Connection.expire`, :meth:`Connection.stop_if_idle` or :meth:`Connection.cut`. The module
:mod:`dicom_listener.link` decides when it is due.
"""

from __future__ import annotations

import contextlib
import mmap
import select
import socket
import ssl
import threading
from enum import Enum
from typing import TYPE_CHECKING

from dicom_listener.pdu import Ending

if TYPE_CHECKING:
    from collections.abc import Callable

BUFFER_SIZE = 256 * 1024
"""Bytes of the receive buffer: what one ``recv_into`` can take, whatever the size of a PDU."""


class PeerClosed(Ending):
    """The peer closed the connection or it broke."""


class Expired(Ending):
    """The peer took longer than a limit allows."""


class Stopped(Ending):
    """The connection was idle when the server was told to stop."""


class _Ending(Enum):
    EXPIRED = 1
    STOPPED = 2


_ENDINGS: dict[_Ending | None, type[Ending]] = {
    _Ending.EXPIRED: Expired,
    _Ending.STOPPED: Stopped,
    None: PeerClosed,
}


class Connection:
    """A connected socket; one thread reads and writes, another may call :meth:`expire` and :meth:`stop_if_idle`."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        # of an anonymous mapping only those pages take memory that were written to: few, on a quiet association
        self._view = memoryview(mmap.mmap(-1, BUFFER_SIZE))
        self._start = 0
        self._end = 0
        self._idle = False
        self._ending: _Ending | None = None
        self._lock = threading.Lock()

    # -- receiving

    def _fill(self) -> None:
        """Receive at least one byte, and append it to the buffer."""
        if self._start == self._end:
            self._start = self._end = 0
        elif self._end == BUFFER_SIZE:
            rest = self._end - self._start
            self._view[:rest] = self._view[self._start : self._end]
            self._start, self._end = 0, rest
        try:
            count = self._sock.recv_into(self._view[self._end :])
        except OSError as error:
            raise self._ended() from error
        if not count:
            raise self._ended()
        self._end += count

    def _ended(self) -> Ending:
        return _ENDINGS[self._ending]()

    @property
    def stopped(self) -> bool:
        """Whether the server was told to stop: the connection ends when it is idle next."""
        return self._ending is _Ending.STOPPED

    def _fill_rest(self) -> None:
        """Receive more of what has begun.

        The acknowledgement goes out now instead of some 40 ms later: a peer with Nagle's algorithm on holds its next
        small segment back until then. The option is not sticky, so that it is set each time.
        """
        with contextlib.suppress(OSError):  # a broken connection shows at the read, where it is handled
            self._sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)
        self._fill()

    def wait_for_input(self) -> None:
        """Wait for the first byte of the next PDU, as an idle connection that may be stopped."""
        if self._start < self._end:
            return
        with self._lock:
            if self.stopped:
                raise Stopped
            self._idle = True
        try:
            self._fill()
        finally:
            with self._lock:
                self._idle = False
        if self.stopped:
            raise Stopped

    def take(self, count: int) -> memoryview:
        """Return the next ``count`` bytes, at most the buffer's size; valid until the next call that receives."""
        while self._end - self._start < count:
            self._fill_rest()
        begin = self._start
        self._start += count
        return self._view[begin : self._start]

    def stream(self, count: int, deliver: Callable[[memoryview], object]) -> None:
        """Hand the next ``count`` bytes to ``deliver``, piece by piece as they arrive."""
        while count:
            available = self._end - self._start
            if not available:
                self._fill_rest()
                available = self._end - self._start
            size = min(count, available)
            begin = self._start
            self._start += size
            count -= size
            deliver(self._view[begin : self._start])

    def drain(self) -> None:
        """Drop whatever comes until the connection ends, with one of the exceptions above."""
        while True:
            self._start = self._end
            self._fill()

    def await_input(self, seconds: float) -> None:
        """Wait until something is received or the connection ends, ``seconds`` at most."""
        if not self.has_input():
            waiting = select.poll()
            waiting.register(self._sock, select.POLLIN)
            waiting.poll(seconds * 1000)

    def has_input(self) -> bool:
        """Tell, without waiting, whether there are bytes that have not been taken."""
        if self._start < self._end:
            return True
        if isinstance(self._sock, ssl.SSLSocket):
            return self._has_encrypted_input(self._sock)
        try:
            # recv of the plain socket, which takes flags; the connection's end counts as input: the next read shows it
            socket.socket.recv(self._sock, 1, socket.MSG_PEEK | socket.MSG_DONTWAIT)
        except BlockingIOError:
            return False
        except OSError as error:
            raise self._ended() from error
        return True

    def _has_encrypted_input(self, sock: ssl.SSLSocket) -> bool:
        # a TLS record may be incomplete, or hold no application data (a key update): only reading shows
        sock.setblocking(False)
        try:
            count = sock.recv_into(self._view)
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
            return False
        except OSError as error:
            raise self._ended() from error
        finally:
            sock.setblocking(True)
        if not count:
            raise self._ended()
        self._start, self._end = 0, count
        return True

    # -- sending and ending

    def write(self, data: bytes | bytearray) -> None:
        """Send all of ``data``."""
        try:
            self._sock.sendall(data)
        except OSError as error:
            raise self._ended() from error

    def expire(self) -> None:
        """End the owner's blocked call with :class:`Expired`. Sending stays possible where receiving blocked."""
        with self._lock:
            if self._ending is _Ending.EXPIRED:  # for the second time: the owner blocks in sending
                how = socket.SHUT_RDWR
            else:
                self._ending = _Ending.EXPIRED
                how = socket.SHUT_RD
            self._shutdown(how)

    def stop_if_idle(self) -> None:
        """Wake the owner with :class:`Stopped` if it waits between two messages; otherwise at its next wait."""
        with self._lock:
            if self._ending is None:
                self._ending = _Ending.STOPPED
            if self._idle:
                self._shutdown(socket.SHUT_RD)

    def cut(self) -> None:
        """End the connection at once, while its owner may be at work with it."""
        with self._lock:
            self._shutdown(socket.SHUT_RDWR)

    def _shutdown(self, how: int) -> None:
        with contextlib.suppress(OSError):  # already ended by the peer
            # of the plain socket: that of an SSLSocket would take the TLS state away under the owner
            socket.socket.shutdown(self._sock, how)

    def finish_sending(self) -> None:
        """Tell the peer that nothing more comes, so that what was sent last is not lost to a reset."""
        self._shutdown(socket.SHUT_WR)

    def close(self) -> None:
        with self._lock:  # the descriptor may be another connection's the moment after
            self._sock.close()
