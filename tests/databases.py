"""The worklist database of a test module, once on SQLite and once on PostgreSQL, in this process and by URL."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import pytest
from django.contrib.contenttypes.models import ContentType
from django.core.management import call_command
from django.db import connections
from pytest_django.plugin import DjangoDbBlocker

from mwl_admin import environment


@contextlib.contextmanager
def worklist_database(url: str, blocker: DjangoDbBlocker) -> Iterator[str]:
    """Make ``url`` the default database of this process and migrate it; give the URL."""
    original = connections.settings["default"]
    replaced = connections["default"]
    with blocker.unblock():
        connections.settings["default"] = {**original, "OPTIONS": {}, "TEST": {}, **environment.database(url)}
        connections["default"] = connections.create_connection("default")
        ContentType.objects.clear_cache()  # its numbers are those of one database
        call_command("migrate", verbosity=0)
        try:
            yield url
        finally:
            connections["default"].close()
            connections.settings["default"] = original
            connections["default"] = replaced
            ContentType.objects.clear_cache()


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def database(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, django_db_blocker: DjangoDbBlocker
) -> Iterator[str]:
    """A migrated worklist database; all tests of a module share it, once on SQLite and once on PostgreSQL."""
    if request.param == "sqlite":
        url = f"sqlite:///{tmp_path_factory.mktemp('database') / 'worklist.sqlite3'}"
        with worklist_database(url, django_db_blocker):
            yield url
        return
    server = request.getfixturevalue("postgres_server")
    url = server.create_database()
    with worklist_database(url, django_db_blocker):
        yield url
    server.drop_database(url)
