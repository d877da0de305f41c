"""The triggers that write the log of changes, in the transaction of whatever changes an entry.

PostgreSQL: a row for each transaction and entry, by the transaction's number. Nobody waits for anybody: a conflict is
only ever with a row of one's own. SQLite: a row for each entry, replaced under a number that only grows; whoever writes
is alone until the end of the transaction.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import Any

from mwl_admin.changes.sources import ENTRIES, SOURCES, Source, table
from mwl_admin.models import EntryChange

PREFIX = "entry_change_"
_LOG = table(EntryChange)
_COLUMNS = "(position, entry_id, gone, changed_at)"
_EVENTS = {"INSERT": ("NEW",), "UPDATE": ("OLD", "NEW"), "DELETE": ("OLD",)}


def statements(vendor: str) -> list[str]:
    """Return the statements that make the triggers."""
    make = _of_postgresql if vendor == "postgresql" else _of_sqlite
    return [statement for source in SOURCES for statement in make(source)]


def fingerprint(vendor: str) -> str:
    """Return what tells these triggers from those of another version."""
    return hashlib.sha256("\n".join(statements(vendor)).encode()).hexdigest()


def _name(source: Source) -> str:
    # Without what all tables have in common: PostgreSQL cuts names at 63 characters.
    return PREFIX + source.table.removeprefix("mwl_admin_")


# --- SQLite


def _of_sqlite(source: Source) -> Iterator[str]:
    now = "strftime('%Y-%m-%d %H:%M:%f000', 'now')"
    for event, rows in _EVENTS.items():
        entries = " UNION ".join(f"SELECT entry FROM ({source.entries.format(row=row)})" for row in rows)
        steps = [
            f"DELETE FROM {_LOG} WHERE position = 0 AND gone = '' AND entry_id IN ({entries});",
            f"INSERT INTO {_LOG} {_COLUMNS} SELECT 0, entry, '', {now} FROM ({entries}) WHERE entry IS NOT NULL;",
        ]
        if source.table == ENTRIES and event != "INSERT":
            is_gone = "OLD.accession_number <> ''"
            if event == "UPDATE":
                is_gone += " AND OLD.accession_number <> NEW.accession_number"
            of_it = "position = 0 AND entry_id = OLD.id AND gone = OLD.accession_number"
            steps += [
                f"DELETE FROM {_LOG} WHERE {of_it} AND {is_gone};",
                f"INSERT INTO {_LOG} {_COLUMNS} SELECT 0, OLD.id, OLD.accession_number, {now} WHERE {is_gone};",
            ]
        condition = ""
        if event == "UPDATE" and source.columns:
            condition = "WHEN " + " OR ".join(f"OLD.{name} IS NOT NEW.{name}" for name in source.columns)
        name = f"{_name(source)}_{event.lower()}"
        yield f"CREATE TRIGGER {name} AFTER {event} ON {source.table} {condition} BEGIN {' '.join(steps)} END"


# --- PostgreSQL


def _of_postgresql(source: Source) -> Iterator[str]:
    def note(row: str) -> str:
        return _note_on_postgresql(f"SELECT DISTINCT entry, '' FROM ({source.entries.format(row=row)}) AS found")

    body = []
    if source.columns:
        old, new = (", ".join(f"{row}.{name}" for name in source.columns) for row in ("OLD", "NEW"))
        body.append(f"IF TG_OP = 'UPDATE' AND ROW({old}) IS NOT DISTINCT FROM ROW({new}) THEN RETURN NULL; END IF;")
    body.append(f"IF TG_OP <> 'INSERT' THEN {note('OLD')} END IF;")
    body.append(f"IF TG_OP <> 'DELETE' THEN {note('NEW')} END IF;")
    if source.table == ENTRIES:
        gone = _note_on_postgresql("SELECT OLD.id, OLD.accession_number WHERE OLD.accession_number <> ''")
        body.append(f"IF TG_OP = 'DELETE' THEN {gone} END IF;")
        body.append(f"IF TG_OP = 'UPDATE' AND OLD.accession_number <> NEW.accession_number THEN {gone} END IF;")
    name = _name(source)
    yield (
        f"CREATE OR REPLACE FUNCTION {name}() RETURNS trigger LANGUAGE plpgsql AS "
        f"$body$ BEGIN {' '.join(body)} RETURN NULL; END $body$"
    )
    yield (
        f"CREATE TRIGGER {name} AFTER INSERT OR UPDATE OR DELETE ON {source.table} "
        f"FOR EACH ROW EXECUTE FUNCTION {name}()"
    )


def _note_on_postgresql(found: str) -> str:
    return (
        f"INSERT INTO {_LOG} {_COLUMNS} SELECT pg_current_xact_id()::text::bigint, f.entry, f.gone, clock_timestamp() "
        f"FROM ({found}) AS f(entry, gone) WHERE f.entry IS NOT NULL ON CONFLICT DO NOTHING;"
    )


# --- what is there


def existing(cursor: Any, vendor: str) -> list[tuple[str, str]]:
    """Return the triggers that the database has, each with its table."""
    if vendor == "postgresql":
        cursor.execute(
            "SELECT t.tgname, c.relname FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid "
            "WHERE NOT t.tgisinternal AND starts_with(t.tgname, %s) AND pg_table_is_visible(c.oid)",
            [PREFIX],
        )
    else:
        cursor.execute(
            "SELECT name, tbl_name FROM sqlite_master WHERE type = 'trigger' AND substr(name, 1, %s) = %s",
            [len(PREFIX), PREFIX],
        )
    return list(cursor.fetchall())


def expected(vendor: str) -> int:
    """Return how many triggers there have to be."""
    return len(SOURCES) * (1 if vendor == "postgresql" else len(_EVENTS))
