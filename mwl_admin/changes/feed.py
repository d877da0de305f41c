"""Reading the log of changes along a cursor: no change is missed, and none comes twice.

A transaction's changes are seen when it commits, and transactions commit in another order than they began. So nothing
is given out of a transaction that is not older than all that are still open: by `pg_current_snapshot()` on PostgreSQL.
On SQLite writers take turns. No clock has a part in it; one that was set back does no harm.
"""

from __future__ import annotations

import datetime
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from django.db import connection, transaction
from django.db.models import Exists, OuterRef, Q, QuerySet

from mwl_admin.changes.sources import table
from mwl_admin.models import ChangeFeed, EntryChange, RequestedProcedure

KEPT = datetime.timedelta(days=90)
"""How long deletions are told."""
_AT_ONCE = 500
_CURSOR = re.compile(r"([0-9a-f]{12})\.(-?[0-9]{1,18})\.([0-9]{1,18})\.(-?[0-9]{1,18})\.([0-9]{1,18})", re.ASCII)


class UnknownCursor(Exception):
    """The cursor is of another log, of one that was longer, or so old that deletions after it have been forgotten."""


@dataclass(frozen=True, slots=True, order=True)
class FeedPosition:
    """A place in the log: behind the row with this position and number."""

    position: int
    id: int


_BEGINNING = FeedPosition(-(10**17), 0)


@dataclass(frozen=True, slots=True)
class Changes:
    """What a reader gets: entries that changed, accession numbers that are gone, and where it stands then.

    Each number that is gone comes with the entry that had it.
    """

    entries: tuple[int, ...]
    gone: tuple[tuple[int, str], ...]
    cursor: str
    more: bool


@contextmanager
def one_moment() -> Iterator[None]:
    """Have all that is read see the database as it is at one moment; nobody is kept waiting, and nothing is written."""
    if connection.in_atomic_block:
        yield
        return
    is_postgresql = connection.vendor == "postgresql"
    with connection.cursor() as cursor:
        cursor.execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY" if is_postgresql else "BEGIN DEFERRED")
        try:
            yield
        finally:
            cursor.execute("ROLLBACK")


class Feed:
    """The log as it is now; to be used within :func:`one_moment`."""

    def __init__(self) -> None:
        feed = ChangeFeed.objects.get()
        self._era = feed.era
        self._floor = FeedPosition(feed.floor_position, feed.floor_id)
        self._horizon = _horizon()

    def beginning(self) -> str:
        """Return the cursor of who has read nothing: all entries come, then what changes."""
        return self._cursor(_BEGINNING, self._end())

    def end(self) -> str:
        """Return the cursor of who has read all until now."""
        return self._cursor(self._end(), self._end())

    def since(self, moment: datetime.datetime) -> str:
        """Return the cursor before the first change at or after a moment, and before all that are not decided yet."""
        first = EntryChange.objects.filter(changed_at__gte=moment).order_by("position", "id").first()
        end = self._end()
        return self._cursor(end if first is None else min(end, FeedPosition(first.position, first.pk - 1)), end)

    def read(self, cursor: str, limit: int) -> Changes:
        """Return up to ``limit`` changes after a cursor.

        :raises ValueError: when the cursor is none.
        :raises UnknownCursor: when changes might be missing.
        """
        place, began = self._parse(cursor)
        rows = list(_after(place, self._horizon).order_by("position", "id")[: limit + 1])
        more = len(rows) > limit
        rows = rows[:limit]
        reached = FeedPosition(rows[-1].position, rows[-1].pk) if more else max(place, self._end())
        return Changes(
            tuple(row.entry_id for row in rows if not row.gone),
            tuple((row.entry_id, row.gone) for row in rows if row.gone),
            self._cursor(reached, began),
            more,
        )

    def changed(self, cursor: str) -> QuerySet[EntryChange]:
        """Return all changes of entries after a cursor, those too that may come again."""
        return _after(self._parse(cursor)[0], None).filter(gone="")

    def _parse(self, cursor: str) -> tuple[FeedPosition, FeedPosition]:
        """Return the place that a cursor stands for, and where the log ended when its reader began."""
        found = _CURSOR.fullmatch(cursor)
        if found is None:
            raise ValueError("no cursor")
        numbers = [int(number) for number in found.groups()[1:]]
        place, began = FeedPosition(*numbers[:2]), FeedPosition(*numbers[2:])
        # What was gone before the reader began it never had, and need not be told.
        if found[1] != self._era or max(place, began) < self._floor or max(place, began) > self._last():
            raise UnknownCursor
        return place, began

    def _cursor(self, place: FeedPosition, began: FeedPosition) -> str:
        return f"{self._era}.{place.position}.{place.id}.{began.position}.{began.id}"

    def _end(self) -> FeedPosition:
        return self._last() if self._horizon is None else FeedPosition(self._horizon, 0)

    def _last(self) -> FeedPosition:
        """Return the furthest place that a cursor can stand for."""
        if self._horizon is not None:
            return FeedPosition(self._horizon, 0)
        with connection.cursor() as cursor:
            # Rows may have been replaced or forgotten; their numbers are not given again.
            cursor.execute("SELECT seq FROM sqlite_sequence WHERE name = %s", [table(EntryChange)])
            found = cursor.fetchone()
        return FeedPosition(0, found[0] if found else 0)


def _horizon() -> int | None:
    """Return the oldest transaction that is still open, or the next one; None where writers take turns."""
    if connection.vendor != "postgresql":
        return None
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_snapshot_xmin(pg_current_snapshot())::text::bigint")
        return int(cursor.fetchone()[0])


def _after(place: FeedPosition, horizon: int | None) -> QuerySet[EntryChange]:
    later = EntryChange.objects.filter(entry_id=OuterRef("entry_id"), gone="", position__gt=OuterRef("position"))
    rows = EntryChange.objects.filter(position__gte=place.position)
    rows = rows.filter(Q(position__gt=place.position) | Q(id__gt=place.id))
    if horizon is not None:
        rows = rows.filter(position__lt=horizon)
    entry = RequestedProcedure.objects.order_by()
    # An entry that has changed again comes when that is its turn, as it is then; so does a number that is used again.
    is_changed = Q(Exists(entry.filter(pk=OuterRef("entry_id"))), ~Exists(later), gone="")
    return rows.filter(is_changed | (~Q(gone="") & ~Exists(entry.filter(accession_number=OuterRef("gone")))))


def prune(now: datetime.datetime) -> int:
    """Forget deletions of long ago, and changes that nobody will be told of any more; return how many."""
    old = EntryChange.objects.filter(changed_at__lt=now - KEPT)
    later = EntryChange.objects.filter(entry_id=OuterRef("entry_id"), gone="", position__gt=OuterRef("position"))
    entry = RequestedProcedure.objects.order_by().filter(pk=OuterRef("entry_id"))
    forgotten = old.filter(Exists(later) | ~Exists(entry), gone="").delete()[0]
    while gone := list(old.exclude(gone="").order_by("position", "id").values_list("position", "pk")[:_AT_ONCE]):
        with transaction.atomic():
            feed = ChangeFeed.objects.select_for_update().get()
            floor = max(FeedPosition(feed.floor_position, feed.floor_id), FeedPosition(*gone[-1]))
            ChangeFeed.objects.update(floor_position=floor.position, floor_id=floor.id)
            forgotten += EntryChange.objects.filter(pk__in=[pk for _, pk in gone]).delete()[0]
    return forgotten
