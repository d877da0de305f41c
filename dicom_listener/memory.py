"""The bytes of all messages that are collected in memory, over all workers: one budget.

Each worker writes its own sums in shared memory and reads everybody's, without a lock between processes: two that
reserve at the same moment may together exceed the limit by what one of them has just received.
"""

from __future__ import annotations

import mmap
import threading

_BUCKETS = 256
"""Addresses are counted in this many buckets; those in one bucket count as one address."""


class MessageMemory:
    """``limit`` bytes, half of them at most for one address. Made before the fork; ``worker`` is this process."""

    def __init__(self, limit: int, workers: int) -> None:
        self.worker = 0
        self._limit = limit
        self._per_address = limit // 2
        self._sums = memoryview(mmap.mmap(-1, 8 * workers * (_BUCKETS + 1))).cast("Q")
        self._lock = threading.Lock()

    def reserve(self, address: str, size: int) -> bool:
        """Count ``size`` more bytes of a message from this address; tell whether there is room for them."""
        bucket = hash(address) % _BUCKETS  # the same in all workers: they are forks of one process
        mine = self.worker * (_BUCKETS + 1)
        with self._lock:
            if sum(self._sums[_BUCKETS :: _BUCKETS + 1]) + size > self._limit:
                return False
            if sum(self._sums[bucket :: _BUCKETS + 1]) + size > self._per_address:
                return False
            self._sums[mine + bucket] += size
            self._sums[mine + _BUCKETS] += size
        return True

    def release(self, address: str, size: int) -> None:
        """Give back what was reserved."""
        mine = self.worker * (_BUCKETS + 1)
        with self._lock:
            self._sums[mine + hash(address) % _BUCKETS] -= size
            self._sums[mine + _BUCKETS] -= size

    def clear(self, worker: int) -> None:
        """Forget what a dead worker held."""
        for number in range(worker * (_BUCKETS + 1), (worker + 1) * (_BUCKETS + 1)):
            self._sums[number] = 0

    def used(self) -> int:
        """Return how many bytes are reserved now, over all workers."""
        return sum(self._sums[_BUCKETS :: _BUCKETS + 1])
