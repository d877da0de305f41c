"""Waits for a condition, never for a length of time."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

_INTERVAL = threading.Event()


def wait_until(condition: Callable[[], T], *, timeout: float = 60, what: str = "") -> T:
    """Return the first true value of ``condition``; raise TimeoutError after ``timeout`` seconds without one.

    The time-out ends a test that has failed. It is no limit of what is tested: a busy machine is allowed to be late.
    """
    deadline = time.monotonic() + timeout
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise TimeoutError(f"not within {timeout} s: {what or getattr(condition, '__name__', condition)}")
        _INTERVAL.wait(0.02)
