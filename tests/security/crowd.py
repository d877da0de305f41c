"""Many slow clients of one address, and what everybody else notices of them."""

from __future__ import annotations

import contextlib
import select
import socket
import statistics
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import chain, repeat
from types import TracebackType
from typing import Self

from tests.pace import slowdown

ADDRESS = "127.0.0.2"
"""Whence they come; the others are at 127.0.0.1."""
_PACE_SECONDS = 0.05

Say = Callable[[socket.socket], bytes]


class Crowd:
    """``count`` connections to a port. Each does at once what ``begin`` does, then sends what that returned, drop by
    drop, over and over; one that is cut off comes again.
    """

    def __init__(self, port: int, count: int, begin: Say, *, host: str = "127.0.0.1") -> None:
        self._where = host, port
        self._count = count
        self._begin = begin
        self._ended = threading.Event()
        self.cut_off = 0
        self._members: list[tuple[socket.socket, Iterator[int]]] = []
        self._thread = threading.Thread(target=self._drip, name="crowd", daemon=True)

    def __enter__(self) -> Self:
        self._members = [self._come() for _ in range(self._count)]
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._ended.set()
        self._thread.join(60)
        for sock, _ in self._members:
            sock.close()

    def _come(self) -> tuple[socket.socket, Iterator[int]]:
        sock = socket.create_connection(self._where, 20, source_address=(ADDRESS, 0))
        rest = b""
        with contextlib.suppress(OSError):  # cut off already: the next round sees it
            rest = self._begin(sock)
        return sock, chain.from_iterable(repeat(rest)) if rest else iter(())

    def _drip(self) -> None:
        while not self._ended.wait(_PACE_SECONDS):
            for number, (sock, rest) in enumerate(self._members):
                if self._ended.is_set():
                    return
                try:
                    if (byte := next(rest, None)) is not None:
                        sock.send(bytes((byte,)), socket.MSG_DONTWAIT)
                    else:
                        self._is_open(sock)
                except BlockingIOError:
                    continue
                except OSError:
                    sock.close()
                    self.cut_off += 1
                    self._members[number] = self._come()

    @staticmethod
    def _is_open(sock: socket.socket) -> None:
        # what was received stays where it is: some of them never read
        poll = select.poll()
        poll.register(sock, select.POLLRDHUP)
        if poll.poll(0):
            raise ConnectionResetError


@contextmanager
def took_at_most(seconds: float, what: str) -> Iterator[Callable[[Callable[[], object]], None]]:
    """Measure several calls: half of them take no longer than ``seconds``, on a machine with nothing else to do."""
    taken: list[float] = []

    def measure(call: Callable[[], object]) -> None:
        started = time.monotonic()
        call()
        taken.append((time.monotonic() - started) / slowdown())

    yield measure
    assert statistics.median(taken) < seconds, f"{what}: {[round(one, 2) for one in taken]} s"
