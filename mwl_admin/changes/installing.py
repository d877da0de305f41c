"""Triggers are put in place after each migration: SQLite loses those of a table that a migration makes anew."""

from __future__ import annotations

import secrets
from typing import Any

from django.db import connections, transaction
from django.db.backends.base.base import BaseDatabaseWrapper

from mwl_admin.changes import triggers
from mwl_admin.changes.sources import ENTRIES, SOURCES, table
from mwl_admin.models import ChangeFeed, EntryChange, ScheduledProcedureStep

_LOG = table(EntryChange)


def install(using: str = "default") -> None:
    """Make the triggers that are missing or of another version; then all entries count as changed, for nobody knows."""
    connection = connections[using]
    vendor = connection.vendor
    with transaction.atomic(using=using), connection.cursor() as cursor:
        wanted, system = triggers.fingerprint(vendor), _system(cursor, vendor)
        feed = ChangeFeed.objects.using(using).select_for_update().first()
        there = triggers.existing(cursor, vendor)
        if feed and feed.triggers == wanted and feed.system == system and len(there) == triggers.expected(vendor):
            return
        remove(connection)
        for statement in triggers.statements(vendor):
            cursor.execute(statement)
        if feed is None:
            ChangeFeed.objects.using(using).create(era=secrets.token_hex(6), system=system, triggers=wanted)
            _note_all(cursor, vendor, position=0, is_first=True)
            return
        if feed.system != system:
            # The log was brought here from another server, whose transactions had other numbers.
            EntryChange.objects.using(using).filter(gone="").delete()
            cursor.execute(f"UPDATE {_LOG} SET position = -id")
            feed.era, feed.floor_position, feed.floor_id = secrets.token_hex(6), -(10**17), 0
        feed.system, feed.triggers = system, wanted
        feed.save(using=using)
        _note_all(cursor, vendor, position=None)


def remove(connection: BaseDatabaseWrapper) -> None:
    """Take the triggers away."""
    vendor = connection.vendor
    with connection.cursor() as cursor:
        for name, of_table in triggers.existing(cursor, vendor):
            cursor.execute(f"DROP TRIGGER {name} ON {of_table}" if vendor == "postgresql" else f"DROP TRIGGER {name}")


def _system(cursor: Any, vendor: str) -> str:
    if vendor != "postgresql":
        return vendor
    cursor.execute("SELECT system_identifier FROM pg_control_system()")
    return str(cursor.fetchone()[0])


def _note_all(cursor: Any, vendor: str, *, position: int | None, is_first: bool = False) -> None:
    """Note all entries as changed: now, or, when there was no log before, when they were."""
    is_postgresql = vendor == "postgresql"
    if not is_postgresql:
        cursor.execute(f"DELETE FROM {_LOG} WHERE gone = ''")
    at = "pg_current_xact_id()::text::bigint" if position is None and is_postgresql else "0"
    latest = "GREATEST" if is_postgresql else "MAX"
    now = "clock_timestamp()" if is_postgresql else "strftime('%%Y-%%m-%%d %%H:%%M:%%f000', 'now')"
    changed = (
        f"{latest}(updated_at, COALESCE((SELECT MAX(s.updated_at) FROM {table(ScheduledProcedureStep)} s "
        f"WHERE s.requested_procedure_id = {ENTRIES}.id), updated_at))"
    )
    cursor.execute(
        f"INSERT INTO {_LOG} (position, entry_id, gone, changed_at) "
        f"SELECT {at}, id, '', {changed if is_first else now} FROM {ENTRIES} ORDER BY 4, 2",
        [],
    )


def before_migration(sender: Any, using: str, plan: Any = (), **_: Any) -> None:
    """Take the triggers away from tables that SQLite is about to make anew."""
    connection = connections[using]
    # Renaming a table, which is how SQLite changes one, fails on triggers of other tables that name it.
    if sender.name == "mwl_admin" and plan and connection.vendor == "sqlite":
        remove(connection)


def after_migration(sender: Any, using: str, **_: Any) -> None:
    """Put the triggers in place when all tables that they need are there."""
    if sender.name != "mwl_admin":
        return
    needed = {_LOG, table(ChangeFeed), *(source.table for source in SOURCES)}
    # Not there after a migration to an earlier version.
    if needed <= set(connections[using].introspection.table_names()):
        install(using)
