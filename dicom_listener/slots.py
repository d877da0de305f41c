"""Numbered places in memory that all worker processes share: limits that hold for the port, not for a process.

Each place is free or has the peer's address and the worker that holds it. Taking one is exclusive across processes by a
file lock, which the kernel frees when its holder is killed; giving one back is a single store.
"""

from __future__ import annotations

import fcntl
import mmap
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from enum import Enum, auto

_FREE = 0
_HASH_MASK = (1 << 64) - 1


class Full(Enum):
    """Why there is no place: none at all, or none for this address."""

    ALL = auto()
    ADDRESS = auto()


class Slots:
    """``count`` places, at most ``per_address`` for one address. Made before the fork; ``worker`` is this process."""

    def __init__(self, count: int, per_address: int) -> None:
        self.worker = 0
        self._per_address = per_address
        memory = memoryview(mmap.mmap(-1, 10 * count))
        self._addresses = memory[: 8 * count].cast("Q")
        self._owners = memory[8 * count :].cast("H")
        self._file = tempfile.TemporaryFile()  # noqa: SIM115 - open as long as the process lives
        self._threads = threading.Lock()

    def close(self) -> None:
        self._file.close()

    @contextmanager
    def _exclusive(self) -> Iterator[None]:
        # a POSIX lock belongs to the process, hence the second lock among its threads
        with self._threads:
            fcntl.lockf(self._file, fcntl.LOCK_EX)
            try:
                yield
            finally:
                fcntl.lockf(self._file, fcntl.LOCK_UN)

    def take(self, address: str) -> int | Full:
        """Take a place for a peer with this address, and return its number."""
        key = hash(address) & _HASH_MASK | 1  # the same in all workers: they are forks of one process
        with self._exclusive():
            held = self._addresses.tolist()
            if _FREE not in held:
                return Full.ALL
            if held.count(key) >= self._per_address:
                return Full.ADDRESS
            place = held.index(_FREE)
            # in this order, so that the place is still free when the process dies between the two
            self._owners[place] = self.worker + 1
            self._addresses[place] = key
        return place

    def free(self, place: int) -> None:
        """Give a place back."""
        self._addresses[place] = _FREE

    def clear(self, worker: int) -> None:
        """Free what a dead worker held."""
        for place, owner in enumerate(self._owners.tolist()):
            if owner == worker + 1:
                self._addresses[place] = _FREE

    def taken(self) -> int:
        """Return how many places are taken, over all workers."""
        return len(self._addresses) - self._addresses.tolist().count(_FREE)
