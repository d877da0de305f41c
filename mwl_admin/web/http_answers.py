"""Answers to requests that no view gets to see."""

from __future__ import annotations

import html
import json
from http import HTTPStatus

PROBLEM = "application/problem+json"
API_PREFIXES = ("/api/", "/dicom-web/")
_TEXTS = {
    HTTPStatus.BAD_REQUEST: "The request can't be understood.",
    HTTPStatus.REQUEST_TIMEOUT: "The request did not come in time.",
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE: "This is larger than what may be sent here, or larger than what may be sent"
    " without being logged in.",
    HTTPStatus.REQUEST_URI_TOO_LONG: "The address is too long.",
    HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE: "The header fields are too long.",
    HTTPStatus.SERVICE_UNAVAILABLE: "Too much is going on at once. Try again in a moment.",
}


def problem(status: HTTPStatus, detail: str) -> bytes:
    """Return problem details (RFC 9457) in the form of the API's."""
    return json.dumps({"title": status.phrase, "status": int(status), "detail": detail, "problems": []}).encode()


def refusal(status: HTTPStatus, path: str = "") -> bytes:
    """Return a whole response that ends the connection; for a program as problem details (RFC 9457)."""
    text = _TEXTS.get(status, status.phrase)
    if path.startswith(API_PREFIXES):
        kind = PROBLEM
        body = problem(status, text)
    else:
        kind = "text/html; charset=utf-8"
        body = f"<!doctype html><title>{html.escape(status.phrase)}</title><p>{html.escape(text)}\n".encode()
    retry = "Retry-After: 5\r\n" if status is HTTPStatus.SERVICE_UNAVAILABLE else ""
    head = (
        f"HTTP/1.1 {int(status)} {status.phrase}\r\nConnection: close\r\n{retry}Content-Type: {kind}\r\n"
        f"Content-Length: {len(body)}\r\nX-Content-Type-Options: nosniff\r\n"
        f"Content-Security-Policy: default-src 'none'\r\nCache-Control: no-store\r\n\r\n"
    )
    return head.encode() + body
