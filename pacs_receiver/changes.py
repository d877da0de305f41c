"""Rare changes of the index: rows that go, or that are looked at one by one. Counts follow in the same transaction."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import Connection, Engine, delete, select, update

from pacs_receiver import image_patients
from pacs_receiver.database import reading
from pacs_receiver.index_tables import instance, series, study


@dataclass(frozen=True, slots=True)
class InstancePlace:
    """Where the index says that an instance is, and the SHA-256 of its data set."""

    study_uid: str
    series_uid: str
    sop_instance_uid: str
    sha256: bytes

    @property
    def uids(self) -> tuple[str, str, str]:
        return self.study_uid, self.series_uid, self.sop_instance_uid


def place_of(engine: Engine, sop_instance_uid: str) -> InstancePlace | None:
    """Look an instance up; None when the index does not have it."""
    query = (
        select(study.c.study_uid, series.c.series_uid, instance.c.sop_instance_uid, instance.c.sha256)
        .join_from(instance, series, instance.c.series == series.c.id)
        .join(study, series.c.study == study.c.id)
        .where(instance.c.sop_instance_uid == sop_instance_uid)
    )
    with reading(engine) as connection:
        row = connection.execute(query).one_or_none()
    return None if row is None else InstancePlace(row[0], row[1], row[2], bytes(row[3]))


def remove_row(engine: Engine, sop_instance_uid: str) -> bool:
    """Remove an instance's row and count it out of series and study; False when there was none."""
    with engine.begin() as connection:
        return remove_row_within(connection, sop_instance_uid)


def remove_row_within(connection: Connection, sop_instance_uid: str) -> bool:
    """Like :func:`remove_row`, as part of a larger transaction."""
    removed = connection.execute(
        delete(instance)
        .where(instance.c.sop_instance_uid == sop_instance_uid)
        .returning(instance.c.series, instance.c.file_bytes)
    ).one_or_none()
    if removed is None:
        return False
    left = connection.execute(
        update(series)
        .where(series.c.id == removed.series)
        .values(instance_count=series.c.instance_count - 1, file_bytes=series.c.file_bytes - removed.file_bytes)
        .returning(series.c.study, series.c.instance_count)
    ).one()
    of_study = connection.execute(
        update(study)
        .where(study.c.id == left.study)
        .values(
            instance_count=study.c.instance_count - 1,
            file_bytes=study.c.file_bytes - removed.file_bytes,
            series_count=study.c.series_count - (1 if left.instance_count == 0 else 0),
        )
        .returning(study.c.id, study.c.mixed_up)
    ).one()
    if of_study.mixed_up:
        image_patients.prune(connection, of_study.id)
    return True


def remove_empty_rows(engine: Engine, study_uid: str) -> None:
    """Remove the series of a study that hold nothing, and the study itself when it holds nothing."""
    with engine.begin() as connection:
        of_study = select(study.c.id).where(study.c.study_uid == study_uid).scalar_subquery()
        used_series = select(instance.c.id).where(instance.c.series == series.c.id).exists()
        connection.execute(delete(series).where(series.c.study == of_study, ~used_series))
        used_study = select(series.c.id).where(series.c.study == study.c.id).exists()
        connection.execute(delete(study).where(study.c.study_uid == study_uid, ~used_study))


def announce_again(engine: Engine, sop_instance_uid: str) -> None:
    """Have the study of an instance announced again: what lies aside for it has changed."""
    of_it = select(series.c.study).join_from(instance, series, instance.c.series == series.c.id)
    changed = of_it.where(instance.c.sop_instance_uid == sop_instance_uid).scalar_subquery()
    with engine.begin() as connection:
        connection.execute(update(study).where(study.c.id == changed).values(completed_at=None))
