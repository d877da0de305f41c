"""What people ask the index: which studies it holds, and what is in one."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from sqlalchemy import ColumnElement, Connection, Engine, Select, func, or_, select, text

from pacs_receiver import image_patients
from pacs_receiver.database import reading
from pacs_receiver.index_tables import announcement, commitment, instance, patient, series, study, study_patient

_AT_ONCE = 500


def list_studies(engine: Engine, *, patient_id: str = "", accession_number: str = "", study_date: str = "",
                 only_odd: bool = False, limit: int | None = None) -> list[dict[str, Any]]:  # fmt: skip
    """Return the studies, the latest arrival first, with their patient, counts and modalities.

    ``patient_id`` finds a study by each ID that its images name; ``other_patients`` are the patients besides its own
    where that are different persons (``mixed_up``). ``only_odd``: those that hold an instance whose encoding is odd.
    """
    query = _studies().order_by(study.c.last_arrival.desc(), study.c.id.desc())
    if patient_id:
        query = query.where(_names(patient_id))
    if accession_number:
        query = query.where(study.c.accession_number == accession_number)
    if study_date:
        query = query.where(study.c.study_date == study_date)
    if only_odd:
        query = query.where(study.c.id.in_(_odd_instances().with_only_columns(series.c.study)))
    if limit is not None:
        query = query.limit(limit)
    with reading(engine) as connection:
        return [_whole(connection, row) for row in connection.execute(query).mappings().all()]


def find_study(engine: Engine, study_uid: str) -> dict[str, Any] | None:
    """Return one study as :func:`list_studies` gives it."""
    with reading(engine) as connection:
        row = connection.execute(_studies().where(study.c.study_uid == study_uid)).mappings().one_or_none()
        return None if row is None else _whole(connection, row)


def _whole(connection: Connection, row: Mapping[Any, Any]) -> dict[str, Any]:
    found = {modality for modality in (row["modalities"] or "").split("\\") if modality}
    others = image_patients.others(connection, row["key"], row["patient_key"]) if row["mixed_up"] else []
    shown = {name: value for name, value in row.items() if name not in ("key", "patient_key")}
    return {**shown, "modalities": sorted(found), "other_patients": others}


def _names(patient_id: str) -> ColumnElement[bool]:
    """Whether a study's patient, or anybody whom its images name, has this ID now."""
    known = patient.alias()
    now = func.coalesce(study_patient.c.current, study_patient.c.patient)
    named = select(study_patient.c.study).join(known, now == known.c.id).where(known.c.patient_id == patient_id)
    return or_(patient.c.patient_id == patient_id, study.c.id.in_(named))


def series_of(engine: Engine, study_uid: str) -> list[dict[str, Any]]:
    """Return the series of a study by number."""
    query = (
        select(series)
        .join(study, series.c.study == study.c.id)
        .where(study.c.study_uid == study_uid, series.c.instance_count > 0)
        .order_by(func.length(series.c.series_number), series.c.series_number, series.c.id)
    )
    with reading(engine) as connection:
        return [dict(row) for row in connection.execute(query).mappings()]


def instances_of(engine: Engine, study_uid: str) -> list[dict[str, Any]]:
    """Return the instances of a study in the order of series and number."""
    query = (
        select(
            *(column for column in instance.c if column is not instance.c.patient),
            series.c.series_uid,
            series.c.series_number,
            series.c.modality,
            study.c.study_uid,
            patient.c.patient_id,
            patient.c.name.label("patient_name"),
        )
        .join_from(instance, series, instance.c.series == series.c.id)
        .join(study, series.c.study == study.c.id)
        .join(patient, func.coalesce(instance.c.patient, study.c.original_patient, study.c.patient) == patient.c.id)
        .where(study.c.study_uid == study_uid)
        .order_by(series.c.id, func.length(instance.c.instance_number), instance.c.instance_number, instance.c.id)
    )
    with reading(engine) as connection:
        return [dict(row) for row in connection.execute(query).mappings()]


def count_of(connection: Connection, study_id: int, waiting: Collection[str]) -> int:
    """Count, of files that lie aside by their SOP Instance UIDs, those of instances of a study."""
    if not waiting:
        return 0
    theirs = _among(select(instance.c.sop_instance_uid), waiting, connection, series.c.study == study_id)
    return sum(uid in theirs for uid in waiting)


