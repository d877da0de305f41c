"""Writing the index: the rows of received instances, several associations' in one transaction.

A thread that has an instance to index queues it and waits for the writer's lock; whoever holds the lock commits all
that is queued. Alone, a thread pays for no hand-over; together, they share one commit.
"""

from __future__ import annotations

import contextlib
import logging
import threading
import time
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from enum import Enum
from operator import itemgetter
from typing import Any

from sqlalchemy import Engine

from pacs_receiver import character_sets, index_parents, indexed_attributes
from pacs_receiver.database import open_turn_file
from pacs_receiver.exceptions import IndexUnavailable
from pacs_receiver.index_parents import Cursor, Ids, Key, key_of
from pacs_receiver.index_record import InstanceRecord
from pacs_receiver.index_statements import Statements
from pacs_receiver.turn import Turn

logger = logging.getLogger(__name__)

_KNOWN_LIMIT = 20_000
_RETRY_PAUSE = 0.05
_SHORTEST_WAIT = 0.1
_BUSY_SLICE = 1.0


class IndexOutcome(Enum):
    """What the index said to a new instance."""

    ADDED = "added"
    SAME = "same"
    """The row was there, with the same place and the same bytes."""
    DIFFERENT_BYTES = "different bytes"
    """The row was there, in the same place, with other bytes."""
    ELSEWHERE = "elsewhere"
    """The SOP Instance UID is taken by an instance of another series or study."""


_IS_THERE = frozenset({IndexOutcome.ADDED, IndexOutcome.SAME})


class _Pending:
    __slots__ = ("came", "error", "key", "outcome", "record")

    def __init__(self, record: InstanceRecord) -> None:
        self.record = record
        self.key = key_of(record)
        self.came = time.monotonic()
        self.outcome: IndexOutcome | None = None
        self.error: IndexUnavailable | None = None


