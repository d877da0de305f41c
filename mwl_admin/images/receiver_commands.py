"""Commands to the image receiver (docs/devices.md): small signed requests, each carried out once.

The receiver also looks by itself now and then, so that a command that gets lost delays and loses nothing.
"""

from __future__ import annotations

import json
import logging
import threading
import urllib.error
import urllib.request
import uuid
from collections.abc import Mapping
from http.client import HTTPException
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings

from gateway_link.signature import sign

logger = logging.getLogger(__name__)

SECONDS = 5.0
ANSWER_LIMIT = 1024 * 1024
_REASON_LENGTH = 200


class CommandError(Exception):
    """The receiver has not carried out a command; the text says why, and holds nothing of patients.

    ``status`` is the answer's, None when there was none: whether it was carried out is then not known, and the same
    command may be sent again with the same ``id``.
    """

    def __init__(self, reason: str, status: int | None = None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.status = status


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """What is sent goes to the address that was configured, and nowhere else."""

    def redirect_request(self, *_: object) -> None:
        return None


def send(name: str, body: Mapping[str, Any] | None = None, *, id: str = "", seconds: float = SECONDS) -> dict[str, Any]:  # noqa: A002
    """Have the receiver carry out a command and return its result.

    ``id`` is a UUID that tells a repeat from a new command; one is made when it is empty. ``seconds``: how long the
    receiver may be silent.

    :raises CommandError: when it has not.
    """
    if not settings.PACS_COMMAND_URL:
        raise CommandError("PACS_COMMAND_URL is not set")
    url = f"{settings.PACS_COMMAND_URL.rstrip('/')}/commands/{name}"
    data = json.dumps({"id": id or str(uuid.uuid4()), **(body or {})}).encode()
    headers = sign(settings.PACS_NOTIFY_SECRET, "POST", urlsplit(url).path, data)
    request = urllib.request.Request(  # noqa: S310 - the setting admits http and https only
        url, data=data, method="POST", headers={"Content-Type": "application/json", **headers}
    )
    # An address that was configured is asked itself, whatever proxies the environment names.
    opener = urllib.request.build_opener(_NoRedirect, urllib.request.ProxyHandler({}))
    try:
        with opener.open(request, timeout=seconds) as response:
            return _result(response.read(ANSWER_LIMIT))
    except urllib.error.HTTPError as error:
        with error:
            raise CommandError(_reason(error), error.code) from error
    except (OSError, HTTPException) as error:
        raise CommandError(f"no answer: {type(getattr(error, 'reason', error)).__name__}") from error


def _result(answer: bytes) -> dict[str, Any]:
    try:
        result = json.loads(answer)
    except ValueError as error:
        raise CommandError("the answer is no JSON") from error
    if not isinstance(result, dict):
        raise CommandError("the answer is no JSON object")
    return result


def _reason(error: urllib.error.HTTPError) -> str:
    """Return what an answer in problem+json says (RFC 9457), or else its status."""
    try:
        problem = json.loads(error.read(ANSWER_LIMIT))
    except (ValueError, OSError, HTTPException):
        problem = None
    said = problem.get("detail") or problem.get("title") if isinstance(problem, dict) else None
    return str(said)[:_REASON_LENGTH] if said else f"the answer was {error.code}"


class _Refresher:
    """Tells the receiver to look at the devices again: in a thread of its own, several changes at once together."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._wanted = False
        self._running = False
        self._failed = False

    def __call__(self) -> None:
        if not settings.PACS_COMMAND_URL:
            return
        with self._lock:
            self._wanted = True
            if self._running:
                return
            self._running = True
        threading.Thread(target=self._run, name="refresh-devices", daemon=True).start()

    def _run(self) -> None:
        while self._is_wanted():
            try:
                send("refresh-devices")
            except CommandError as error:
                # Once, until it works again: the receiver asks by itself.
                level = logging.DEBUG if self._failed else logging.WARNING
                fields = {"because": error.reason}
                logger.log(level, "the receiver could not be told that devices changed", extra={"fields": fields})
                self._failed = True
            else:
                self._failed = False

    def _is_wanted(self) -> bool:
        with self._lock:
            wanted, self._wanted = self._wanted, False
            self._running = wanted
            return wanted


refresh_devices = _Refresher()
"""Call it after a change of the registry is committed; it neither waits nor raises."""
