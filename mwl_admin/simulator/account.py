"""The account of what a scanner did: for people, line by line with timings; or for machines, an object a line."""

from __future__ import annotations

import contextlib
import json
import threading
import time
from collections.abc import Iterator
from typing import IO

from rich.console import Console
from rich.text import Text

from mwl_admin.plaintext import plain

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

    def say(self, station: str, what: str, text: str, *, good: bool = True, seconds: float | None = None) -> None:
        """Tell of one thing."""
        with self._lock:
            self.failures += not good
            if self._as_json:
                entry = {"station": station, "step": what, "text": text, "good": good, "seconds": seconds}
                self._output.write(plain(json.dumps(entry, ensure_ascii=False)) + "\n")
                self._output.flush()
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
