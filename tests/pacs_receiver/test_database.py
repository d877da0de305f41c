"""The index's tables and their migrations."""

from __future__ import annotations

import threading

from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import inspect

from pacs_receiver.config import database_url as parse
from pacs_receiver.database import connect, migrate
from pacs_receiver.index_tables import metadata


def test_the_migrations_make_the_tables_that_the_code_states(database_url: str) -> None:
    url = parse(database_url)
    migrate(url)
    engine = connect(url)
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True, "compare_server_default": True})
        assert compare_metadata(context, metadata) == []
    engine.dispose()


def test_migrating_again_changes_nothing(database_url: str) -> None:
    url = parse(database_url)
    migrate(url)
    migrate(url)


def test_receivers_that_start_together_do_not_collide(database_url: str) -> None:
    url = parse(database_url)
    failures: list[Exception] = []

    def start() -> None:
        try:
            migrate(url)
        except Exception as error:  # noqa: BLE001 - looked at below
            failures.append(error)

    threads = [threading.Thread(target=start) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    engine = connect(url)
    assert set(metadata.tables) < set(inspect(engine).get_table_names())
    engine.dispose()
