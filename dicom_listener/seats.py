"""Seats for associations in memory that all worker processes share: limits that hold for the port, not for a process.

Each seat is one slot with the worker that holds it and the peer's address. Taking one is exclusive across processes by
a file lock, which the kernel frees when its holder is killed; giving one back is a single store. When a worker dies,
the master frees its seats.
"""

from __future__ import annotations

import fcntl
import mmap
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Protocol

from dicom_listener.access import Reason, Rejected

if TYPE_CHECKING:
    from dicom_listener.config import Limits

_HASH_MASK = (1 << 64) - 1


class Seated(Protocol):
    """What takes a seat."""

    address: str
    seat: int | None


class Seats:
    """Made by the master before it forks; :attr:`worker` tells each process which one it is."""

    def __init__(self, limits: Limits, workers: int) -> None:
        self.worker = 0
        self._per_address = limits.associations_per_address
        count = limits.associations
        memory = memoryview(mmap.mmap(-1, 8 * (count + 2 * workers) + 2 * count))
        self._addresses = memory[: 8 * count].cast("Q")
        self._heartbeats = memory[8 * count : 8 * (count + workers)].cast("d")
        self._loads = memory[8 * (count + workers) : 8 * (count + 2 * workers)].cast("Q")
        self._owners = memory[8 * (count + 2 * workers) :].cast("H")
        self._file = tempfile.TemporaryFile()  # noqa: SIM115 - open as long as the process lives
        self._threads = threading.Lock()

    @contextmanager
    def _exclusive(self) -> Iterator[None]:
        # a POSIX lock belongs to the process, hence the second lock among its threads
        with self._threads:
            fcntl.lockf(self._file, fcntl.LOCK_EX)
            try:
                yield
            finally:
                fcntl.lockf(self._file, fcntl.LOCK_UN)

    def take(self, association: Seated) -> Rejected | None:
        """Take a seat for an association, or say why there is none."""
        key = hash(association.address) & _HASH_MASK  # the same in all workers: they are forks of one process
        with self._exclusive():
            owners = self._owners.tolist()
            if 0 not in owners:
                return Rejected(Reason.LOCAL_LIMIT, "too many associations")
            holders = zip(owners, self._addresses.tolist(), strict=True)
            if sum(1 for owner, address in holders if owner and address == key) >= self._per_address:
                return Rejected(Reason.LOCAL_LIMIT, "too many associations from this address")
            seat = owners.index(0)
            self._addresses[seat] = key
            self._owners[seat] = self.worker + 1
        association.seat = seat
        return None

    def leave(self, association: Seated) -> None:
        """Give a seat back; nothing happens when the association has none."""
        seat, association.seat = association.seat, None
        if seat is not None:
            self._owners[seat] = 0

    def clear(self, worker: int) -> None:
        """Free what a dead worker held."""
        for seat, owner in enumerate(self._owners.tolist()):
            if owner == worker + 1:
                self._owners[seat] = 0
        self._loads[worker] = 0
        self._heartbeats[worker] = 0.0

    def taken(self) -> int:
        """Return the number of associations open now, over all workers."""
        return sum(1 for owner in self._owners.tolist() if owner)

    # -- what workers tell each other and the health check

    def beat(self, connections: int) -> None:
        """Note that this worker's accept loop is alive, and how many connections it serves."""
        self._heartbeats[self.worker] = time.monotonic()
        self._loads[self.worker] = connections

    def note_load(self, connections: int) -> None:
        self._loads[self.worker] = connections

    def is_busiest(self) -> bool:
        """Tell whether another live worker serves fewer connections than this one."""
        mine = self._loads[self.worker]
        return any(beat and load < mine for beat, load in zip(self._heartbeats, self._loads, strict=True))

    def heartbeat_ages(self) -> list[float | None]:
        """Return seconds since each worker's last heartbeat, None for one that is not up."""
        now = time.monotonic()
        return [now - beat if beat else None for beat in self._heartbeats]
