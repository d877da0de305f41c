"""How slow this machine is at the moment: the control of every test that limits a duration.

Other work on the machine makes all things take longer, what is tested and a plain calculation alike. So a duration is
judged beside a calculation at the same time: on an idle machine :func:`slowdown` is 1 and a limit is the figure that is
written in the test; on a busy one the limit grows as the calculation did.
"""

from __future__ import annotations

import time

_CPU_SECONDS = 0.05


def slowdown() -> float:
    """Return how many times as long as its CPU time a calculation takes now; at least 1."""
    began, used = time.monotonic(), time.thread_time()
    while time.thread_time() - used < _CPU_SECONDS:
        pass
    return max(1.0, (time.monotonic() - began) / _CPU_SECONDS)


class Stopwatch:
    """Measures from its making; ``seconds`` are those on the clock.

    ``watch.is_below(3)`` tells whether fewer than three seconds have passed, or would have on an idle machine.
    """

    def __init__(self) -> None:
        self._began = time.monotonic()

    @property
    def seconds(self) -> float:
        return time.monotonic() - self._began

    def is_below(self, limit: float) -> bool:
        passed = self.seconds
        return passed < limit or passed < limit * slowdown()
