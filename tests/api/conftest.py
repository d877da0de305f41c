"""Clients of the API: one that may do all, one that may read, one without a token."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from django.test import Client

from mwl_admin.api.guesses import GUESSES
from mwl_admin.api.tokens import BUCKETS
from mwl_admin.models import APIClient
from tests.api import contract
from tests.clock import steady_clock
from tests.databases import database

__all__ = ["database", "steady_clock"]


@pytest.fixture(autouse=True)
def full_buckets() -> Iterator[None]:
    """Let no test use up another's requests."""
    for counts in (BUCKETS, GUESSES):
        counts.clear()
    yield
    for counts in (BUCKETS, GUESSES):
        counts.clear()


class Caller:
    """A program that calls the API, with a token or without; each answer must be one that the document tells of."""

    def __init__(self, token: str = "") -> None:
        self._client = Client(raise_request_exception=False)
        self._token = {"Authorization": f"Bearer {token}"} if token else {}

    def call(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        headers: dict[str, str] | None = None,
        documented: bool = True,
    ) -> Any:
        """Send a request; ``documented`` is False where a fault of the site's own is staged, which no document has."""
        kind = (headers or {}).get("Content-Type", "application/json")
        data = body if isinstance(body, bytes | str) else json.dumps(body) if body is not None else ""
        sent = {**self._token, **(headers or {})}
        answer = self._client.generic(method, path, data, content_type=kind, headers=sent)
        if documented:
            contract.check(method, answer)
        return answer

    def get(self, path: str, **headers: str) -> Any:
        return self.call("GET", path, headers=headers)

    def post(self, path: str, body: Any, **headers: str) -> Any:
        return self.call("POST", path, body, headers=headers)

    def put(self, path: str, body: Any, **headers: str) -> Any:
        return self.call("PUT", path, body, headers=headers)

    def patch(self, path: str, body: Any, **headers: str) -> Any:
        return self.call("PATCH", path, body, headers=headers)

    def delete(self, path: str, **headers: str) -> Any:
        return self.call("DELETE", path, headers=headers)


def caller(**values: Any) -> Caller:
    _, token = APIClient.create(**{"name": "RIS", "can_read": True, "can_write": True, **values})
    return Caller(token)


@pytest.fixture
def ris(db: None) -> Caller:
    """A system that may read and write."""
    return caller()


@pytest.fixture
def stranger(db: None) -> Caller:
    """Somebody without a token."""
    return Caller()


@pytest.fixture
def secret(settings: Any) -> str:
    """The secret that the receiver signs its notices with."""
    settings.PACS_NOTIFY_SECRET = "a secret that both sides know"
    return str(settings.PACS_NOTIFY_SECRET)
