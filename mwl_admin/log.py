"""What the site's processes log, and what they leave out: no line at INFO and above names a patient."""

from __future__ import annotations

import json
import logging
from datetime import UTC, datetime
from typing import Any

from django.http import HttpRequest

from gateway_settings import traces

ROUTE = "gateway.route"
"""Where the site notes, in a request's environment, which pattern its address has."""
_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName", "request", "server_time"}
_TELLS_ITS_TEXT = {"django.security.csrf", "django.security.DisallowedHost"}


class TextFormatter(logging.Formatter):
    """A line for people; an exception's frames stand below it."""

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)s %(name)s: %(message)s")

    def format(self, record: logging.LogRecord) -> str:
        line = self.formatMessage(_with_message(record, self))
        told = traces.format_exception(record, self)
        return f"{line}\n{told}" if told else line


class JSONFormatter(logging.Formatter):
    """One JSON object a line: time, level, logger, message, and what was passed as ``extra``."""

    def format(self, record: logging.LogRecord) -> str:
        entry = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
            **{name: value for name, value in vars(record).items() if name not in _STANDARD},
        }
        if record.exc_info:
            entry["exception"] = traces.format_exception(record, self)
        return json.dumps(entry, default=str, ensure_ascii=False)


class Routes(logging.Filter):
    """Puts the pattern of an address where Django tells the address: paths hold accession numbers and patient IDs."""

    def filter(self, record: logging.LogRecord) -> bool:
        request = getattr(record, "request", None)
        if isinstance(request, HttpRequest) and record.levelno >= logging.INFO:
            self._rewrite(record, request)
        return True

    @staticmethod
    def _is_refusal(record: logging.LogRecord) -> bool:
        return record.name.startswith("django.security.") or record.levelno < logging.ERROR

    def _rewrite(self, record: logging.LogRecord, request: HttpRequest) -> None:
        if self._is_refusal(record):
            # Nothing of ours failed: frames would let whoever is refused fill the log.
            record.exc_info = record.exc_text = None
        if record.name.startswith("django.security.") and record.name not in _TELLS_ITS_TEXT:
            # Its message is the exception's text; the logger is named for what it was.
            record.msg, record.args = "refused: %s", (route_of(request),)
        elif isinstance(record.args, tuple):
            record.args = tuple(_hidden(value, request) for value in record.args)


def route_of(request: HttpRequest) -> str:
    """Return the pattern that a request's address matches, or ``-``."""
    match = request.resolver_match
    return f"/{match.route}" if match else "-"


def _hidden(value: object, request: HttpRequest) -> object:
    return route_of(request) if isinstance(value, str) and value == request.path else value


def _with_message(record: logging.LogRecord, formatter: logging.Formatter) -> Any:
    record.message = record.getMessage()
    record.asctime = formatter.formatTime(record)
    return record
