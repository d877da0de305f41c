"""The file lock by which the processes of an SQLite index take turns, with an end to waiting.

flock(2) gives the lock to who waits as soon as it is free, which polling does not; but it can't be told how long to
wait. So a thread waits for whoever does not get it at once.
"""

from __future__ import annotations

import fcntl
import os
import threading


class Turn:
    """One process's view of the lock; one caller at a time. ``fd`` is an open lock file, closed by :meth:`close`."""

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._lock = threading.Lock()
        self._granted = threading.Event()
        self._waiter: threading.Thread | None = None
        self._is_wanted = False

    def take(self, seconds: float) -> bool:
        """Take the turn, waiting ``seconds`` at most; False when it could not be had."""
        with self._lock:
            if self._waiter is None:
                if self._try():
                    return True
                self._granted.clear()
                self._waiter = threading.Thread(target=self._wait, name="turn", daemon=True)
                self._waiter.start()
            self._is_wanted = True
        self._granted.wait(max(seconds, 0))
        with self._lock:
            self._is_wanted = False
            if not self._granted.is_set():
                return False  # the thread gives it back when it comes, unless somebody wants it by then
            self._granted.clear()
            return True

    def give_back(self) -> None:
        """End the turn."""
        fcntl.flock(self._fd, fcntl.LOCK_UN)

    def close(self) -> None:
        """Close the file. A thread that still waits for it ends with the process."""
        with self._lock:
            if self._waiter is None and self._fd >= 0:
                os.close(self._fd)
                self._fd = -1

    def _try(self) -> bool:
        try:
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def _wait(self) -> None:
        fcntl.flock(self._fd, fcntl.LOCK_EX)
        with self._lock:
            self._waiter = None
            if self._is_wanted:
                self._granted.set()
            else:
                self.give_back()
