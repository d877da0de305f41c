"""The account of what a scanner did: for people, line by line with timings; or for machines, an object a line."""

from __future__ import annotations

import contextlib
import json
import threading
import time
from collections.abc import Iterator
from typing import IO, Any

from rich.console import Console
from rich.text import Text

from mwl_admin.management.plaintext import plain

_STYLES = {True: "green", False: "bold red"}


class Line:
    """One thing that a station did; ``text`` and ``good`` are set while it is being done."""

    def __init__(self) -> None:
        self.text = ""
        self.good = True


class Account:
    """Takes lines from several stations at once and counts what went wrong."""

    def __init__(self, output: IO[str], *, as_json: bool = False) -> None:
        self.failures = 0
        self.examinations = 0
        self._lock = threading.Lock()
        self._as_json = as_json
        self._output = output
        self._console = Console(file=output, highlight=False, soft_wrap=True)

    @contextlib.contextmanager
    def line(self, station: str, what: str) -> Iterator[Line]:
        """Time what is done inside and tell of it afterwards."""
        line = Line()
        started = time.perf_counter()
        yield line
        self.say(station, what, line.text, good=line.good, seconds=time.perf_counter() - started)

    def say(
        self, station: str, what: str, text: str, *, good: bool = True, seconds: float | None = None, **details: Any
    ) -> None:
        """Tell of one thing; ``details`` are for machines only."""
        with self._lock:
            self.failures += not good
            if self._as_json:
                told = {"station": station, "step": what, "text": text, "good": good, "seconds": seconds}
                self._write({**told, **details})
                return
            took = "" if seconds is None else f"{seconds * 1000:>8,.0f} ms" if seconds < 10 else f"{seconds:>9,.1f} s"
            written = Text(plain(f"{station:<12} {what:<12} "))
            written.append(took.rjust(11))
            written.append("  ")
            written.append("ok  " if good else "BAD ", _STYLES[good])
            written.append(plain(text))
            self._console.print(written)

    def examined(self) -> None:
        with self._lock:
            self.examinations += 1

    def verdict(self) -> str:
        """Tell machines how all of it ended; return it in words."""
        told = f"{_counted(self.examinations, 'examination')}; {self._failed()}"
        if self._as_json:
            with self._lock:
                self._write({
                    "step": "verdict", "good": not self.failures, "text": told,
                    "examinations": self.examinations, "failures": self.failures,
                })  # fmt: skip
        return told

    def _failed(self) -> str:
        if not self.failures:
            return "each answer was what a scanner needs"
        verb = "was" if self.failures == 1 else "were"
        return f"{_counted(self.failures, 'answer')} {verb} not what a scanner needs"

    def _write(self, entry: dict[str, Any]) -> None:
        self._output.write(plain(json.dumps(entry, ensure_ascii=False)) + "\n")
        self._output.flush()


def _counted(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
