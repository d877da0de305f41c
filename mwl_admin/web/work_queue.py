"""Whose request is next: addresses take turns, so that one that asks for much waits longer, and not everybody else."""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Callable


class WorkQueue:
    """Work that waits for a thread, by the address that wants it. For one thread."""

    def __init__(self, at_once: int) -> None:
        self._free = at_once
        self._waiting: OrderedDict[str, deque[Callable[[], None]]] = OrderedDict()

    def add(self, holder: str, start: Callable[[], None]) -> None:
        """Start the work at once if a thread is free, else in its turn."""
        self._waiting.setdefault(holder, deque()).append(start)
        self._go_on()

    def done(self) -> None:
        """Note that what was started has ended."""
        self._free += 1
        self._go_on()

    def _go_on(self) -> None:
        while self._free and self._waiting:
            holder, own = self._waiting.popitem(last=False)
            start = own.popleft()
            if own:
                # at the end of the line
                self._waiting[holder] = own
            self._free -= 1
            start()
