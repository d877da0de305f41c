"""Fixtures for all tests: free ports, data directories, databases, and the three real processes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests import components, ports
from tests.postgres import PostgresServer


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "requires_component(name, …): needs it from the machine (tests/components.py)")


def pytest_runtest_setup(item: pytest.Item) -> None:
    for marker in item.iter_markers("requires_component"):
        for name in marker.args:
            components.demand(name)


@pytest.fixture(scope="session")
def django_db_modify_db_settings(
    django_db_modify_db_settings_parallel_suffix: None, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Keep SQLite's test database in a file, as the real one is: in memory, threads would fail instead of waiting."""
    from django.conf import settings

    for database in settings.DATABASES.values():
        if database["ENGINE"] == "django.db.backends.sqlite3":
            database.setdefault("TEST", {})["NAME"] = str(tmp_path_factory.mktemp("worklist") / "test.sqlite3")


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    """An empty ``DATA_DIR``."""
    path = tmp_path / "var"
    path.mkdir()
    return path


@pytest.fixture
def free_port() -> int:
    return ports.free_port()


@pytest.fixture
def free_ports() -> Callable[[int], list[int]]:
    """``free_ports(3)`` gives three."""
    return lambda count: [ports.free_port() for _ in range(count)]


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[PostgresServer]:
    """A private PostgreSQL cluster. A test that stops or kills it must start it again."""
    components.demand("postgresql")
    server = PostgresServer()
    yield server
    server.remove()


@pytest.fixture
def postgres_url(postgres_server: PostgresServer) -> Iterator[str]:
    """The URL of an empty PostgreSQL database of one's own."""
    url = postgres_server.create_database()
    yield url
    postgres_server.drop_database(url)


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of an empty database: the test runs once on SQLite and once on PostgreSQL."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'database.sqlite3'}"
    url: str = request.getfixturevalue("postgres_url")
    return url
