"""Who writes next, where only one can: threads of one process go in the order in which they came.

SQLite has one lock for writing. Whoever finds it taken sleeps and tries again, for longer each time, and is overtaken
by whoever comes by in the right moment: some wait for seconds while the lock is free half of the time.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager

from django.db import connection


class FairLock:
    """A lock that is handed on to the one that has waited longest."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._taken = False
        self._waiting: deque[threading.Lock] = deque()

    @contextmanager
    def turn(self) -> Iterator[None]:
        """Wait for one's turn, and hold it."""
        with self._lock:
            mine = threading.Lock()
            if self._taken:
                mine.acquire()
                self._waiting.append(mine)
            self._taken = True
        mine.acquire()
        try:
            yield
        finally:
            with self._lock:
                if self._waiting:
                    self._waiting.popleft().release()
                else:
                    self._taken = False


_TURNS = FairLock()


@contextmanager
def writing() -> Iterator[None]:
    """Wait until no other thread of this process writes an entry, where the database can't have two at once.

    Whoever is in a transaction has the database's lock already, and waits for nobody.
    """
    if connection.vendor != "sqlite" or connection.in_atomic_block:
        yield
        return
    with _TURNS.turn():
        yield
