"""Connections without an association: counted by address, and ended, the oldest first, when places run out.

A connection is here while it is silent, while its request comes in, while that is judged, and after a rejection until
the peer has closed. However slow its peers are, one address has a few places, and the next peer always gets one.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterable
from typing import Protocol

from dicom_listener.slots import Full, Slots


class Visitor(Protocol):
    """A connection without an association. ``place`` is its own in the shared memory, None when it has none."""

    @property
    def address(self) -> str: ...

    place: int | None

    def evict(self) -> None:
        """End the connection at once, from the accept loop's thread."""


class Lobby:
    """The visitors of one process; :meth:`leave` may be called by any thread, all else by the accept loop's only."""

    def __init__(self, places: Slots, threads: int) -> None:
        self.evicted: Counter[str] = Counter()
        """Connections that were ended to make room, by address, since the server last reported them."""
        self._places = places
        self._most_threads = threads
        self._visitors: dict[Visitor, bool] = {}  # oldest first, and whether a thread serves them
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._visitors)

    def enter(self, visitor: Visitor) -> bool:
        """Take a place for a new connection; return whether there was one.

        When its address has too many connections, the oldest of them is ended. When all places are taken, the oldest of
        the address with most connections is.
        """
        while isinstance(place := self._places.take(visitor.address), Full):
            with self._lock:
                crowd = list(self._visitors)
            if place is Full.ADDRESS:
                crowd = [other for other in crowd if other.address == visitor.address]
            if not crowd:  # other workers have them
                return False
            self.evict_one_of(crowd)
        visitor.place = place
        with self._lock:
            self._visitors[visitor] = False
        return True

    def give_thread(self, visitor: Visitor, successor: Visitor) -> None:
        """Let a thread serve the connection from now on, as ``successor``; too many threads end the oldest of them."""
        with self._lock:
            served = [other for other, has_thread in self._visitors.items() if has_thread]
        if len(served) >= self._most_threads:
            self.evict_one_of(served)
        with self._lock:
            self._visitors.pop(visitor, None)
            successor.place, visitor.place = visitor.place, None
            self._visitors[successor] = True

    def leave(self, visitor: Visitor) -> None:
        """Give the place back; nothing happens when the visitor has none."""
        with self._lock:
            self._visitors.pop(visitor, None)
            place, visitor.place = visitor.place, None
        if place is not None:
            self._places.free(place)

    def evict_one_of(self, crowd: Iterable[Visitor]) -> None:
        """End the oldest connection of the address that has most of them."""
        crowd = list(crowd)
        [(address, _)] = Counter(visitor.address for visitor in crowd).most_common(1)
        oldest = next(visitor for visitor in crowd if visitor.address == address)
        self.evicted[address] += 1
        self.leave(oldest)
        oldest.evict()
