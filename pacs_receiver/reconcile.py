"""Bringing files and index together again: at start after a crash, and when the index is rebuilt from the files."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path

from sqlalchemy import Engine, select

from dicom_encoding import part10, uids
from pacs_receiver import aside, indexed_attributes, patient_changes
from pacs_receiver.changes import place_of, remove_row
from pacs_receiver.database import reading
from pacs_receiver.header import Scan
from pacs_receiver.index import IndexOutcome, IndexWriter
from pacs_receiver.index_record import InstanceRecord
from pacs_receiver.index_tables import instance, series, study
from pacs_receiver.oddities import Malformed
from pacs_receiver.storage import Storage, relative_path

logger = logging.getLogger(__name__)

Uids = tuple[str, str, str]
"""Study, series and SOP Instance UID."""

_READ_SIZE = 1 << 20
_META_LIMIT = 1 << 16


class UnreadableInstance(ValueError):
    """A stored file that is no whole instance"""


@dataclass(slots=True)
class ReconciliationReport:
    """What a reconciliation did and found."""

    leftovers: int = 0
    """Temporary files removed."""
    indexed: list[Uids] = field(default_factory=list)
    """Files that had no row and have one now."""
    missing: list[Uids] = field(default_factory=list)
    """Rows whose file is not there."""
    damaged: list[Uids] = field(default_factory=list)
    """Files that are no whole instance, or not the one that their name says; moved to the conflicts."""
    elsewhere: list[Uids] = field(default_factory=list)
    """Files whose SOP Instance UID is indexed in another study; moved to the conflicts."""
    studies: int = 0
    instances: int = 0


def reconcile(
    engine: Engine, storage: Storage, writer: IndexWriter, *, progress: Callable[[int], object] | None = None
) -> ReconciliationReport:
    """Remove the temporary files of a crash, index the files without a row, report the rows without a file.

    Harmless beside receivers that are at work on the same storage: what it finds half-way it completes, as they would.
    """
    report = ReconciliationReport(leftovers=storage.remove_leftovers())
    patient_changes.restore(engine, storage)
    seen: set[str] = set()
    for study_uid in storage.studies():
        seen.add(study_uid)
        files = set(storage.instances_of(study_uid))
        rows = _rows_of(engine, study_uid)
        _adopt(files - rows, engine, storage, writer, report)
        report.missing += _really_missing(rows - files, engine, storage)
        report.studies += 1
        report.instances += len(files)
        if progress is not None:
            progress(len(files))
    for study_uid in _indexed_studies(engine) - seen:
        report.missing += _really_missing(_rows_of(engine, study_uid), engine, storage)
    _finish_replacements(engine, storage, writer)
    patient_changes.follow(engine)
    _log(report)
    return report


def _adopt(
    files: Iterable[Uids], engine: Engine, storage: Storage, writer: IndexWriter, report: ReconciliationReport
) -> None:
    for uids_of_file in sorted(files):
        path = storage.root / relative_path(*uids_of_file)
        try:
            record = record_of(path, uids_of_file)
        except FileNotFoundError:
            continue
        except UnreadableInstance as error:
            fields = {"instance": uids_of_file[2], "because": str(error)}
            logger.error("a stored file is damaged and was set aside", extra={"fields": fields})
            aside.move(storage, path, uids_of_file[2], b"")
            report.damaged.append(uids_of_file)
            continue
        if adopt(engine, storage, writer, record):
            report.indexed.append(uids_of_file)
        else:
            fields = {"instance": uids_of_file[2]}
            logger.error("a stored file's UID belongs to another study, it was set aside", extra={"fields": fields})
            aside.move(storage, path, uids_of_file[2], record.sha256)
            report.elsewhere.append(uids_of_file)


def adopt(engine: Engine, storage: Storage, writer: IndexWriter, record: InstanceRecord) -> bool:
    """Give a stored file its row; False when its UID belongs to a file of another study that is there."""
    outcome = writer.add(record)
    if outcome is IndexOutcome.ELSEWHERE:
        place = place_of(engine, record.sop_instance_uid)
        if place is not None and (storage.root / relative_path(*place.uids)).exists():
            return False
        remove_row(engine, record.sop_instance_uid)
        return writer.add(record) is not IndexOutcome.ELSEWHERE
    return True


def record_of(path: Path, uids_of_file: Uids) -> InstanceRecord:
    """Read a stored file whole and give what the index keeps of it.

    :raises UnreadableInstance: it is no whole instance, or another one than its name says.
    :raises FileNotFoundError: it is gone.
    """
    record = record_in(path)
    if (record.study_uid, record.series_uid, record.sop_instance_uid) != uids_of_file:
        raise UnreadableInstance("holds another instance than its name says")
    return record


def record_in(path: Path) -> InstanceRecord:
    """Like :func:`record_of`, for a file whose name says nothing of study and series."""
    digest = hashlib.sha256()
    with path.open("rb", buffering=0) as file:
        head = file.read(_META_LIMIT)
        try:
            meta, offset = part10.parse(head)
        except part10.NotPart10:
            raise UnreadableInstance("no Part 10 header") from None
        scan = Scan(meta.get(0x0010, ""), is_stored=True)
        size = len(head)
        chunk = memoryview(head)[offset:]
        try:
            while chunk:
                digest.update(chunk)
                scan.feed(chunk)
                chunk = memoryview(file.read(_READ_SIZE))
                size += len(chunk)
            scan.finish()
        except Malformed as error:
            raise UnreadableInstance(str(error)) from error
    values = scan.values
    found = tuple(
        uids.decode(values.get(tag))
        for tag in (
            indexed_attributes.STUDY_INSTANCE_UID,
            indexed_attributes.SERIES_INSTANCE_UID,
            indexed_attributes.SOP_INSTANCE_UID,
        )
    )
    if not all(map(uids.is_usable, found)):
        raise UnreadableInstance("does not say which instance it is")
    return InstanceRecord(
        study_uid=found[0],
        series_uid=found[1],
        sop_instance_uid=found[2],
        sop_class_uid=uids.decode(values.get(indexed_attributes.SOP_CLASS_UID)),
        transfer_syntax=meta.get(0x0010, ""),
        data_bytes=size - offset,
        file_bytes=size,
        sha256=digest.digest(),
        calling_ae=meta.get(0x0016, ""),
        address="",
        arrived_at=path.stat().st_mtime,
        values=values,
        odd=scan.odd,
    )


def _rows_of(engine: Engine, study_uid: str) -> set[Uids]:
    query = (
        select(series.c.series_uid, instance.c.sop_instance_uid)
        .join_from(instance, series, instance.c.series == series.c.id)
        .join(study, series.c.study == study.c.id)
        .where(study.c.study_uid == study_uid)
    )
    with reading(engine) as connection:
        return {(study_uid, row[0], row[1]) for row in connection.execute(query)}


def _indexed_studies(engine: Engine) -> set[str]:
    with reading(engine) as connection:
        return set(connection.execute(select(study.c.study_uid)).scalars())


def _really_missing(rows: Iterable[Uids], engine: Engine, storage: Storage) -> list[Uids]:
    """Leave out what was stored, or deleted, since the folder was read."""
    missing = []
    for uids_of_row in sorted(rows):
        if (storage.root / relative_path(*uids_of_row)).exists() or place_of(engine, uids_of_row[2]) is None:
            continue
        fields = dict(zip(("study", "series", "instance"), uids_of_row, strict=True))
        logger.error("a file is missing", extra={"fields": fields})
        missing.append(uids_of_row)
    return missing


def _finish_replacements(engine: Engine, storage: Storage, writer: IndexWriter) -> None:
    """A crash between the replacement of a file and that of its row left the old hash in the index: correct it.

    Such a row's hash names a file among the conflicts, which is where the replaced one went first.
    """
    for found in aside.walk(storage.root):
        place = place_of(engine, found.sop_instance_uid)
        if place is None or not found.digest or not place.sha256.hex().startswith(found.digest):
            continue
        try:
            record = record_of(storage.root / relative_path(*place.uids), place.uids)
        except (UnreadableInstance, FileNotFoundError):
            continue
        if record.sha256 != place.sha256:
            remove_row(engine, found.sop_instance_uid)
            writer.add(record)


def _log(report: ReconciliationReport) -> None:
    fields = {
        "studies": report.studies,
        "instances": report.instances,
        "temporary_files_removed": report.leftovers,
        "files_indexed": len(report.indexed),
        "files_missing": len(report.missing),
        "files_set_aside": len(report.damaged) + len(report.elsewhere),
    }
    logger.info("files and index reconciled", extra={"fields": fields})
