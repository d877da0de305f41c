"""Log lines of every process and command: for people (`text`) or for machines (`json`, one object a line).

A record has a constant message, and what differs in named fields, which are the same in both forms::

    logger.info("image stored", extra={"fields": {"bytes": 4096, "calling": "CT1"}})

    2026-11-24T09:14:07.123Z INFO pacs_receiver.receive image stored bytes=4096 calling=CT1
    {"time": "2026-11-24T09:14:07.123Z", "level": "INFO", …, "message": "image stored", "bytes": 4096, "calling": "CT1"}
"""

from __future__ import annotations

import io
import json
import logging
import logging.config
import os
import re
import time
import traceback
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TextIO

from gateway_settings import traces
from gateway_settings.visible import visible

LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR")
FORMATS = ("text", "json")
RESERVED = frozenset({"time", "level", "logger", "message", "exception"})
"""What every line may have in JSON: no field is named so."""

_QUIET: dict[str, dict[str, Any]] = {
    # The first tells of each association in detail at INFO, of data sets at DEBUG and of what it cannot read at ERROR,
    # with the peer's own bytes; the second quotes values. The listener and the services have their own lines for that.
    "pynetdicom": {"level": "CRITICAL"},
    "pydicom": {"level": "CRITICAL"},
    "alembic": {"level": "WARNING"},
}
_NEEDS_QUOTES = re.compile(r"""[\s"'=]|^$""")
_FRAMES = 6

logger = logging.getLogger(__name__)


def configuration(
    level: str,
    format_: str,
    *,
    loggers: Mapping[str, dict[str, Any]] | None = None,
    filters: Mapping[str, dict[str, Any]] | None = None,
    stream: str = "stderr",
) -> dict[str, Any]:
    """Return the logging of a process for :func:`logging.config.dictConfig`: all records, on standard error.

    ``level`` is one of :data:`LEVELS`, ``format_`` one of :data:`FORMATS`. ``loggers`` have levels of their own;
    ``filters`` are applied to every record. ``stream`` is `stderr` or `stdout`.
    """
    console = {
        "class": "logging.StreamHandler",
        # the true one, in whose place a command's output may be logged (LoggedLines)
        "stream": f"ext://sys.__{stream}__",
        "formatter": format_,
        "filters": list(filters or {}),
    }
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {"text": {"()": TextFormatter}, "json": {"()": JsonFormatter}},
        "filters": dict(filters or {}),
        "handlers": {"console": console},
        "root": {"handlers": ["console"], "level": level},
        "loggers": _QUIET | dict(loggers or {}),
    }


def configure(level: str, format_: str, *, stream: str = "stderr") -> None:
    """Log as :func:`configuration` says, for a process that serves; uncaught exceptions and warnings too."""
    logging.config.dictConfig(configuration(level, format_, stream=stream))
    capture()


def capture() -> None:
    """Log what nobody caught, and Python's warnings. For processes that serve; it can't be undone."""
    traces.install()
    warnings.filterwarnings("ignore", module="pydicom")
    warnings.showwarning = _log_warning


def log_failure(where: logging.Logger, event: str, error: BaseException, fields: Mapping[str, Any]) -> None:
    """Log an unexpected exception: its type and where it came from, without its text.

    The text of an exception may quote a value, and so a patient; it goes to DEBUG only.
    """
    frames = traceback.extract_tb(error.__traceback__)
    places = " < ".join(f"{Path(frame.filename).name}:{frame.lineno}" for frame in reversed(frames[-_FRAMES:]))
    where.error(event, extra={"fields": {**fields, "error": type(error).__name__, "at": places}})
    where.debug("the same in full", exc_info=error)


def relay(name: str, level: int, text: str) -> None:
    """Log a line that another program wrote: its text is the message, ``name`` says whose it is."""
    theirs = logging.getLogger(name)
    if theirs.isEnabledFor(level):
        theirs.handle(logging.LogRecord(name, level, "", 0, text, None, None))


def shaped(line: str, level: int = logging.ERROR) -> str:
    """Return a line for whoever started a process or gave a command, in JSON where machines read it.

    For what is said before logging is set up, or in place of it, as a bad setting is: the environment is asked.
    """
    if os.environ.get("LOG_FORMAT", "").strip().lower() != "json":
        return line
    return JsonFormatter().format(logging.LogRecord("gateway", level, "", 0, line, None, None))


class LoggedLines(io.TextIOBase):
    """A stream of text each line of which is logged, for what writes to standard output or error by itself."""

    def __init__(self, name: str, level: int) -> None:
        super().__init__()
        self._name = name
        self._level = level
        self._begun = ""

    def writable(self) -> bool:
        """Return True: it is for writing only."""
        return True

    def write(self, text: str) -> int:
        """Log the lines that are complete; empty ones are left out."""
        *lines, self._begun = (self._begun + text).split("\n")
        for line in lines:
            self._log(line)
        return len(text)

    def finish(self) -> None:
        """Log what has no end of line."""
        line, self._begun = self._begun, ""
        self._log(line)

    def _log(self, line: str) -> None:
        if line.strip():
            relay(self._name, self._level, line.strip())


class TextFormatter(logging.Formatter):
    """`2026-11-24T09:14:07.123Z INFO dicom_listener.server message key=value`; an exception's frames stand below it."""

    def format(self, record: logging.LogRecord) -> str:
        line = f"{_moment(record)} {record.levelname} {record.name} {record.getMessage()}"
        line += "".join(f" {key}={_shown(value)}" for key, value in _fields(record).items())
        line = visible(line)
        told = traces.format_exception(record, self)
        return f"{line}\n{told}" if told else line


class JsonFormatter(logging.Formatter):
    """One JSON object a line, with ``time``, ``level``, ``logger``, ``message`` and the record's own fields."""

    def format(self, record: logging.LogRecord) -> str:
        entry = {
            "time": _moment(record),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
            **{name: value for name, value in _fields(record).items() if name not in RESERVED},
        }
        if record.exc_info:
            entry["exception"] = traces.format_exception(record, self)
        return json.dumps(entry, default=str)


def _fields(record: logging.LogRecord) -> dict[str, Any]:
    fields: dict[str, Any] = getattr(record, "fields", {})
    return fields


def _shown(value: object) -> str:
    text = ",".join(map(str, value)) if isinstance(value, list | tuple) else str(value)
    return repr(text) if _NEEDS_QUOTES.search(text) else text


def _moment(record: logging.LogRecord) -> str:
    base = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
    return f"{base}.{int(record.msecs):03d}Z"


def _log_warning(  # noqa: PLR0917 - the signature is Python's
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    file: TextIO | None = None,
    line: str | None = None,
) -> None:
    """Log one of Python's warnings: its kind and place; its text, which may quote a value, at DEBUG only."""
    fields = {"category": category.__name__, "at": f"{Path(filename).name}:{lineno}"}
    logger.warning("Python warns", extra={"fields": fields})
    logger.debug("the same in full", extra={"fields": {**fields, "text": str(message)}})
