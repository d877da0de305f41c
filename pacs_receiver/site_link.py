"""Signed requests to the site (docs/devices.md): sent to the address that was configured, and nowhere else."""

from __future__ import annotations

import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass, field
from http.client import HTTPException, HTTPResponse
from urllib.parse import urlsplit

from gateway_link.signature import sign

ANSWER_LIMIT = 16 << 20
"""Bytes of an answer that are read: a list of 10,000 devices is far shorter."""

_TIMEOUT = 10.0
_TOTAL_SECONDS = 60.0
_PIECE = 1 << 16


class SiteAway(Exception):
    """The site gave no answer that can be used; the text says why, in words for the log."""


class NoRedirect(urllib.request.HTTPRedirectHandler):
    """What is sent goes to the address that was configured, and nowhere else."""

    def redirect_request(self, *_: object) -> None:
        return None


@dataclass(frozen=True, slots=True)
class SiteAnswer:
    """What the site said; ``etag`` is empty where it gave none."""

    status: int
    body: bytes = b""
    etag: str = ""


@dataclass(frozen=True, slots=True)
class SiteLink:
    """The way to one address of the site, with the secret that both know."""

    url: str
    secret: str = field(repr=False)

    def ask(self, method: str, body: bytes = b"", headers: Mapping[str, str] | None = None) -> SiteAnswer:
        """Send one request; return an answer of 2xx or 304.

        :raises SiteAway: for any other, and for none.
        """
        signed = sign(self.secret, method, _target(self.url), body)
        request = urllib.request.Request(  # noqa: S310 - the configuration admits http and https only
            self.url,
            data=body or None,
            method=method,
            headers={"User-Agent": "gateway-pacs-receiver", **signed, **(headers or {})},
        )
        try:
            with urllib.request.build_opener(NoRedirect).open(request, timeout=_TIMEOUT) as response:
                return SiteAnswer(response.status, _read(response), response.headers.get("ETag", ""))
        except urllib.error.HTTPError as error:
            with error:
                if error.code == 304:
                    return SiteAnswer(304)
                raise SiteAway(f"the answer was {error.code}") from error
        except (OSError, HTTPException) as error:
            raise SiteAway(type(getattr(error, "reason", error)).__name__) from error


def _target(url: str) -> str:
    parts = urlsplit(url)
    return (parts.path or "/") + (f"?{parts.query}" if parts.query else "")


def _read(response: HTTPResponse) -> bytes:
    """Read an answer, within bounds of size and time: what is at the address may be anything."""
    until = time.monotonic() + _TOTAL_SECONDS
    body = bytearray()
    while piece := response.read1(_PIECE):
        body += piece
        if len(body) > ANSWER_LIMIT:
            raise SiteAway("the answer is too long")
        if time.monotonic() > until:
            raise SiteAway("the answer took too long")
    if response.length:
        raise SiteAway("the answer was cut short")
    return bytes(body)
