"""The site's changes of patients (IHE RAD, Patient Information Reconciliation): kept for good, and followed by studies.

A change is a file below the storage first and a row of the index then, so that an index that is rebuilt from the files
follows it again. Studies follow one by one, each from what its images say, under the lock of its row: whoever comes
first, the outcome is the same. Images are never touched.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import time
import uuid
from collections.abc import Iterator, Mapping
from http import HTTPStatus
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, func, or_, select, text, update
from sqlalchemy.dialects import postgresql, sqlite

from pacs_receiver import image_patients
from pacs_receiver.commands import Declined, TryLater
from pacs_receiver.database import reading
from pacs_receiver.identity import Change, IndexedPatient, parse, resolve
from pacs_receiver.index_tables import patient, patient_change, study, study_patient
from pacs_receiver.storage import Storage

logger = logging.getLogger(__name__)

FOLDER = "patient-changes"
_PERSON = ("patient_id", "issuer", "name", "birth_date", "sex")
_AT_ONCE = 200


def take(engine: Engine, storage: Storage, wish: Mapping[str, Any]) -> Mapping[str, Any]:
    """The command ``change-patient``: keep a change, and have the studies that are there follow it.

    The same change again is the same as once.
    """
    try:
        change_id, _ = str(uuid.UUID(wish["change"])), parse(wish)
    except (KeyError, TypeError, ValueError, AttributeError):
        raise Declined(HTTPStatus.BAD_REQUEST, "The body is no change of a patient.") from None
    try:
        position = _write_file(storage, change_id, wish)
    except OSError as error:
        raise TryLater("The change could not be kept.") from error
    _write_row(engine, position, change_id, wish)
    return {"studies": follow(engine)}


def restore(engine: Engine, storage: Storage) -> int:
    """Give the changes that only the storage knows their rows again; return how many."""
    with reading(engine) as connection:
        known = set(connection.execute(select(patient_change.c.change_id)).scalars())
    missing = [(place, name, path) for place, name, path in _files(storage) if name not in known]
    for place, name, path in missing:
        try:
            body = json.loads(path.read_bytes())
            parse(body)
        except (OSError, ValueError):
            logger.error("a kept change of a patient can't be read", extra={"fields": {"name": path.name}})
            continue
        _write_row(engine, place, name, body)
    if missing:
        fields = {"changes": len(missing)}
        logger.info("changes of patients were found in the storage and are followed again", extra={"fields": fields})
    return len(missing)


def follow(engine: Engine) -> int:
    """Have studies follow: those that are new, and all whom a new change is about; return how many changed hands."""
    moved = 0
    with reading(engine) as connection:
        pending = connection.execute(
            select(patient_change.c.position, patient_change.c.old_patient_id)
            .where(patient_change.c.applied_at.is_(None))
            .order_by(patient_change.c.position)
        ).all()
    for row in pending:
        moved += _follow_all(engine, _studies_of(engine, row.old_patient_id))
        with engine.begin() as connection:
            connection.execute(
                update(patient_change).where(patient_change.c.position == row.position).values(applied_at=time.time())
            )
    return moved + follow_new(engine)


def follow_new(engine: Engine) -> int:
    """Have the studies follow that came since; return how many changed hands."""
    moved = 0
    query = select(study.c.id).where(study.c.identity_at.is_(None)).order_by(study.c.id).limit(_AT_ONCE)
    while True:
        with reading(engine) as connection:
            found = list(connection.execute(query).scalars())
        moved += _follow_all(engine, found)
        if len(found) < _AT_ONCE:
            return moved


def _studies_of(engine: Engine, patient_id: str) -> list[int]:
    named = or_(study_patient.c.patient == patient.c.id, study_patient.c.current == patient.c.id)
    others = select(study_patient.c.study).join(patient, named).where(patient.c.patient_id == patient_id)
    own = select(study.c.id).join(patient, study.c.patient == patient.c.id).where(patient.c.patient_id == patient_id)
    query = own.union(others).order_by(text("1"))
    with reading(engine) as connection:
        return list(connection.execute(query).scalars())


def _follow_all(engine: Engine, studies: list[int]) -> int:
    moved = 0
    for start in range(0, len(studies), _AT_ONCE):
        with engine.begin() as connection:
            moved += sum(_follow(connection, study_id) for study_id in studies[start : start + _AT_ONCE])
    return moved


def _follow(connection: Connection, study_id: int) -> bool:
    """Give a study the patient whose it is now; say whether that is another than before."""
    row = connection.execute(
        select(study.c.study_uid, study.c.patient, study.c.original_patient)
        .where(study.c.id == study_id)
        .with_for_update()
    ).one_or_none()
    if row is None:
        return False
    first = row.patient if row.original_patient is None else row.original_patient
    current = _current(connection, first, row.study_uid)
    original = None if current == first else first
    values: dict[str, Any] = {"patient": current, "original_patient": original, "identity_at": time.time()}
    if current != row.patient:
        # whoever was told of the study is told again, with both identities
        values["completed_at"] = None
    connection.execute(update(study).where(study.c.id == study_id).values(values))
    image_patients.follow(connection, study_id, lambda named: _current(connection, named, row.study_uid))
    return bool(current != row.patient)


def _current(connection: Connection, patient_row: int, study_uid: str) -> int:
    """Return the patient row of who that is now whom images of a study name."""
    stored = _person(connection, patient_row)
    now = resolve(stored, study_uid, lambda old_id, behind: _changes_of(connection, old_id, behind))
    return patient_row if now == stored else _patient_row(connection, now, study_uid)


def _person(connection: Connection, row_id: int) -> IndexedPatient:
    columns = (patient.c[name] for name in _PERSON)
    return IndexedPatient(*connection.execute(select(*columns).where(patient.c.id == row_id)).one())


def _patient_row(connection: Connection, person: IndexedPatient, study_uid: str) -> int:
    values = {name: getattr(person, name) for name in _PERSON}
    values["apart"] = "" if person.patient_id else study_uid
    insert = sqlite.insert if connection.dialect.name == "sqlite" else postgresql.insert
    connection.execute(insert(patient).values(values).on_conflict_do_nothing())
    query = select(patient.c.id).where(*(patient.c[name] == value for name, value in values.items()))
    return int(connection.execute(query).scalar_one())


def _changes_of(connection: Connection, patient_id: str, behind: int) -> Iterator[tuple[int, Change]]:
    query = (
        select(patient_change.c.position, patient_change.c.body)
        .where(patient_change.c.old_patient_id == patient_id, patient_change.c.position > behind)
        .order_by(patient_change.c.position)
    )
    for row in connection.execute(query).all():
        yield row.position, parse(json.loads(row.body))


def _write_row(engine: Engine, position: int, change_id: str, body: Mapping[str, Any]) -> None:
    insert = sqlite.insert if engine.dialect.name == "sqlite" else postgresql.insert
    with engine.begin() as connection:
        connection.execute(
            insert(patient_change)
            .values(
                position=position,
                change_id=change_id,
                old_patient_id=parse(body).before.patient_id,
                body=json.dumps(dict(body), ensure_ascii=False),
            )
            .on_conflict_do_nothing()
        )


def _files(storage: Storage) -> list[tuple[int, str, Path]]:
    """Return position, ID and path of each change that the storage knows, in their order."""
    found = []
    for path in sorted((storage.root / FOLDER).glob("*.json")):
        place, _, change_id = path.stem.partition("-")
        if place.isdecimal() and change_id:
            found.append((int(place), change_id, path))
    return found


def _write_file(storage: Storage, change_id: str, body: Mapping[str, Any]) -> int:
    """Make a change durable below the storage; return its position, that of an earlier attempt if there was one."""
    folder = storage.root / FOLDER
    if not folder.exists():
        with contextlib.suppress(FileExistsError):
            folder.mkdir(mode=0o700)
        storage.sync_folder(storage.root)
    there = _files(storage)
    earlier = next((place for place, name, _ in there if name == change_id), None)
    if earlier is not None:
        return earlier
    # A clock that goes back changes no order.
    position = max(time.time_ns(), there[-1][0] + 1 if there else 0)
    target = folder / f"{position:020d}-{change_id}.json"
    temporary = target.with_suffix(".new")
    data = json.dumps(dict(body), ensure_ascii=False).encode()
    fd = os.open(temporary, os.O_CREAT | os.O_WRONLY | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    with os.fdopen(fd, "wb") as file:
        file.write(data)
        file.flush()
        if storage.fsync:
            os.fsync(file.fileno())
    temporary.replace(target)
    storage.sync_folder(folder)
    return position


def totals(engine: Engine) -> dict[str, int]:
    """Count the changes that are known, those that studies have not followed yet, and the studies that follow one."""
    counts = {
        "patient_changes": select(func.count()).select_from(patient_change),
        "patient_changes_waiting": select(func.count())
        .select_from(patient_change)
        .where(patient_change.c.applied_at.is_(None)),
        "studies_of_changed_patients": select(func.count())
        .select_from(study)
        .where(study.c.original_patient.is_not(None), study.c.instance_count > 0),
    }
    with reading(engine) as connection:
        return {name: int(connection.execute(query).scalar_one()) for name, query in counts.items()}