class IndexWriter:
    """Writes to the index for one process. ``retry_seconds`` is how long an outage of the database is bridged."""

    def __init__(
        self, engine: Engine, *, retry_seconds: float, default_character_set: str = character_sets.DEFAULT
    ) -> None:
        self._engine = engine
        self._retry_seconds = retry_seconds
        self.character_set = default_character_set
        self._statements = Statements(engine.dialect)
        self._lock = threading.Lock()
        self._queue: deque[_Pending] = deque()
        self._connection: Any = None
        self._borrowed: Any = None
        self._known_series: dict[Key, Ids] = {}
        self._turn = Turn(open_turn_file(engine.url)) if engine.dialect.name == "sqlite" else None
        self._deadline = 0.0

    def close(self) -> None:
        with self._lock:
            self._drop_connection()
            if self._turn is not None:
                self._turn.close()

    def add(self, record: InstanceRecord) -> IndexOutcome:
        """Index an instance; return when the row is committed, or was there before.

        :raises IndexUnavailable: when it is not; the row may be there nevertheless, when the connection broke at a bad
            moment.
        """
        pending = _Pending(record)
        self._queue.append(pending)
        with self._lock:
            if pending.outcome is None and pending.error is None:
                self._commit_queued()
        if pending.outcome is None:
            raise pending.error or IndexUnavailable
        return pending.outcome

    def _commit_queued(self) -> None:
        batch: list[_Pending] = []
        with contextlib.suppress(IndexError):
            while True:
                batch.append(self._queue.popleft())
        # One order for all writers, so that PostgreSQL's locks do not wait in a circle. Where the same instance reaches
        # two receivers at once they still may: PostgreSQL then ends one of the transactions, and it is tried again.
        batch.sort(key=lambda pending: (*pending.key, pending.record.sop_instance_uid))
        try:
            self._with_retries(batch)
        except self._dbapi_error() as error:
            if len(batch) == 1:
                self._give_up(batch[0], error)
            else:
                self._commit_singly(batch)
        finally:
            # whatever else happened: nobody waits for an answer that never comes
            for pending in batch:
                if pending.outcome is None and pending.error is None:
                    pending.error = IndexUnavailable()

    def _commit_singly(self, batch: Iterable[_Pending]) -> None:
        """Commit each by itself: one bad record must not take the others with it."""
        for pending in batch:
            try:
                self._with_retries([pending])
            except self._dbapi_error() as error:
                self._give_up(pending, error)

    @staticmethod
    def _give_up(pending: _Pending, error: Exception) -> None:
        # the driver's text may quote values: it is not for the log
        logger.error("the index did not take a row", extra={"fields": {"error": type(error).__name__}})
        pending.error = IndexUnavailable()

    def _with_retries(self, batch: list[_Pending]) -> None:
        dbapi: Any = self._engine.dialect.dbapi
        transient = (dbapi.OperationalError, dbapi.InterfaceError, dbapi.IntegrityError)
        # counted from when the first of them came: it may have waited for an outage that others met
        self._deadline = min(pending.came for pending in batch) + self._retry_seconds
        while True:
            try:
                outcomes = self._write(batch)
                break
            except transient as error:
                # IntegrityError: a study that this process remembers was deleted meanwhile
                self._known_series.clear()
                self._drop_connection()
                if time.monotonic() > self._deadline:
                    raise
                fields = {"error": type(error).__name__}
                logger.warning("the index is not available, trying again", extra={"fields": fields})
                time.sleep(_RETRY_PAUSE)
        for pending, outcome in zip(batch, outcomes, strict=True):
            pending.outcome = outcome

    def _write(self, batch: list[_Pending]) -> list[IndexOutcome]:
        if self._statements.insert_and_count:
            known = [self._known_series.get(pending.key) for pending in batch]
            if None not in known:
                return self._write_at_once(batch, [ids for ids in known if ids])
        found: dict[Key, Ids] = {}
        with self._transaction() as cursor:
            linked: set[Key] = set()  # those that are known are: it was asked with the rest
            for key, record in sorted({p.key: p.record for p in batch}.items(), key=itemgetter(0)):
                known_ids = self._known(cursor, key)
                if known_ids is not None:
                    linked.add(key)
                found[key] = known_ids or self._make(cursor, record)
            outcomes = [self._insert(cursor, pending.record, found[pending.key]) for pending in batch]
            here = {p.key for p, outcome in zip(batch, outcomes, strict=True) if outcome in _IS_THERE}
            new = sorted(here - linked)
            mixed = [key[0] for key in new if index_parents.link(cursor, self._statements, found[key])]
            self._count(cursor, batch, outcomes, found)
        index_parents.tell(mixed)
        if len(self._known_series) > _KNOWN_LIMIT:
            self._known_series.clear()
        self._known_series.update((key, found[key]) for key in here)
        return outcomes

    def _write_at_once(self, batch: list[_Pending], known: list[Ids]) -> list[IndexOutcome]:
        """Insert and count by one statement for each instance, all in one transaction and one way to the server."""
        rows = [_row(pending.record, ids) for pending, ids in zip(batch, known, strict=True)]
        with contextlib.closing(self._opened().cursor()) as cursor:
            if len(rows) == 1:  # which a pipeline only makes slower
                cursor.execute(self._statements.insert_and_count, rows[0])
            else:
                cursor.executemany(self._statements.insert_and_count, rows, returning=True)
            added = [cursor.rowcount == 1]
            while cursor.nextset():
                added.append(cursor.rowcount == 1)
            return [
                IndexOutcome.ADDED if is_new else self._outcome_of_old(cursor, pending.record, ids.series)
                for is_new, pending, ids in zip(added, batch, known, strict=True)
            ]

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[Cursor]:
        connection = self._opened()
        cursor = connection.cursor()
        if self._turn is not None and not self._turn.take(max(self._deadline - time.monotonic(), _SHORTEST_WAIT)):
            raise self._engine.dialect.dbapi.OperationalError("other writers hold the index")  # type: ignore[union-attr]
        try:
            cursor.execute("BEGIN IMMEDIATE" if self._turn is not None else "BEGIN")
            yield cursor
            cursor.execute("COMMIT")
        except BaseException:
            with contextlib.suppress(self._dbapi_error()):
                connection.rollback()
            raise
        finally:
            if self._turn is not None:
                self._turn.give_back()
            with contextlib.suppress(self._dbapi_error()):
                cursor.close()

    def _dbapi_error(self) -> type[Exception]:
        dbapi: Any = self._engine.dialect.dbapi
        error: type[Exception] = dbapi.Error
        return error

    def _opened(self) -> Any:
        if self._connection is None:
            self._connection = self._connect()
        return self._connection

    def _connect(self) -> Any:
        # The driver's own connection: the same few statements run for every instance, and each microsecond counts.
        borrowed = self._engine.raw_connection()
        connection: Any = borrowed.driver_connection
        borrowed.detach()
        if self._engine.dialect.name != "sqlite":
            connection.autocommit = True  # transactions begin and end here by their own statements
        else:
            # in slices, so that the turn is given back between them
            connection.execute(f"PRAGMA busy_timeout={int(1000 * min(self._retry_seconds, _BUSY_SLICE))}")
        self._borrowed = borrowed  # closes the connection when it is collected
        return connection

    def _drop_connection(self) -> None:
        if self._connection is not None:
            with contextlib.suppress(self._dbapi_error()):
                self._connection.close()
            self._connection = None

    def _known(self, cursor: Cursor, key: Key) -> Ids | None:
        """Return the row numbers that this process remembers, if they still are those of the key."""
        ids = self._known_series.get(key)
        return ids if ids is not None and index_parents.still_there(cursor, self._statements, key, ids) else None

    def _make(self, cursor: Cursor, record: InstanceRecord) -> Ids:
        return index_parents.make(cursor, self._statements, record, self.character_set)

    def _insert(self, cursor: Cursor, record: InstanceRecord, ids: Ids) -> IndexOutcome:
        cursor.execute(self._statements.insert_instance, _row(record, ids))
        return IndexOutcome.ADDED if cursor.rowcount == 1 else self._outcome_of_old(cursor, record, ids.series)

    def _outcome_of_old(self, cursor: Cursor, record: InstanceRecord, series_id: int) -> IndexOutcome:
        """Say how the row that has the SOP Instance UID already compares with the newcomer."""
        cursor.execute(self._statements.find_instance, {"sop_instance_uid": record.sop_instance_uid})
        row = cursor.fetchone()
        if row is None or row[0] != series_id:
            return IndexOutcome.ELSEWHERE
        return IndexOutcome.SAME if bytes(row[1]) == record.sha256 else IndexOutcome.DIFFERENT_BYTES

    def _count(
        self,
        cursor: Cursor,
        batch: list[_Pending],
        outcomes: list[IndexOutcome],
        found: Mapping[Key, Ids],
    ) -> None:
        by_series: dict[tuple[int, int], _Total] = {}
        by_study: dict[int, _Total] = {}
        for pending, outcome in zip(batch, outcomes, strict=True):
            if outcome is IndexOutcome.ADDED:
                ids = found[pending.key]
                by_series.setdefault((ids.study, ids.series), _Total()).add(pending.record)
                by_study.setdefault(ids.study, _Total()).add(pending.record)
        for (study_id, series_id), total in sorted(by_series.items()):
            cursor.execute(
                self._statements.count_series, {"key": series_id, "instances": total.instances, "size": total.size}
            )
            # the series' first instances: only now does the study have one series more
            by_study[study_id].series += cursor.fetchone()[0] == total.instances
        for study_id, total in sorted(by_study.items()):
            cursor.execute(
                self._statements.count_study,
                {
                    "key": study_id,
                    "series": total.series,
                    "instances": total.instances,
                    "size": total.size,
                    "arrival": total.arrival,
                },
            )


class _Total:
    __slots__ = ("arrival", "instances", "series", "size")

    def __init__(self) -> None:
        self.series = 0
        self.instances = 0
        self.size = 0
        self.arrival = 0.0

    def add(self, record: InstanceRecord) -> None:
        self.instances += 1
        self.size += record.file_bytes
        self.arrival = max(self.arrival, record.arrived_at)


def _row(record: InstanceRecord, ids: Ids) -> dict[str, object]:
    return {
        "sop_instance_uid": record.sop_instance_uid,
        "series": ids.series,
        "patient": ids.patient,
        "sop_class_uid": record.sop_class_uid,
        "transfer_syntax_uid": record.transfer_syntax,
        **indexed_attributes.columns("instance", record.values),
        "data_bytes": record.data_bytes,
        "file_bytes": record.file_bytes,
        "sha256": record.sha256,
        "calling_ae": record.calling_ae,
        "address": record.address,
        "arrived_at": record.arrived_at,
        "odd": record.odd,
    }
