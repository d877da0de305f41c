"""What the site leaves out of its log lines: none at INFO and above names a patient."""

from __future__ import annotations

import logging

from django.http import HttpRequest

ROUTE = "gateway.route"
"""Where the site notes, in a request's environment, which pattern its address has."""
_TELLS_ITS_TEXT = {"django.security.csrf", "django.security.DisallowedHost"}


class Routes(logging.Filter):
    """Puts the pattern of an address where Django tells the address: paths hold accession numbers and patient IDs."""

    def filter(self, record: logging.LogRecord) -> bool:
        if (status := getattr(record, "status_code", None)) is not None:
            record.fields = {"status": status}  # Django's own way of naming a field
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
