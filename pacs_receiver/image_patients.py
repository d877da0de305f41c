"""Whose images a study holds: a person is patient ID and issuer, confirmed by name and birth date.

The instances of one study name one person (PS3.3 §A.1.2). Devices break that: two patients come under one Study
Instance UID when a station kept an examination open, or copied one. Then the study has several persons, each is found
by the ID in the images, and the study is marked. What is absent neither confirms nor contradicts.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from itertools import combinations
from typing import Any

from sqlalchemy import Connection, Engine, delete, func, select, update

from gateway_link import names
from pacs_receiver.database import reading
from pacs_receiver.index_tables import instance, patient, series, study, study_patient

logger = logging.getLogger(__name__)

_DATE = re.compile(r"[12][0-9]{3}(0[1-9]|1[0-2])(0[1-9]|[12][0-9]|3[01])")


@dataclass(frozen=True, slots=True)
class ImagePatient:
    """A patient as images name one; values as they were received, empty where there is none."""

    patient_id: str
    issuer: str
    name: str
    birth_date: str

    def contradicts(self, other: ImagePatient) -> bool:
        """Say whether the two can't be one person."""
        return (
            _differ(self.patient_id, other.patient_id)
            or _differ(self.issuer, other.issuer)
            or _differ_by_name(self.name, other.name)
            or _differ(_birth_date(self.birth_date), _birth_date(other.birth_date))
        )


def are_several(persons: Iterable[ImagePatient]) -> bool:
    """Say whether any two of these contradict each other."""
    return any(one.contradicts(other) for one, other in combinations(persons, 2))


def _differ(one: str, other: str) -> bool:
    return bool(one and other and one != other)


def _differ_by_name(one: str, other: str) -> bool:
    """Compare family and given name in each form that both have; middle names and titles come and go."""
    groups = zip(names.folded(one).split("="), names.folded(other).split("="), strict=False)
    return any(
        _differ(mine.strip(), theirs.strip())
        for group, same in groups
        for mine, theirs in zip(group.split("^")[:2], same.split("^")[:2], strict=False)
    )


def _birth_date(value: str) -> str:
    """An unusable birth date is as absent."""
    plain = value.replace(".", "")
    return plain if _DATE.fullmatch(plain) else ""


def of_study(connection: Connection, study_id: int) -> list[Any]:
    """Return the patient rows of those whom images of a study name, as who they are now; the first known first."""
    now = func.coalesce(study_patient.c.current, study_patient.c.patient)
    query = (
        select(patient)
        .join_from(study_patient, patient, now == patient.c.id)
        .where(study_patient.c.study == study_id)
        .order_by(patient.c.id)
        .distinct()
    )
    return list(connection.execute(query))


def person_of(row: Any) -> ImagePatient:
    """Return the person that a patient row tells of."""
    return ImagePatient(row.patient_id, row.issuer, row.name, row.birth_date)


def others(connection: Connection, study_id: int, patient_id: int) -> list[dict[str, str]]:
    """Return, as notices tell it, whom the images of a marked study name besides its own patient."""
    return [
        {"id": row.patient_id, "issuer": row.issuer, "name": row.name, "birth_date": row.birth_date, "sex": row.sex}
        for row in of_study(connection, study_id)
        if row.id != patient_id
    ]


def prune(connection: Connection, study_id: int) -> None:
    """Forget the persons whom no instance of a study names any longer, and judge the study anew.

    A study with instances of which it is not known whom they name (they were indexed by an older version) keeps all.
    """
    of_it = select(instance.c.patient).join(series, instance.c.series == series.c.id).where(series.c.study == study_id)
    if connection.execute(of_it.where(instance.c.patient.is_(None)).limit(1)).first() is None:
        connection.execute(
            delete(study_patient).where(study_patient.c.study == study_id, study_patient.c.patient.not_in(of_it))
        )
    judge(connection, study_id)


