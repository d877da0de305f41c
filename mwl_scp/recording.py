"""What modalities asked, and what they were given: written aside, so that no answer waits for it or fails by it."""

from __future__ import annotations

import contextlib
import datetime
import json
import logging
import queue
import threading
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from django.db import DatabaseError, InterfaceError, connection, transaction
from django.db.models import Sum
from django.utils import timezone
from prometheus_client import Counter

from dicom_encoding.statuses import Status
from gateway_settings.log import log_failure
from mwl_admin.models import Station, WorklistDelivery, WorklistQuery
from mwl_admin.worklist.cutting import cut
from mwl_admin.worklist.identifier import Identifier
from mwl_scp.recording_limits import RecordingLimits

logger = logging.getLogger(__name__)

RECORDED = Counter("worklist_queries_recorded", "C-FIND requests recorded")
DROPPED = Counter("worklist_queries_not_recorded", "C-FIND requests that could not be recorded")

_CAPACITY = 1000
_BATCH = 50
_DELIVERIES_AT_ONCE = 500
_PRUNE_SECONDS = 3600.0
_PRUNED_AT_ONCE = 500
_PRUNED_EACH = 16
"""How many times while the record fills up it is looked at whether it is too large."""
_RETRY_SECONDS = 2.0
_ROW_BYTES = 400
_DELIVERY_BYTES = 150
"""What a row takes in a database, its indexes included, about."""


@dataclass(slots=True)
class QueryRecord:
    """One C-FIND and its answer; ``delivered`` are primary keys of the steps that were sent.

    ``keys`` are those of ``identifier`` as they are kept, and ``keys_cut`` tells that they are not all.
    """

    received_at: datetime.datetime
    calling_ae_title: str
    called_ae_title: str
    address: str
    identifier: Identifier | None = None
    keys: str = "{}"
    keys_cut: bool = False
    delivered: list[int] = field(default_factory=list)
    truncated: bool = False
    milliseconds: float = 0.0
    status: int = Status.UNABLE_TO_PROCESS
    error_comment: str = ""
    station_known: bool = False

    def shorten(self, limit: int) -> None:
        """Replace the identifier by what is kept of it."""
        if self.identifier is not None:
            self.keys, self.keys_cut = cut(self.identifier, limit)
            self.identifier = None

    @property
    def size(self) -> int:
        """Bytes that the record takes once it is written, about."""
        return _ROW_BYTES + len(self.keys) + _DELIVERY_BYTES * len(self.delivered)


class Recorder:
    """Writes records in a thread of its own, several at a time.

    At most ``capacity`` wait, and so many bytes; beyond that, and when the database refuses, they are dropped and
    counted. Records older than ``retention_days`` are deleted now and then, 0 keeps all; and the oldest ones when all
    together are too large.
    """

    def __init__(
        self, retention_days: int, *, limits: RecordingLimits | None = None, capacity: int = _CAPACITY
    ) -> None:
        self._retention_days = retention_days
        self._limits = limits or RecordingLimits()
        self._lock = threading.Lock()
        self._waiting = 0
        self._unpruned = 0
        self._queue: queue.Queue[QueryRecord | None] = queue.Queue(capacity)
        self._thread = threading.Thread(target=self._run, name="recording", daemon=True)

    @contextlib.contextmanager
    def running(self) -> Iterator[Recorder]:
        """Record while the context lasts; what waits at its end is still written."""
        self._thread.start()
        try:
            yield self
        finally:
            self._queue.put(None)
            self._thread.join(timeout=10)

    def record(self, taken: QueryRecord) -> None:
        """Take a record. Never waits and never raises."""
        taken.shorten(self._limits.keys)
        with self._lock:
            if self._waiting + taken.size > self._limits.waiting:
                DROPPED.inc()
                return
            try:
                self._queue.put_nowait(taken)
            except queue.Full:
                DROPPED.inc()
                return
            self._waiting += taken.size

    def _run(self) -> None:
        due = time.monotonic()
        try:
            while True:
                batch, stop = self._next(max(due - time.monotonic(), 0.0))
                if batch:
                    self._write(batch)
                    self._written(sum(taken.size for taken in batch))
                if stop:
                    return
                if time.monotonic() >= due:
                    self._prune()
                    due = time.monotonic() + _PRUNE_SECONDS
        finally:
            connection.close()

    def _written(self, size: int) -> None:
        with self._lock:
            self._waiting -= size
        self._unpruned += size
        if self._limits.total and self._unpruned > self._limits.total // _PRUNED_EACH:
            self._prune()

    def _next(self, patience: float) -> tuple[list[QueryRecord], bool]:
        batch: list[QueryRecord] = []
        try:
            found = self._queue.get(timeout=patience or None) if patience else self._queue.get_nowait()
            while found is not None:
                batch.append(found)
                if len(batch) == _BATCH:
                    return batch, False
                found = self._queue.get_nowait()
        except queue.Empty:
            return batch, False
        return batch, True

    def _write(self, batch: list[QueryRecord]) -> None:
        for attempt in (1, 2):
            try:
                connection.close_if_unusable_or_obsolete()
                write(batch)
                RECORDED.inc(len(batch))
                return
            except (DatabaseError, InterfaceError) as error:
                log_failure(logger, "queries could not be recorded", error, {"queries": len(batch), "attempt": attempt})
                connection.close()
                if attempt == 1:
                    time.sleep(_RETRY_SECONDS)
        DROPPED.inc(len(batch))

    def _prune(self) -> None:
        now = timezone.now()
        deleted = 0
        try:
            connection.close_if_unusable_or_obsolete()
            if self._retention_days:
                deleted = prune(now - datetime.timedelta(days=self._retention_days))
            if self._limits.total:
                deleted += prune_to(self._limits.total)
            self._unpruned = 0
        except (DatabaseError, InterfaceError) as error:
            log_failure(logger, "old records could not be deleted", error, {})
            connection.close()
            return
        if deleted:
            logger.info("old records deleted", extra={"fields": {"queries": deleted}})


