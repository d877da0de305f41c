"""The SQL of writing the index, stated once by the tables and compiled for SQLite or PostgreSQL."""

from __future__ import annotations

from sqlalchemy import Dialect, Integer, Table, bindparam, cast, func, literal_column, null, select, true, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.sql import ClauseElement

from pacs_receiver import indexed_attributes
from pacs_receiver.index_tables import instance, patient, patient_change, series, study, study_patient

_OF_INSTANCE = tuple(column.name for column in instance.columns if column.name not in ("id", "committed_at"))
_ONE = literal_column("1", Integer)


class Statements:
    """The statements of one database, compiled once from the tables into the driver's own SQL.

    ``insert_and_count`` does the work of ``insert_instance``, ``count_series`` and ``count_study`` for one instance;
    empty where the database can't say that in one statement.
    """

    def __init__(self, dialect: Dialect) -> None:
        self._dialect = dialect
        self.find_patient = self._find(patient, "patient_id", "issuer", "name", "birth_date", "sex", "apart")
        self.insert_patient = self._insert(patient, "patient_id", "issuer", "name", "birth_date", "sex", "apart")
        self.find_study = self._find(study, "study_uid")
        self.insert_study = self._insert(
            study,
            "study_uid",
            "patient",
            "first_arrival",
            "last_arrival",
            *(a.column for a in indexed_attributes.INDEXED if a.level == "study"),
        )
        self.find_series = self._find(series, "study", "series_uid")
        self.insert_series = self._insert(
            series, "study", "series_uid", *(a.column for a in indexed_attributes.INDEXED if a.level == "series")
        )
        self.is_series = self._sql(
            select(series.c.id)
            .join_from(series, study, series.c.study == study.c.id)
            .where(
                series.c.id == bindparam("series"),
                study.c.id == bindparam("study"),
                series.c.series_uid == bindparam("series_uid"),
                study.c.study_uid == bindparam("study_uid"),
                select(study_patient.c.patient)
                .where(study_patient.c.study == study.c.id, study_patient.c.patient == bindparam("patient"))
                .exists(),
            )
        )
        self.find_link = self._sql(
            select(study_patient.c.patient).where(
                study_patient.c.study == bindparam("study"), study_patient.c.patient == bindparam("patient")
            )
        )
        self.insert_link = self._insert(study_patient, "study", "patient")
        self.lock_study = self._sql(select(study.c.id).where(study.c.id == bindparam("study")).with_for_update())
        self.persons = self._sql(
            select(patient.c.patient_id, patient.c.issuer, patient.c.name, patient.c.birth_date)
            .join_from(
                study_patient, patient, func.coalesce(study_patient.c.current, study_patient.c.patient) == patient.c.id
            )
            .where(study_patient.c.study == bindparam("study"))
        )
        self.find_change = self._sql(
            select(patient_change.c.position)
            .join_from(study_patient, patient, study_patient.c.patient == patient.c.id)
            .join(patient_change, patient_change.c.old_patient_id == patient.c.patient_id)
            .where(study_patient.c.study == bindparam("study"))
        )
        self.compare_again = self._sql(update(study).where(study.c.id == bindparam("study")).values(identity_at=null()))
        self.mark_mixed_up = self._sql(
            update(study).where(study.c.id == bindparam("study"), ~study.c.mixed_up).values(mixed_up=true())
        )
        self.insert_instance = self._insert(instance, *_OF_INSTANCE)
        self.find_instance = self._sql(
            select(instance.c.series, instance.c.sha256).where(
                instance.c.sop_instance_uid == bindparam("sop_instance_uid")
            )
        )
        self.count_series = self._sql(
            update(series)
            .where(series.c.id == bindparam("key"))
            .values(
                instance_count=series.c.instance_count + bindparam("instances"),
                file_bytes=series.c.file_bytes + bindparam("size"),
            )
            .returning(series.c.instance_count)
        )
        latest = func.max if dialect.name == "sqlite" else func.greatest
        self.count_study = self._sql(
            update(study)
            .where(study.c.id == bindparam("key"))
            .values(
                series_count=study.c.series_count + bindparam("series"),
                instance_count=study.c.instance_count + bindparam("instances"),
                file_bytes=study.c.file_bytes + bindparam("size"),
                last_arrival=latest(study.c.last_arrival, bindparam("arrival")),
                completed_at=null(),
            )
        )
        self.insert_and_count = self._insert_and_count() if dialect.name == "postgresql" else ""

    def _insert_and_count(self) -> str:
        """An instance that is there already is not inserted: then nothing is counted, and no row counts as changed."""
        new = (
            postgresql.insert(instance)
            .values({name: bindparam(name) for name in _OF_INSTANCE})
            .on_conflict_do_nothing()
            .returning(instance.c.series, instance.c.file_bytes, instance.c.arrived_at)
            .cte("new")
        )
        counted = (
            update(series)
            .where(series.c.id == new.c.series)
            .values(instance_count=series.c.instance_count + _ONE, file_bytes=series.c.file_bytes + new.c.file_bytes)
            .returning(
                series.c.study,
                # the series' first instance: only now does the study have one series more
                cast(series.c.instance_count == _ONE, Integer).label("new_series"),
                new.c.file_bytes,
                new.c.arrived_at,
            )
            .cte("counted")
        )
        return self._sql(
            update(study)
            .where(study.c.id == counted.c.study)
            .values(
                series_count=study.c.series_count + counted.c.new_series,
                instance_count=study.c.instance_count + _ONE,
                file_bytes=study.c.file_bytes + counted.c.file_bytes,
                last_arrival=func.greatest(study.c.last_arrival, counted.c.arrived_at),
                completed_at=null(),
            )
        )

    def _find(self, table: Table, *names: str) -> str:
        return self._sql(select(table.c.id).where(*(table.c[name] == bindparam(name) for name in names)))

    def _insert(self, table: Table, *names: str) -> str:
        insert = sqlite.insert if self._dialect.name == "sqlite" else postgresql.insert
        return self._sql(insert(table).values({name: bindparam(name) for name in names}).on_conflict_do_nothing())

    def _sql(self, statement: ClauseElement) -> str:
        style = "named" if self._dialect.name == "sqlite" else "pyformat"
        return str(statement.compile(dialect=type(self._dialect)(paramstyle=style)))  # type: ignore[call-arg]
