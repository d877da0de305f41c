"""Exceptions as log lines tell them: what happened and where, without a word of their texts.

The text of an exception may quote what was being worked on, and so a patient: a database tells the row that it did not
take, a parser the value. Frames and lines of code hold no values.
"""

from __future__ import annotations

import sys
import threading
import traceback
from collections.abc import Iterator
from logging import INFO, Formatter, LogRecord, getLogger
from types import TracebackType
from typing import Any

logger = getLogger(__name__)


def trace(error: BaseException | None) -> str:
    """Return the traceback of an exception, and of those that led to it, each by the name of its type alone."""
    return "\n\n".join(_told(one) for one in _chain(error))


def format_exception(record: LogRecord, formatter: Formatter) -> str:
    """Return what a line of log tells of an exception: all of it below INFO, else no texts."""
    if record.exc_info is None:
        return ""
    if record.levelno < INFO:
        return formatter.formatException(record.exc_info)
    return trace(record.exc_info[1])


def install() -> None:
    """Tell what nobody caught, in any thread, in the same way. For processes that serve; it can't be undone."""

    def uncaught(kind: type[BaseException], error: BaseException, frames: TracebackType | None) -> None:
        if issubclass(kind, KeyboardInterrupt):
            sys.__excepthook__(kind, error, frames)
        else:
            logger.critical("an exception was not caught", exc_info=error)

    def uncaught_in_thread(given: threading.ExceptHookArgs) -> None:
        name = given.thread.name if given.thread else "?"
        logger.critical("an exception was not caught", extra={"fields": {"thread": name}}, exc_info=given.exc_value)

    def unraisable(given: Any) -> None:
        logger.error("an exception could not be raised", exc_info=given.exc_value)

    sys.excepthook = uncaught
    threading.excepthook = uncaught_in_thread
    sys.unraisablehook = unraisable


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    """Yield an exception's causes, the first one first, and then itself."""
    found: list[BaseException] = []
    while error is not None and error not in found:
        found.append(error)
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    return reversed(found)


def _told(error: BaseException) -> str:
    kind = type(error)
    name = kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"
    lines = "".join(traceback.format_tb(error.__traceback__))
    inner = [trace(one) for one in error.exceptions] if isinstance(error, BaseExceptionGroup) else []
    head = f"Traceback (most recent call last):\n{lines}" if lines else ""
    return "\n\n".join([f"{head}{name}", *inner])
