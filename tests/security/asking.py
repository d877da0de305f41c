"""Asking for an address of the site as somebody, and telling what became of the database."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from http.cookies import SimpleCookie
from typing import Any

from django.db import connection, transaction
from django.test import Client
from django.urls import URLPattern, URLResolver, get_resolver

NOT_COMPARED = {"django_session", "sqlite_sequence"}


@dataclass(frozen=True, slots=True)
class Answered:
    """What came of a request: its answer, and whether any row of any table was changed."""

    response: Any
    wrote: bool

    @property
    def served(self) -> bool:
        """Whether the answer is more than a refusal or the way to the login."""
        to_login = self.response.headers.get("Location", "").startswith("/admin/login/")
        return self.response.status_code < 400 and not to_login


class Person:
    """Somebody with a session, or without one. What a request changes is taken back after it."""

    def __init__(self, client: Client) -> None:
        self._cookies = client.cookies.output(header="", sep=";")
        self._before = digest()

    def ask(self, method: str, address: str, data: Any = None, **options: Any) -> Answered:
        """Send a request; :return: what came of it."""
        client = Client()
        client.cookies = SimpleCookie(self._cookies)
        with transaction.atomic():
            response = getattr(client, method.lower())(address, data, **options)
            wrote = digest() != self._before
            transaction.set_rollback(True)
        return Answered(response, wrote)


def digest() -> str:
    """Return a digest of all rows of all tables but those of sessions."""
    found = hashlib.sha256()
    with connection.cursor() as cursor:
        for table in sorted(set(connection.introspection.table_names(cursor)) - NOT_COMPARED):
            cursor.execute(f"SELECT * FROM {connection.ops.quote_name(table)}")
            rows = sorted(map(repr, cursor.fetchall()))
            found.update(f"{table}{rows}".encode())
    return found.hexdigest()


def all_addresses() -> Iterator[tuple[str, str]]:
    """Yield name and route of whatever the site serves; without a name the route stands for it."""
    yield from _addresses(get_resolver(), "")


def _addresses(resolver: URLResolver, route: str, *namespaces: str) -> Iterator[tuple[str, str]]:
    for pattern in resolver.url_patterns:
        whole = route + str(pattern.pattern)
        if isinstance(pattern, URLResolver):
            yield from _addresses(pattern, whole, *namespaces, *([pattern.namespace] if pattern.namespace else []))
        elif isinstance(pattern, URLPattern):
            yield (":".join([*namespaces, pattern.name]) if pattern.name else whole), whole