def studies_of(engine: Engine, instances: Collection[str]) -> set[int]:
    """Return the row numbers of the studies of these SOP Instance UIDs."""
    with reading(engine) as connection:
        return _among(select(series.c.study), instances, connection)


def _among(
    query: Select[Any], instances: Collection[str], connection: Connection, *conditions: ColumnElement[bool]
) -> set[Any]:
    wanted, found = sorted(set(instances)), set[Any]()
    joined = query.join_from(instance, series, instance.c.series == series.c.id).where(*conditions)
    for start in range(0, len(wanted), _AT_ONCE):
        some = instance.c.sop_instance_uid.in_(wanted[start : start + _AT_ONCE])
        found.update(connection.execute(joined.where(some)).scalars())
    return found


def mixed_up(engine: Engine) -> int:
    """Count the studies with images of different patients."""
    query = select(func.count()).select_from(study).where(study.c.mixed_up, study.c.instance_count > 0)
    with reading(engine) as connection:
        return int(connection.execute(query).scalar_one())


def totals(engine: Engine) -> dict[str, int]:
    """Count what there is and what waits."""
    counts = {
        "patients": select(func.count(study.c.patient.distinct())).where(study.c.instance_count > 0),
        "studies": select(func.count()).select_from(study).where(study.c.instance_count > 0),
        "series": select(func.coalesce(func.sum(study.c.series_count), 0)),
        "instances": select(func.coalesce(func.sum(study.c.instance_count), 0)),
        "file_bytes": select(func.coalesce(func.sum(study.c.file_bytes), 0)),
        "open_studies": select(func.count())
        .select_from(study)
        .where(study.c.completed_at.is_(None), study.c.instance_count > 0),
        "mixed_up_studies": select(func.count()).select_from(study).where(study.c.mixed_up, study.c.instance_count > 0),
        "commitments_waiting": select(func.count())
        .select_from(commitment)
        .where(commitment.c.next_attempt.is_not(None)),
        "odd_instances": _odd_instances(),
        "announcements_waiting": select(func.count())
        .select_from(announcement)
        .where(announcement.c.next_attempt.is_not(None)),
    }
    with reading(engine) as connection:
        return {name: int(connection.execute(query).scalar_one()) for name, query in counts.items()}


def odd_count(connection: Connection, study_id: int) -> int:
    """Count the instances of a study whose encoding is odd."""
    return int(connection.execute(_odd_instances().where(series.c.study == study_id)).scalar_one())


def _odd_instances() -> Select[Any]:
    is_odd = text("instance.odd <> ''")  # as the partial index says it, with no parameter
    return select(func.count()).select_from(instance).join(series, instance.c.series == series.c.id).where(is_odd)


def _studies() -> Select[Any]:
    original = patient.alias("original")
    modalities = (
        select(func.aggregate_strings(series.c.modality, "\\"))
        .where(series.c.study == study.c.id, series.c.instance_count > 0)
        .scalar_subquery()
    )
    return (
        select(
            study.c.study_uid,
            study.c.study_date,
            study.c.study_time,
            study.c.accession_number,
            study.c.study_id,
            study.c.description,
            patient.c.patient_id,
            patient.c.issuer,
            patient.c.name.label("patient_name"),
            patient.c.birth_date,
            patient.c.sex,
            # whom the stored images name, where that is somebody else; NULL where it is not
            original.c.patient_id.label("original_patient_id"),
            original.c.issuer.label("original_issuer"),
            original.c.name.label("original_patient_name"),
            original.c.birth_date.label("original_birth_date"),
            original.c.sex.label("original_sex"),
            modalities.label("modalities"),
            study.c.series_count,
            study.c.instance_count,
            study.c.file_bytes,
            study.c.first_arrival,
            study.c.last_arrival,
            study.c.completed_at,
            _odd_instances().where(series.c.study == study.c.id).correlate(study).scalar_subquery().label("odd_count"),
            study.c.mixed_up,
            study.c.id.label("key"),
            patient.c.id.label("patient_key"),
        )
        .join_from(study, patient, study.c.patient == patient.c.id)
        .outerjoin(original, study.c.original_patient == original.c.id)
        .where(study.c.instance_count > 0)
    )
