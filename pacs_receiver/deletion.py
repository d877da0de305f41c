"""Removing studies: by hand into the trash, by retention for good. Never in the way of an instance that arrives."""

from __future__ import annotations

import contextlib
import logging
import shutil
import time
from collections.abc import Collection
from pathlib import Path

from sqlalchemy import Engine, select

from pacs_receiver import aside
from pacs_receiver.changes import remove_empty_rows, remove_row_within
from pacs_receiver.index import IndexWriter
from pacs_receiver.index_tables import audit, instance, series, study
from pacs_receiver.reconcile import UnreadableInstance, adopt, record_of
from pacs_receiver.storage import TRASH, Storage, relative_path

logger = logging.getLogger(__name__)

Uids = tuple[str, str, str]


def delete_study(
    engine: Engine, storage: Storage, writer: IndexWriter, study_uid: str, *, who: str, action: str, to_trash: bool
) -> int:
    """Remove a study's files and rows; return how many instances went.

    Each file leaves its place before its row does. Should the same instance arrive in between, its file is there
    without a row for a moment, and is adopted at the end: what was acknowledged stays.
    """
    rows = _instances(engine, study_uid)
    target = storage.root / TRASH / f"{time.strftime('%Y%m%dT%H%M%S', time.gmtime())}-{study_uid}"
    for uids, _ in rows:
        _remove_file(storage, uids, target if to_trash else None)
    _remove_aside(storage, {uids[2] for uids, _ in rows}, target if to_trash else None)
    size = sum(file_bytes for _, file_bytes in rows)
    with engine.begin() as connection:
        for uids, _ in rows:
            remove_row_within(connection, uids[2])
        connection.execute(
            audit.insert().values(
                at=time.time(),
                who=who,
                action=action,
                study_uid=study_uid,
                instance_count=len(rows),
                file_bytes=size,
            )
        )
    remove_empty_rows(engine, study_uid)
    _adopt_newcomers(engine, storage, writer, [uids for uids, _ in rows])
    with contextlib.suppress(OSError):
        for folder in storage.study_folder(study_uid).iterdir():
            storage.remove_empty(folder)
    fields = {"by": who, "action": action, "study": study_uid, "instances": len(rows), "bytes": size}
    logger.warning("study removed", extra={"fields": fields})
    return len(rows)


def _instances(engine: Engine, study_uid: str) -> list[tuple[Uids, int]]:
    query = (
        select(series.c.series_uid, instance.c.sop_instance_uid, instance.c.file_bytes)
        .join_from(instance, series, instance.c.series == series.c.id)
        .join(study, series.c.study == study.c.id)
        .where(study.c.study_uid == study_uid)
        .order_by(instance.c.sop_instance_uid)
    )
    with engine.connect() as connection:
        return [((study_uid, row[0], row[1]), row[2]) for row in connection.execute(query)]


def _remove_file(storage: Storage, uids: Uids, trash: Path | None) -> None:
    path = storage.root / relative_path(*uids)
    with contextlib.suppress(FileNotFoundError):
        if trash is None:
            path.unlink()
            return
        target = trash / uids[1] / path.name
        target.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        path.replace(target)


def _remove_aside(storage: Storage, instances: Collection[str], trash: Path | None) -> None:
    """What lies aside for a study goes the way of its images; nothing that is to be settled goes for good."""
    for found in aside.walk(storage.root):
        if found.sop_instance_uid not in instances:
            continue
        with contextlib.suppress(FileNotFoundError):
            if trash is not None:
                target = trash / "conflicts" / found.path.name
                target.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
                found.path.replace(target)
            elif found.kind != "newer":
                found.path.unlink()


def _adopt_newcomers(engine: Engine, storage: Storage, writer: IndexWriter, gone: list[Uids]) -> None:
    for uids in gone:
        path = storage.root / relative_path(*uids)
        if path.exists():
            with contextlib.suppress(UnreadableInstance, FileNotFoundError):
                adopt(engine, storage, writer, record_of(path, uids))


def empty_trash(storage: Storage, *, older_than_days: float) -> int:
    """Delete for good what has been in the trash for longer; return how many studies that were."""
    removed = 0
    limit = time.time() - older_than_days * 86400
    for folder in sorted((storage.root / TRASH).iterdir()):
        if folder.is_dir() and folder.stat().st_mtime < limit:
            shutil.rmtree(folder, ignore_errors=True)
            logger.warning("removed from the trash", extra={"fields": {"name": folder.name}})
            removed += 1
    return removed
