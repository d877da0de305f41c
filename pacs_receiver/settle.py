"""Settling what lies aside: newer bytes of an instance are accepted in the place of the kept ones, or dropped.

Nothing is lost on the way. Bytes that give up their place get a name among the conflicts first, what is dropped goes to
the trash, and the name that says what is to be done goes last: after a crash the same command ends what it began.
"""

from __future__ import annotations

import contextlib
import fcntl
import logging
import os
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import Engine, select

from dicom_encoding import part10
from pacs_receiver import aside, image_patients
from pacs_receiver.aside import Aside
from pacs_receiver.changes import announce_again, place_of, remove_empty_rows, remove_row
from pacs_receiver.database import reading
from pacs_receiver.exceptions import ReceiverError
from pacs_receiver.index import IndexWriter
from pacs_receiver.index_record import InstanceRecord
from pacs_receiver.index_tables import audit
from pacs_receiver.reconcile import UnreadableInstance, record_in
from pacs_receiver.storage import CONFLICTS, TRASH, Storage, failure, read_stored, relative_path

logger = logging.getLogger(__name__)

ACCEPT, DROP = "accept", "drop"
_DONE = {ACCEPT: "conflict accepted", DROP: "conflict dropped"}
_BEGUN = {ACCEPT: "conflict: accepting begins", DROP: "conflict: dropping begins"}


class Unsettled(ReceiverError):
    """A conflict can't be settled; the text says why"""


class NoSuchConflict(Unsettled):
    """Nothing lies aside under this name"""


@dataclass(frozen=True, slots=True)
class Conflict:
    """What lies aside, and the bytes that are kept in its place; ``kept_study`` is empty where none are."""

    name: str
    kind: str
    sop_instance_uid: str
    calling_ae: str
    arrived_at: float
    file_bytes: int
    kept_study: str
    study: str


@dataclass(frozen=True, slots=True)
class SettlingResources:
    """What settling works with; ``who`` is for the audit."""

    engine: Engine
    storage: Storage
    index: IndexWriter
    who: str


def listed(engine: Engine, storage: Storage, *, study_uid: str = "", everything: bool = False) -> list[Conflict]:
    """Return what is to be settled; ``everything``: replaced and damaged bytes too."""
    found = [of for of in aside.walk(storage.root) if everything or of.kind == "newer"]
    described = (_described(engine, of) for of in found)
    return [of for of in described if of and (not study_uid or study_uid in (of.kept_study, of.study))]


def _described(engine: Engine, found: Aside) -> Conflict | None:
    place = place_of(engine, found.sop_instance_uid)
    try:
        status = found.path.stat()
    except FileNotFoundError:
        return None
    try:
        study_uid = record_in(found.path).study_uid
    except (UnreadableInstance, OSError):
        study_uid = ""
    return Conflict(
        found.name, found.kind, found.sop_instance_uid, found.source(), status.st_mtime, status.st_size,
        place.study_uid if place else "", study_uid,
    )  # fmt: skip


def find(storage: Storage, name: str) -> Aside:
    """Return what lies aside under a name, or under a SOP Instance UID that has but one newer file."""
    found = list(aside.walk(storage.root))
    exact = [of for of in found if of.name == name]
    newer = exact or [of for of in found if of.sop_instance_uid == name and of.kind == "newer"]
    if not newer:
        raise NoSuchConflict(f"nothing lies aside under this name: {name}")
    if len(newer) > 1:
        raise Unsettled(f"several lie aside for this instance, name one: {', '.join(of.name for of in newer)}")
    return newer[0]


def settle(means: SettlingResources, action: str, name: str, *, dry_run: bool = False) -> dict[str, Any]:
    """Accept or drop one conflict; return what was, or would be, done.

    :raises ReceiverError: when it could not be done.
    """
    with _turn(means.storage):
        found = find(means.storage, name)
        described = _described(means.engine, found)
        if described is None:
            raise NoSuchConflict(f"nothing lies aside under this name: {name}")
        record = _read(found) if action == ACCEPT else None
        if not dry_run:
            _audit(means, _BEGUN[action], described)
            try:
                if record is not None:
                    _accept(means, found, record)
                else:
                    _drop(means, found)
            except OSError as error:
                raise failure(error) from error
            _audit(means, _DONE[action], described)
            announce_again(means.engine, found.sop_instance_uid)
            fields = {"action": _DONE[action], "by": means.who, "name": found.name}
            logger.warning("a conflict was settled", extra={"fields": fields})
    return {**asdict(described), "action": action, "done": not dry_run}


