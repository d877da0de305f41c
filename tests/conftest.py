"""Fixtures for all tests: free ports, data directories, databases, and the three real processes."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import expect

from gateway_settings.log import TextFormatter
from tests import components, ports, quick
from tests.acceptance.department import Department
from tests.postgres import PostgresServer
from tests.processes import Processes


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "requires_component(name, …): needs it from the machine (tests/components.py)")
    config.addinivalue_line("markers", "machine_clock: compares with what a file system or another library dates")
    config.addinivalue_line("markers", "quick: starts no process, browser or container; found by tests/quick.py")
    # What a page shows in the end counts: a machine that does other work meanwhile shows it late.
    expect.set_options(timeout=30_000)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if quick.is_quick(item):
            item.add_marker("quick")


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


@pytest.fixture(autouse=True)
def _log_lines_as_they_are_written(caplog: pytest.LogCaptureFixture) -> None:
    """Let ``caplog.text`` have the fields too: what is logged must be seen, what must not be logged as well."""
    caplog.handler.setFormatter(TextFormatter())


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


@pytest.fixture(params=["sqlite", "postgresql"], scope="module")
def processes(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Processes]:
    """The three real processes with an empty worklist and an empty index, once on SQLite and once on PostgreSQL.

    Shared by the tests of a module: whoever stops or kills one starts it again.
    """
    settings = {}
    if request.param == "postgresql":
        server: PostgresServer = request.getfixturevalue("postgres_server")
        settings = {"DATABASE_URL": server.create_database(), "PACS_DATABASE_URL": server.create_database()}
    made = Processes(tmp_path_factory.mktemp("processes"), settings)
    try:
        made.start()
        yield made
    finally:
        made.stop()
        for url in settings.values():
            server.drop_database(url)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Show the logs of the processes that a failed test used."""
    report = yield
    if report.failed and isinstance(item, pytest.Function):
        for used in item.funcargs.values():
            if isinstance(used, Processes | Department):
                report.sections.extend((f"log of {name}", text) for name, text in used.logs())
    return report
