"""Signed HTTP requests between the site and the receiver, both ways.

A request carries when it was made, a number used once, and an HMAC SHA-256 over its method, path with query, both of
these and its body, by the secret that the two share. docs/devices.md states the form.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass

TOLERANCE_SECONDS = 300
"""How far the clocks of the two machines may differ, and for how long a number used once is remembered."""

_TIMESTAMP = "X-Gateway-Timestamp"
_NONCE = "X-Gateway-Nonce"
_SIGNATURE = "X-Gateway-Signature"


class Unsigned(Exception):
    """The request can't be trusted; the text says why, and may be told to whoever sent it."""


def sign(secret: str, method: str, target: str, body: bytes = b"", *, now: float | None = None) -> dict[str, str]:
    """Return the headers that sign a request; ``target`` is the path with its query, as the request line has it."""
    timestamp = str(int(time.time() if now is None else now))
    nonce = secrets.token_hex(16)
    return {
        _TIMESTAMP: timestamp,
        _NONCE: nonce,
        _SIGNATURE: _digest(secret, f"{method}\n{target}\n{timestamp}\n{nonce}\n", body),
    }


def _digest(secret: str, head: str, body: bytes) -> str:
    signed = head.encode() + body
    return "sha256=" + hmac.new(secret.encode(), signed, hashlib.sha256).hexdigest()


@dataclass(frozen=True, slots=True)
class Signed:
    """A request whose signature was right: when it was made (seconds since the epoch), and its number used once."""

    timestamp: int
    nonce: str


def verify(
    secret: str, method: str, target: str, headers: Mapping[str, str], body: bytes = b"", *, now: float | None = None
) -> Signed:
    """Return what a signed request says of itself. Says nothing of repeats: see Nonces.

    :raises Unsigned: when it is not signed, or too long ago.
    """
    if not secret:
        raise Unsigned("No secret is set on this side.")
    timestamp, nonce = headers.get(_TIMESTAMP, ""), headers.get(_NONCE, "")
    if not re.fullmatch(r"[0-9]{1,12}", timestamp) or not re.fullmatch(r"[0-9a-f]{32}", nonce):
        raise Unsigned("The request is not signed.")
    expected = _digest(secret, f"{method}\n{target}\n{timestamp}\n{nonce}\n", body)
    if not hmac.compare_digest(expected.encode(), headers.get(_SIGNATURE, "").encode("utf-8", "replace")):
        raise Unsigned("The signature does not match.")
    if abs((time.time() if now is None else now) - int(timestamp)) > TOLERANCE_SECONDS:
        raise Unsigned("The request is too old, or the clocks differ.")
    return Signed(int(timestamp), nonce)


class Nonces:
    """The numbers that were used lately, in the memory of one process. Safe for threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._seen: dict[str, float] = {}

    def use(self, signed: Signed, *, now: float | None = None) -> None:
        """Take note of a number.

        :raises Unsigned: when the request is a repeat.
        """
        now = time.time() if now is None else now
        with self._lock:
            # Insertion order is not the order of time stamps: a sender's clock may be ahead by the tolerance.
            self._seen = {nonce: until for nonce, until in self._seen.items() if until >= now}
            if signed.nonce in self._seen:
                raise Unsigned("The request was made before.")
            self._seen[signed.nonce] = signed.timestamp + TOLERANCE_SECONDS
