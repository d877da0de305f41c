"""Log lines for people (`text`) and machines (`json`), on standard error.

A record may carry structured fields: ``logger.info("stored", extra={"fields": {"bytes": 4096}})``.
"""

from __future__ import annotations

import json
import logging
import sys
import time
import traceback
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from gateway_settings import traces
from gateway_settings.visible import visible


def configure(level: str, format_: str) -> None:
    """Send every log record to standard error: ``level`` by its name, ``format_`` is `text` or `json`."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter() if format_ == "json" else TextFormatter())
    logging.basicConfig(level=level, handlers=[handler], force=True)
    # pynetdicom logs each association in detail at INFO, data sets at DEBUG and what it cannot read at ERROR, with the
    # peer's own bytes; pydicom warns of values. The listener and the services have their own lines for all that
    logging.getLogger("pynetdicom").setLevel(logging.CRITICAL)
    logging.getLogger("pydicom").setLevel(logging.CRITICAL)
    warnings.filterwarnings("ignore", module="pydicom")
    traces.install()


def log_failure(logger: logging.Logger, event: str, error: BaseException, fields: Mapping[str, Any]) -> None:
    """Log an unexpected exception: its type and where it came from, without its text.

    The text of an exception may quote a value, and so a patient; it goes to DEBUG only.
    """
    frames = traceback.extract_tb(error.__traceback__)
    where = " < ".join(f"{Path(frame.filename).name}:{frame.lineno}" for frame in reversed(frames[-6:]))
    logger.error(event, extra={"fields": {**fields, "error": type(error).__name__, "at": where}})
    logger.debug("the same in full", exc_info=error)


def _fields(record: logging.LogRecord) -> dict[str, Any]:
    fields: dict[str, Any] = getattr(record, "fields", {})
    return fields


def _moment(record: logging.LogRecord) -> str:
    base = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
    return f"{base}.{int(record.msecs):03d}Z"


class TextFormatter(logging.Formatter):
    """`2026-11-24T09:14:07.123Z INFO dicom_listener.server message key=value`."""

    def format(self, record: logging.LogRecord) -> str:
        line = f"{_moment(record)} {record.levelname} {record.name} {record.getMessage()}"
        line += "".join(f" {key}={value}" for key, value in _fields(record).items())
        line = visible(line)
        if record.exc_info:
            line += "\n" + traces.format_exception(record, self)
        return line


class JsonFormatter(logging.Formatter):
    """One JSON object a line, with ``time``, ``level``, ``logger``, ``message`` and the record's own fields."""

    def format(self, record: logging.LogRecord) -> str:
        entry = {
            "time": _moment(record),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
            **_fields(record),
        }
        if record.exc_info:
            entry["exception"] = traces.format_exception(record, self)
        return json.dumps(entry, default=str)
