"""The rows above an instance: patient, study and series, made where they are missing, in the writer's transaction."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from pacs_receiver import image_patients, indexed_attributes

if TYPE_CHECKING:
    from pacs_receiver.index_record import InstanceRecord
    from pacs_receiver.index_statements import Statements

logger = logging.getLogger(__name__)

Key = tuple[str, str, tuple[bytes, ...]]
"""Study and series UID, and the encoded attributes that name the patient."""


class Cursor(Protocol):
    rowcount: int

    def execute(self, sql: str, parameters: Any = ..., /) -> Any: ...
    def fetchone(self) -> Any: ...
    def fetchall(self) -> Any: ...


class Ids(NamedTuple):
    """Row numbers of what is above an instance."""

    study: int
    series: int
    patient: int


def key_of(record: InstanceRecord) -> Key:
    return record.study_uid, record.series_uid, indexed_attributes.patient_key(record.values)


def still_there(cursor: Cursor, statements: Statements, key: Key, ids: Ids) -> bool:
    """Say whether row numbers that a process remembers still are those of a series and a patient in its study.

    SQLite gives the numbers of deleted rows to others: another process may have deleted the study meanwhile.
    """
    wanted = {"study_uid": key[0], "series_uid": key[1], "study": ids.study, "series": ids.series}
    cursor.execute(statements.is_series, {**wanted, "patient": ids.patient})
    return bool(cursor.fetchone())


def make(cursor: Cursor, statements: Statements, record: InstanceRecord, character_set: str) -> Ids:
    """Return the row numbers of what is above an instance, made where they are missing."""
    patient_id = _patient(cursor, statements, record, character_set)
    study_id = _study(cursor, statements, record, patient_id, character_set)
    of_series = {
        **indexed_attributes.columns("series", record.values, character_set),
        "study": study_id,
        "series_uid": record.series_uid,
    }
    cursor.execute(statements.insert_series, of_series)
    cursor.execute(statements.find_series, {"study": study_id, "series_uid": record.series_uid})
    return Ids(study_id, int(cursor.fetchone()[0]), patient_id)


def _patient(cursor: Cursor, statements: Statements, record: InstanceRecord, character_set: str) -> int:
    values = indexed_attributes.columns("patient", record.values, character_set)
    values["apart"] = "" if values["patient_id"] else record.study_uid
    cursor.execute(statements.find_patient, values)
    row = cursor.fetchone()
    if row is None:
        cursor.execute(statements.insert_patient, values)
        cursor.execute(statements.find_patient, values)
        row = cursor.fetchone()
    return int(row[0])


def _study(cursor: Cursor, statements: Statements, record: InstanceRecord, patient_id: int, character_set: str) -> int:
    cursor.execute(statements.find_study, {"study_uid": record.study_uid})
    row = cursor.fetchone()
    if row is None:
        of_study = {
            **indexed_attributes.columns("study", record.values, character_set),
            "study_uid": record.study_uid,
            "patient": patient_id,
            "first_arrival": record.arrived_at,
            "last_arrival": record.arrived_at,
        }
        cursor.execute(statements.insert_study, of_study)
        cursor.execute(statements.find_study, {"study_uid": record.study_uid})
        row = cursor.fetchone()
    return int(row[0])


def link(cursor: Cursor, statements: Statements, ids: Ids) -> bool:
    """Note that an image of a study names this patient; say whether it is the first that makes them different persons'.

    The study's row is locked before its persons are looked at: of two that come at once, the later sees the earlier.
    """
    pair = {"study": ids.study, "patient": ids.patient}
    cursor.execute(statements.find_link, pair)
    if cursor.fetchone() is not None:
        return False
    cursor.execute(statements.lock_study, {"study": ids.study})
    cursor.fetchone()
    cursor.execute(statements.insert_link, pair)
    cursor.execute(statements.persons, {"study": ids.study})
    if not image_patients.are_several(image_patients.ImagePatient(*row) for row in cursor.fetchall()):
        return False
    cursor.execute(statements.find_change, {"study": ids.study})
    if cursor.fetchone() is not None:
        # perhaps one became the other on the site: patient_changes looks, and judges then
        cursor.execute(statements.compare_again, {"study": ids.study})
        return False
    cursor.execute(statements.mark_mixed_up, {"study": ids.study})
    return cursor.rowcount == 1


def tell(study_uids: Iterable[str]) -> None:
    """Log the studies that turned out to hold images of different persons, once that is committed."""
    for study_uid in sorted(set(study_uids)):
        fields = {"study": study_uid}
        logger.warning("images of different patients came under one Study Instance UID", extra={"fields": fields})
