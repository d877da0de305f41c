"""Retention: which studies may go when they are old or the disk fills, and the disk's runway."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass

from sqlalchemy import ColumnElement, Engine, and_, func, or_, select

from pacs_receiver import aside, deletion, queries
from pacs_receiver.config import PacsConfig
from pacs_receiver.database import reading
from pacs_receiver.index import IndexWriter
from pacs_receiver.index_tables import announcement, commitment, instance, series, study
from pacs_receiver.storage import Storage

_WEEK = 7 * 86400.0


@dataclass(frozen=True, slots=True)
class Candidate:
    """A study that retention removes, and why: its age, or the disk."""

    study_uid: str
    last_arrival: float
    instance_count: int
    file_bytes: int
    reason: str


def candidates(engine: Engine, config: PacsConfig) -> list[Candidate]:
    """Return what retention would remove now, oldest first; empty when it is off.

    Nothing that is not complete, nothing with an announcement or a commitment still under way, and, as the setting
    demands, nothing uncommitted and nothing unannounced. Nothing of which newer bytes lie aside.
    """
    found: list[Candidate] = []
    too_many = _bytes_above_high_water(config)
    limit = time.time() - config.retention_days * 86400
    for row in _removable(engine, config):
        if config.retention_days and row.last_arrival < limit:
            reason = "age"
        elif too_many > 0:
            reason = "high-water mark"
        else:
            continue
        too_many -= row.file_bytes
        found.append(Candidate(row.study_uid, row.last_arrival, row.instance_count, row.file_bytes, reason))
    return found


def is_on(config: PacsConfig) -> bool:
    return bool(config.retention_days or config.retention_high_water_percent)


def apply(engine: Engine, storage: Storage, writer: IndexWriter, config: PacsConfig, *, who: str) -> list[Candidate]:
    """Remove what :func:`candidates` names; each is looked at again just before it goes."""
    removed = []
    for candidate in candidates(engine, config):
        if candidate.study_uid not in {row.study_uid for row in _removable(engine, config, candidate.study_uid)}:
            continue
        deletion.delete_study(
            engine, storage, writer, candidate.study_uid, who=who, action=f"retention: {candidate.reason}",
            to_trash=False,
        )  # fmt: skip
        removed.append(candidate)
    return removed


@dataclass(frozen=True, slots=True)
class _Study:
    study_uid: str
    last_arrival: float
    instance_count: int
    file_bytes: int


def _removable(engine: Engine, config: PacsConfig, only: str = "") -> Iterator[_Study]:
    if not is_on(config):
        return
    conditions = [study.c.completed_at.is_not(None), study.c.instance_count > 0, *_safety(config)]
    if only:
        conditions.append(study.c.study_uid == only)
    query = (
        select(study.c.id, study.c.study_uid, study.c.last_arrival, study.c.instance_count, study.c.file_bytes)
        .where(and_(*conditions))
        .order_by(study.c.last_arrival, study.c.id)
    )
    with reading(engine) as connection:
        rows = connection.execute(query).all()
    # of what lies aside for an instance somebody decides first, and perhaps it is the better one
    unsettled = queries.studies_of(engine, [of.sop_instance_uid for of in aside.newer(config.storage_dir)])
    for row in rows:
        if row.id not in unsettled:
            yield _Study(*row[1:])


def _safety(config: PacsConfig) -> list[ColumnElement[bool]]:
    of_study = announcement.c.study_uid == study.c.study_uid
    under_way = select(announcement.c.id).where(of_study, announcement.c.delivered_at.is_(None)).exists()
    uncommitted = (
        select(instance.c.id)
        .join(series, instance.c.series == series.c.id)
        .where(series.c.study == study.c.id, instance.c.committed_at.is_(None))
        .exists()
    )
    # A request under way names instances inside its JSON; as long as any is, nothing younger than it goes.
    awaited = (
        select(commitment.c.id)
        .where(commitment.c.next_attempt.is_not(None), commitment.c.requested_at >= study.c.first_arrival)
        .exists()
    )
    conditions = [~under_way, ~awaited]
    if "committed" in config.retention_requires:
        conditions.append(~uncommitted)
    if "announced" in config.retention_requires:
        told = select(announcement.c.id).where(of_study, announcement.c.created_at >= study.c.last_arrival).exists()
        conditions.append(told)
    return [or_(condition) for condition in conditions]


def _bytes_above_high_water(config: PacsConfig) -> float:
    if not config.retention_high_water_percent:
        return 0
    usage = shutil.disk_usage(config.storage_dir)
    total = usage.used + usage.free
    return usage.used - total * config.retention_high_water_percent / 100


@dataclass(frozen=True, slots=True)
class Runway:
    """How long the disk lasts: free bytes above the reserve, and the last seven days' mean intake in bytes a day."""

    free_bytes: int
    bytes_a_day: float

    @property
    def days(self) -> float | None:
        """Days left at this rate; None when nothing arrived."""
        return self.free_bytes / self.bytes_a_day if self.bytes_a_day else None


def free_bytes(config: PacsConfig) -> int:
    """Return how many bytes are free above the reserve."""
    return max(0, shutil.disk_usage(config.storage_dir).free - config.min_free_bytes)


def runway(engine: Engine, config: PacsConfig) -> Runway:
    """Measure the runway."""
    now = time.time()
    query = select(func.coalesce(func.sum(instance.c.file_bytes), 0), func.min(instance.c.arrived_at)).where(
        instance.c.arrived_at > now - _WEEK
    )
    with reading(engine) as connection:
        size, first = connection.execute(query).one()
    # a receiver that has been running for a day only has a day's intake
    span = min(_WEEK, max(86400.0, now - first)) if first is not None else _WEEK
    return Runway(free_bytes(config), float(size) / (span / 86400))
