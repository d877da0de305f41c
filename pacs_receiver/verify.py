"""Reading everything again, and comparing it with what was known when it arrived."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from sqlalchemy import Engine, select

from dicom_encoding.part10 import NotPart10
from pacs_receiver import aside, image_patients, indexed_attributes
from pacs_receiver.changes import place_of, remove_row
from pacs_receiver.database import reading
from pacs_receiver.index import IndexOutcome, IndexWriter
from pacs_receiver.index_tables import study
from pacs_receiver.queries import instances_of
from pacs_receiver.reconcile import ReconciliationReport, UnreadableInstance, reconcile, record_of
from pacs_receiver.storage import Storage, read_stored, relative_path

Progress = Callable[[int], object]


@dataclass(slots=True)
class Findings:
    """What a verification found; each entry is SOP Instance UID and what is wrong with its file."""

    instances: int = 0
    file_bytes: int = 0
    wrong: list[tuple[str, str]] = field(default_factory=list)


def verify(engine: Engine, storage: Storage, *, study_uid: str = "", progress: Progress | None = None) -> Findings:
    """Read every indexed file whole and compare it with the SHA-256 taken at arrival."""
    findings = Findings()
    for uid in [study_uid] if study_uid else studies(engine):
        for row in instances_of(engine, uid):
            problem = _problem(storage, row)
            # deleted while this ran is not lost
            if problem and place_of(engine, row["sop_instance_uid"]) is not None:
                findings.wrong.append((row["sop_instance_uid"], problem))
            findings.instances += 1
            findings.file_bytes += row["file_bytes"]
            if progress is not None:
                progress(1)
    if not study_uid:
        findings.wrong += _changed_aside(storage)
    return findings


def _changed_aside(storage: Storage) -> Iterator[tuple[str, str]]:
    """Yield what lies aside and is not what it was when it was laid there."""
    for found in aside.walk(storage.root):
        if not found.digest:
            continue
        try:
            digest = read_stored(found.path).sha256.hex()
        except FileNotFoundError:
            continue
        except (NotPart10, OSError):
            digest = ""
        if not digest.startswith(found.digest):
            yield found.name, "changed aside"


def studies(engine: Engine) -> list[str]:
    """Return the UIDs of all indexed studies."""
    with reading(engine) as connection:
        return list(connection.execute(select(study.c.study_uid).order_by(study.c.id)).scalars())


def _problem(storage: Storage, row: Mapping[str, Any]) -> str:
    uid = row["sop_instance_uid"]
    try:
        stored = read_stored(storage.root / relative_path(row["study_uid"], row["series_uid"], uid))
    except FileNotFoundError:
        return "missing"
    except (NotPart10, OSError):
        return "unreadable"
    if stored.sha256 != bytes(row["sha256"]):
        return "changed"
    if stored.meta.get(0x0003) != uid or stored.meta.get(0x0010) != row["transfer_syntax_uid"]:
        return "header changed"
    return ""


def _named(engine: Engine, storage: Storage, character_set: str, sop_instance_uid: str) -> Mapping[str, str] | None:
    """Give the patient that a stored file names, as the index keeps one."""
    place = place_of(engine, sop_instance_uid)
    try:
        record = record_of(storage.root / relative_path(*place.uids), place.uids) if place else None
    except (UnreadableInstance, FileNotFoundError):
        return None
    return indexed_attributes.columns("patient", record.values, character_set) if record else None


def reindex(
    engine: Engine,
    storage: Storage,
    writer: IndexWriter,
    *,
    trust_files: bool = False,
    progress: Progress | None = None,
) -> tuple[ReconciliationReport, list[tuple[str, str]]]:
    """Rebuild the index from the files: rows for files without one, none for files that are gone.

    A row whose hash its file does not match is evidence of decay and is kept, unless ``trust_files``. Returns what
    :func:`reconcile` did, and such instances.
    """
    report = reconcile(engine, storage, writer, progress=progress)
    for uids in report.missing:
        remove_row(engine, uids[2])
    image_patients.learn(engine, partial(_named, engine, storage, writer.character_set))
    findings = verify(engine, storage)
    if trust_files:
        for uid, _ in findings.wrong:
            place = place_of(engine, uid)
            if place is None:
                continue
            try:
                record = record_of(storage.root / relative_path(*place.uids), place.uids)
            except (UnreadableInstance, FileNotFoundError):
                continue
            remove_row(engine, uid)
            if writer.add(record) is not IndexOutcome.ADDED:
                raise RuntimeError("the index changed while it was rebuilt")
    return report, findings.wrong
