"""What worker processes share: seats for associations, places for connections without one, memory, signs of life.

When a worker dies, the master frees what it held.
"""

from __future__ import annotations

import mmap
import time
from typing import TYPE_CHECKING, Protocol

from dicom_listener.access import Reason, Rejected
from dicom_listener.memory import MessageMemory
from dicom_listener.slots import Full, Slots

if TYPE_CHECKING:
    from dicom_listener.config import Limits

MAX_WAITING = 2000
"""Connections without an association, of all addresses: each costs a file descriptor and what it has sent."""

_NO_SEAT = {
    Full.ALL: Rejected(Reason.LOCAL_LIMIT, "too many associations"),
    Full.ADDRESS: Rejected(Reason.LOCAL_LIMIT, "too many associations from this address"),
}


class Seated(Protocol):
    """An association, as far as it has a seat."""

    address: str
    seat: int | None


class Seats:
    """Made by the master before it forks; :meth:`belong_to` tells each process which worker it is.

    ``waiting`` are the places of connections that have no association (:class:`dicom_listener.lobby.Lobby`),
    ``memory`` counts the bytes of messages.
    """

    def __init__(self, limits: Limits, workers: int) -> None:
        self.worker = 0
        self.waiting = Slots(MAX_WAITING, limits.waiting_per_address)
        self.memory = MessageMemory(limits.messages, workers)
        self._seats = Slots(limits.associations, limits.associations_per_address)
        memory = memoryview(mmap.mmap(-1, 16 * workers))
        self._heartbeats = memory[: 8 * workers].cast("d")
        self._loads = memory[8 * workers :].cast("Q")

    def belong_to(self, worker: int) -> None:
        """Note that this process is that worker."""
        self.worker = self.waiting.worker = self.memory.worker = self._seats.worker = worker

    def close(self) -> None:
        self.waiting.close()
        self._seats.close()

    def take(self, association: Seated) -> Rejected | None:
        """Take a seat for an association, or say why there is none."""
        seat = self._seats.take(association.address)
        if isinstance(seat, Full):
            return _NO_SEAT[seat]
        association.seat = seat
        return None

    def leave(self, association: Seated) -> None:
        """Give a seat back; nothing happens when the association has none."""
        seat, association.seat = association.seat, None
        if seat is not None:
            self._seats.free(seat)

    def clear(self, worker: int) -> None:
        """Free what a dead worker held."""
        self._seats.clear(worker)
        self.waiting.clear(worker)
        self.memory.clear(worker)
        self._loads[worker] = 0
        self._heartbeats[worker] = 0.0

    def taken(self) -> int:
        """Return the number of associations open now, over all workers."""
        return self._seats.taken()

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
