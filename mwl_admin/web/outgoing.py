"""An answer on its way to the client: what the network does not take at once waits here, and no thread with it."""

from __future__ import annotations

import errno
import os
import socket
import tempfile
import threading
from collections import deque
from dataclasses import dataclass
from typing import IO

MEMORY_BYTES = 64 * 1024
"""What of an answer waits in memory; the rest of it in a file."""
_PIECE = 64 * 1024


class Budget:
    """Bytes in temporary files, of all connections together."""

    def __init__(self, total: int) -> None:
        self._lock = threading.Lock()
        self._left = total

    def take(self, size: int) -> None:
        """:raises OSError: ENOBUFS when so much is not left."""
        with self._lock:
            if size > self._left:
                raise OSError(errno.ENOBUFS, "too much waits for slow clients already")
            self._left -= size

    def give_back(self, size: int) -> None:
        with self._lock:
            self._left += size


@dataclass(slots=True)
class _Stretch:
    """Part of an open file."""

    descriptor: int
    position: int
    left: int


class Outgoing:
    """The part of a socket that gunicorn writes answers to. Nothing here ever waits.

    The thread that makes the answer writes, and hands the connection back before the event loop calls ``flush``.
    """

    def __init__(self, sock: socket.socket, budget: Budget) -> None:
        self._sock = sock
        self._budget = budget
        self._waiting: deque[bytes | _Stretch] = deque()
        self._in_memory = 0
        self._borrowed = 0
        self._spool: IO[bytes] | None = None
        self._spooled = 0
        self._files: list[int] = []
        self.sent = 0
        self.is_broken = False

    # --- what gunicorn calls

    def sendall(self, data: bytes) -> None:
        """Send what the network takes now and keep the rest.

        :raises OSError: when the client is gone or too much waits already.
        """
        try:
            if not self._waiting:
                data = data[self._send(data) :]
            if data:
                self._keep(bytes(data))
        except OSError:
            self.is_broken = True
            raise

    def send(self, data: bytes) -> int:
        self.sendall(data)
        return len(data)

    def sendfile(self, file: IO[bytes], offset: int = 0, count: int | None = None) -> int:
        """Send part of a file: it is read when the network takes it, also after the caller has closed it."""
        descriptor = os.dup(file.fileno())
        self._files.append(descriptor)
        size = os.fstat(descriptor).st_size - offset if count is None else count
        self._waiting.append(_Stretch(descriptor, offset, size))
        self.flush()
        return size

    def gettimeout(self) -> float:
        """Like a socket that never waits."""
        return 0.0

    def setblocking(self, flag: bool) -> None:
        """Change nothing: nobody may wait here."""

    def settimeout(self, seconds: float | None) -> None:
        """Change nothing: nobody may wait here."""

    def shutdown(self, how: int) -> None:
        """Refuse: how a connection ends is the event loop's."""
        raise OSError(errno.ENOTCONN, "the connection is ended elsewhere")

    def close(self) -> None:
        """Give the connection up: an answer broke off in the middle."""
        self.is_broken = True

    # --- what the event loop calls

    @property
    def is_empty(self) -> bool:
        return not self._waiting

    def flush(self) -> bool:
        """Send what the network takes; return whether all is sent.

        :raises OSError: when the client is gone.
        """
        while self._waiting:
            first = self._waiting[0]
            if isinstance(first, bytes):
                sent = self._send(first)
                self._in_memory -= sent
                rest = first[sent:]
                if rest:
                    self._waiting[0] = rest
                    return False
            elif first.left:
                data = os.pread(first.descriptor, min(first.left, _PIECE), first.position)
                if not data:
                    raise OSError(errno.EIO, "a file became shorter while it was sent")
                sent = self._send(data)
                first.position += sent
                first.left -= sent
                if sent < len(data):
                    return False
                if first.left:
                    continue
            self._waiting.popleft()
        self.discard()
        return True

    def discard(self) -> None:
        """Forget what waits, and what it takes."""
        self._waiting.clear()
        self._in_memory = 0
        for descriptor in self._files:
            os.close(descriptor)
        self._files.clear()
        if self._spool is not None:
            self._spool.close()
            self._spool = None
        self._spooled = 0
        self._budget.give_back(self._borrowed)
        self._borrowed = 0

    def _send(self, data: bytes) -> int:
        try:
            sent = self._sock.send(data)
        except (BlockingIOError, InterruptedError):
            return 0
        self.sent += sent
        return sent

    def _keep(self, data: bytes) -> None:
        if self._spool is None and self._in_memory + len(data) <= MEMORY_BYTES:
            self._waiting.append(data)
            self._in_memory += len(data)
            return
        self._budget.take(len(data))
        self._borrowed += len(data)
        if self._spool is None:
            # closed by `discard`; without a name, so that nothing stays behind
            self._spool = tempfile.TemporaryFile(buffering=0)  # noqa: SIM115
        self._spool.write(data)
        last = self._waiting[-1] if self._waiting else None
        if isinstance(last, _Stretch) and last.descriptor == self._spool.fileno():
            last.left += len(data)
        else:
            self._waiting.append(_Stretch(self._spool.fileno(), self._spooled, len(data)))
        self._spooled += len(data)
