"""Who asks: a token per client, what it may do, and how often."""

from __future__ import annotations

import logging
import math
import threading
import time
from enum import Enum
from http import HTTPStatus
from typing import Any

from django.conf import settings
from django.http import HttpRequest
from ninja.security import HttpBearer

from mwl_admin.api.errors import RequestRefused, unauthorized
from mwl_admin.api.guesses import GUESSES
from mwl_admin.models import APIClient

logger = logging.getLogger(__name__)


class Scope(Enum):
    """What a client may do."""

    READ = "read"
    WRITE = "write"


class Token(HttpBearer):
    """`Authorization: Bearer gw_…`, of a client with the scope that the operation needs; None is any."""

    def __init__(self, scope: Scope | None) -> None:
        super().__init__()
        self.scope = scope

    def authenticate(self, request: HttpRequest, token: str) -> Any:
        client = _client_of(token.strip(), request.META.get("REMOTE_ADDR", ""))
        if client is None:
            return None
        request.api_client = client  # type: ignore[attr-defined]  # for the access log
        if client.has_expired:
            raise unauthorized(f"This token was valid until {client.expires_on}.")
        if self.scope is not None and not (client.can_read if self.scope is Scope.READ else client.can_write):
            raise RequestRefused(HTTPStatus.FORBIDDEN, f"This token may not {self.scope.value}.")
        _refuse_until(BUCKETS.take(client.pk, client.requests_per_minute or settings.API_REQUESTS_PER_MINUTE))
        if client.expires_soon and not client.was_used_today:
            fields = {"client": str(client), "valid_until": client.expires_on}
            logger.warning("the token of an API client is valid until soon", extra={"fields": fields})
        client.note_use()
        return client


def _client_of(token: str, address: str) -> APIClient | None:
    per_minute = settings.API_WRONG_TOKENS_PER_MINUTE
    _refuse_until(GUESSES.wait(address, token, per_minute))
    client = APIClient.by_token(token)
    if client is None:
        GUESSES.wrong(address, per_minute)
    else:
        GUESSES.right(address, token)
    return client


def _refuse_until(wait: float) -> None:
    if wait:
        raise RequestRefused(
            HTTPStatus.TOO_MANY_REQUESTS, "Too many requests.", headers={"Retry-After": str(math.ceil(wait))}
        )


class Buckets:
    """How many requests each client has left: buckets that fill steadily, so that bursts are taken and floods are not.

    Each web worker counts for itself; with several the limit is that many times higher at most.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._left: dict[int, tuple[float, float]] = {}

    def take(self, client: int, per_minute: int, now: float | None = None) -> float:
        """Take one request; return 0, or the seconds to wait when none is left."""
        now = time.monotonic() if now is None else now
        with self._lock:
            left, since = self._left.get(client, (float(per_minute), now))
            left = min(float(per_minute), left + (now - since) * per_minute / 60)
            if left < 1:
                self._left[client] = (left, now)
                return (1 - left) * 60 / per_minute
            self._left[client] = (left - 1, now)
            return 0.0

    def clear(self) -> None:
        """Forget all clients."""
        with self._lock:
            self._left.clear()


BUCKETS = Buckets()