def write(batch: Iterable[QueryRecord]) -> None:
    """Write records, their deliveries and the stations' last query in one transaction."""
    records = list(batch)
    with transaction.atomic():
        queries = WorklistQuery.objects.bulk_create(_row(taken) for taken in records)
        existing = _still_there({pk for taken in records for pk in taken.delivered})
        WorklistDelivery.objects.bulk_create(
            (
                WorklistDelivery(
                    query=query, step_id=pk, station_ae_title=taken.calling_ae_title, delivered_at=taken.received_at
                )
                for query, taken in zip(queries, records, strict=True)
                for pk in taken.delivered
                if pk in existing
            ),
            batch_size=_DELIVERIES_AT_ONCE,
        )
        for ae_title, moment in {
            taken.calling_ae_title: taken.received_at for taken in records if taken.station_known
        }.items():
            Station.objects.filter(ae_title=ae_title).update(last_query_at=moment)


def _still_there(wanted: set[int]) -> set[int]:
    # A step may have been deleted since it was sent; the receipt of the others is not lost by that.
    ordered = sorted(wanted)
    found: set[int] = set()
    steps = WorklistDelivery._meta.get_field("step").related_model
    for start in range(0, len(ordered), _DELIVERIES_AT_ONCE):
        part = ordered[start : start + _DELIVERIES_AT_ONCE]
        found.update(steps._default_manager.filter(pk__in=part).values_list("pk", flat=True))
    return found


def _row(taken: QueryRecord) -> WorklistQuery:
    return WorklistQuery(
        received_at=taken.received_at,
        calling_ae_title=taken.calling_ae_title[:16],
        called_ae_title=taken.called_ae_title[:16],
        address=taken.address.partition("%")[0] or None,
        keys=json.loads(taken.keys),
        keys_cut=taken.keys_cut,
        size=taken.size,
        matches=len(taken.delivered),
        truncated=taken.truncated,
        milliseconds=round(taken.milliseconds, 3),
        status=taken.status,
        error_comment=taken.error_comment[:64],
    )


def prune(before: datetime.datetime) -> int:
    """Delete queries received before a moment, a few at a time so that nobody waits long; return how many."""
    total = 0
    while True:
        old = list(
            WorklistQuery.objects.filter(received_at__lt=before)
            .order_by("pk")
            .values_list("pk", flat=True)[:_PRUNED_AT_ONCE]
        )
        if not old:
            return total
        _delete(old)
        total += len(old)


def prune_to(limit: int) -> int:
    """Delete the oldest queries until the others take no more than ``limit`` bytes; return how many."""
    surplus = (WorklistQuery.objects.aggregate(total=Sum("size"))["total"] or 0) - limit
    total = 0
    while surplus > 0:
        rows = WorklistQuery.objects.order_by("pk").values_list("pk", "size")[:_PRUNED_AT_ONCE]
        old: list[int] = []
        for pk, size in rows:
            if surplus <= 0:
                break
            old.append(pk)
            surplus -= size
        if not old:
            break
        _delete(old)
        total += len(old)
    return total


def _delete(old: list[int]) -> None:
    with transaction.atomic():
        WorklistDelivery.objects.filter(query_id__in=old).delete()
        WorklistQuery.objects.filter(pk__in=old).delete()