def name_anew(engine: Engine, sop_instance_uid: str) -> None:
    """After an instance's place went to other bytes: its study is nobody's whom none of its images names any longer."""
    of_it = select(series.c.study).join_from(instance, series, instance.c.series == series.c.id)
    mine = of_it.where(instance.c.sop_instance_uid == sop_instance_uid).scalar_subquery()
    query = select(study.c.id, study.c.patient, study.c.original_patient).where(study.c.id == mine).with_for_update()
    with engine.begin() as connection:
        row = connection.execute(query).one_or_none()
        if row is None:
            return
        prune(connection, row.id)
        named = select(study_patient.c.patient).where(study_patient.c.study == row.id).order_by(study_patient.c.patient)
        left = list(connection.execute(named).scalars())
        if left and (row.patient if row.original_patient is None else row.original_patient) not in left:
            # without identity_at the changes that the site told of are compared with it again
            anew = {"patient": left[0], "original_patient": None, "identity_at": None, "completed_at": None}
            connection.execute(update(study).where(study.c.id == row.id).values(anew))


def judge(connection: Connection, study_id: int) -> bool:
    """Mark a study, or take its mark away, by the persons in its images; say whether that changed.

    Whoever was told of the study is told again then.
    """
    mixed = are_several(person_of(row) for row in of_study(connection, study_id))
    changed = connection.execute(
        update(study)
        .where(study.c.id == study_id, study.c.mixed_up != mixed)
        .values(mixed_up=mixed, completed_at=None)
        .returning(study.c.study_uid)
    ).scalar_one_or_none()
    if changed is not None and mixed:
        fields = {"study": changed}
        logger.warning("images of different patients are under one Study Instance UID", extra={"fields": fields})
    return changed is not None


def follow(connection: Connection, study_id: int, now: Callable[[int], int]) -> None:
    """Note who those whom images of a study name are ``now``, by patient row; then judge the study anew."""
    links = select(study_patient.c.patient, study_patient.c.current).where(study_patient.c.study == study_id)
    for row in connection.execute(links).all():
        found = now(row.patient)
        current = None if found == row.patient else found
        if current != row.current:
            connection.execute(
                update(study_patient)
                .where(study_patient.c.study == study_id, study_patient.c.patient == row.patient)
                .values(current=current)
            )
    judge(connection, study_id)


def learn(engine: Engine, named: Callable[[str], Mapping[str, str] | None]) -> int:
    """Fill in whom instances name that an older version indexed; return how many.

    ``named`` gives the patient's columns for a SOP Instance UID as its file has them, None where it can't be read.
    """
    query = select(instance.c.sop_instance_uid).where(instance.c.patient.is_(None)).order_by(instance.c.id)
    with reading(engine) as connection:
        unknown = list(connection.execute(query).scalars())
    learnt = 0
    for sop_instance_uid in unknown:
        values = named(sop_instance_uid)
        if values is not None:
            with engine.begin() as connection:
                learnt += _learn(connection, sop_instance_uid, values)
    return learnt


def _learn(connection: Connection, sop_instance_uid: str, values: Mapping[str, str]) -> bool:
    of_it = (
        select(study.c.id, study.c.study_uid)
        .join_from(instance, series, instance.c.series == series.c.id)
        .join(study, series.c.study == study.c.id)
        .where(instance.c.sop_instance_uid == sop_instance_uid, instance.c.patient.is_(None))
        .with_for_update(of=study)
    )
    row = connection.execute(of_it).one_or_none()
    if row is None:
        return False
    wanted = {**values, "apart": "" if values["patient_id"] else row.study_uid}
    same = [patient.c[name] == value for name, value in wanted.items()]
    patient_id = connection.execute(select(patient.c.id).where(*same)).scalar_one_or_none()
    if patient_id is None:
        patient_id = connection.execute(patient.insert().values(**wanted).returning(patient.c.id)).scalar_one()
    connection.execute(
        update(instance).where(instance.c.sop_instance_uid == sop_instance_uid).values(patient=patient_id)
    )
    link = (study_patient.c.study == row.id) & (study_patient.c.patient == patient_id)
    if connection.execute(select(study_patient.c.patient).where(link)).first() is None:
        connection.execute(study_patient.insert().values(study=row.id, patient=patient_id))
        connection.execute(update(study).where(study.c.id == row.id).values(identity_at=None))
        judge(connection, row.id)
    return True