def is_settled(engine: Engine, action: str, name: str) -> bool:
    """Say whether this was done before, as when a command is repeated whose answer was lost."""
    query = select(audit.c.id).where(audit.c.action == _DONE[action], audit.c.detail == name).limit(1)
    with reading(engine) as connection:
        return connection.execute(query).first() is not None


def history(engine: Engine) -> list[dict[str, Any]]:
    """Return who settled what and when, the latest first; what began and has no end was cut off."""
    query = (
        select(audit.c.at, audit.c.who, audit.c.action, audit.c.detail, audit.c.study_uid, audit.c.sop_instance_uid)
        .where(audit.c.action.in_([*_DONE.values(), *_BEGUN.values()]))
        .order_by(audit.c.id.desc())
    )
    with reading(engine) as connection:
        return [dict(row) for row in connection.execute(query).mappings()]


@contextlib.contextmanager
def _turn(storage: Storage) -> Iterator[None]:
    """One settles at a time, on this machine; on two machines the second finds what the first has left."""
    fd = os.open(storage.root / CONFLICTS, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX)
        yield
    finally:
        os.close(fd)


def _read(found: Aside) -> InstanceRecord:
    try:
        record = record_in(found.path)
    except FileNotFoundError:
        raise NoSuchConflict(f"nothing lies aside under this name: {found.name}") from None
    except (UnreadableInstance, OSError) as error:
        raise Unsettled(f"it is no whole instance: {found.name}") from error
    is_as_it_came = found.digest and record.sha256.hex().startswith(found.digest)
    if not is_as_it_came or record.sop_instance_uid != found.sop_instance_uid:
        raise Unsettled(f"it is not what came any more: {found.name}")
    return record


def _accept(means: SettlingResources, found: Aside, record: InstanceRecord) -> None:
    storage, uid = means.storage, found.sop_instance_uid
    storage.make_durable(found.path)
    target = storage.root / relative_path(record.study_uid, record.series_uid, uid)
    place = place_of(means.engine, uid)
    old = storage.root / relative_path(*place.uids) if place is not None else target
    _keep_old(storage, old, uid, record.sha256)
    if old != target:
        _keep_old(storage, target, uid, record.sha256)
    _put_in_place(storage, found.path, target, record)
    remove_row(means.engine, uid)
    if place is not None:
        # a study that held nothing else is described by the newcomer
        remove_empty_rows(means.engine, place.study_uid)
    means.index.add(record)
    image_patients.name_anew(means.engine, uid)
    if place is not None and old != target:
        with contextlib.suppress(FileNotFoundError):
            old.unlink()
            storage.sync_folder(old.parent)
        storage.remove_empty(old.parent)
    found.path.unlink()
    storage.sync_folder(found.path.parent)


def _keep_old(storage: Storage, path: Path, uid: str, new_sha256: bytes) -> None:
    """Give what stands in a place a name among the conflicts, unless it is the newcomer already."""
    try:
        sha256 = read_stored(path).sha256
    except FileNotFoundError:
        return
    except part10.NotPart10:
        sha256 = b""
    if sha256 != new_sha256:
        aside.keep(storage, path, uid, sha256)


def _put_in_place(storage: Storage, source: Path, target: Path, record: InstanceRecord) -> None:
    relative = f"{target.parent.relative_to(storage.root)}"
    storage.forget_folder(relative)
    storage.folder_for(relative)
    temporary = storage.temporary_name()
    os.link(source, temporary)
    try:
        temporary.replace(target)
    finally:
        # rename(2) leaves the name when the newcomer stands there already
        temporary.unlink(missing_ok=True)
    storage.sync_folder(target.parent)


def _drop(means: SettlingResources, found: Aside) -> None:
    storage = means.storage
    stamp = time.strftime("%Y%m%dT%H%M%S", time.gmtime())
    folder = storage.root / TRASH / f"{stamp}-conflict-{found.name}"
    folder.mkdir(mode=0o700, exist_ok=True)
    storage.sync_folder(folder.parent)
    found.path.replace(folder / found.path.name)
    storage.sync_folder(folder)
    storage.sync_folder(found.path.parent)


def _audit(means: SettlingResources, action: str, of: Conflict) -> None:
    with means.engine.begin() as connection:
        connection.execute(
            audit.insert().values(
                at=time.time(),
                who=means.who,
                action=action,
                study_uid=of.kept_study or of.study,
                instance_count=1,
                file_bytes=of.file_bytes,
                sop_instance_uid=of.sop_instance_uid,
                detail=of.name,
            )
        )
