"""What lies in ``conflicts/`` below the storage: bytes of an instance that is kept already, or was.

A file's name says what it is: ``<SOP Instance UID>.<label>.dcm``, where the label is the first 16 hexadecimal digits of
the SHA-256 of its data set for what came later than the bytes that are kept, the same after ``replaced-`` for what was
kept before, and ``damaged-`` with a random number for what was no whole instance any more. The folder is the truth: an
index that is rebuilt from the files loses none of it.
"""

from __future__ import annotations

import contextlib
import os
import secrets
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path

from dicom_encoding import part10
from pacs_receiver.storage import CONFLICTS, Storage, failure

_REPLACED, _DAMAGED = "replaced-", "damaged-"
_DIGITS = 16
_HEAD_BYTES = 4096


@dataclass(frozen=True, slots=True)
class Aside:
    """A file that lies aside."""

    path: Path
    sop_instance_uid: str
    label: str

    @property
    def name(self) -> str:
        """What commands call it."""
        return f"{self.sop_instance_uid}.{self.label}"

    @property
    def kind(self) -> str:
        """``newer`` (to be settled), ``replaced`` or ``damaged``."""
        return next((kind.rstrip("-") for kind in (_REPLACED, _DAMAGED) if self.label.startswith(kind)), "newer")

    @property
    def digest(self) -> str:
        """The beginning of the SHA-256 of its data set; empty where it is damaged."""
        return "" if self.kind == "damaged" else self.label.removeprefix(_REPLACED)

    def source(self) -> str:
        """Return the AE title that sent it, empty where its header can't be read."""
        try:
            with self.path.open("rb") as file:
                meta, _ = part10.parse(file.read(_HEAD_BYTES))
        except (OSError, part10.NotPart10):
            return ""
        return meta.get(0x0016, "")


def walk(root: Path) -> Iterator[Aside]:
    """Yield what lies aside, by name."""
    for entry in sorted((root / CONFLICTS).glob("*.dcm")):
        instance, _, label = entry.name.removesuffix(".dcm").rpartition(".")
        if instance:
            yield Aside(entry, instance, label)


def newer(root: Path) -> list[Aside]:
    """Return what is to be settled."""
    return [found for found in walk(root) if found.kind == "newer"]


def sent_by(root: Path, ae_title: str, instances: Collection[str]) -> set[str]:
    """Return those of these SOP Instance UIDs of which newer bytes that this AE sent lie aside."""
    mine = (found for found in newer(root) if found.sop_instance_uid in instances)
    return {found.sop_instance_uid for found in mine if found.source() == ae_title.strip()}


def path_for(root: Path, instance: str, sha256: bytes, *, was_replaced: bool = False) -> Path:
    """Where a file goes whose SOP Instance UID is taken by different bytes; no hash means that it is damaged."""
    label = sha256.hex()[:_DIGITS] if sha256 else f"{_DAMAGED}{secrets.token_hex(4)}"
    return root / CONFLICTS / f"{instance}.{_REPLACED if was_replaced and sha256 else ''}{label}.dcm"


def keep(storage: Storage, path: Path, instance: str, sha256: bytes) -> None:
    """Give a stored file a second name here, durably: the first is about to be taken by another."""
    target = path_for(storage.root, instance, sha256, was_replaced=True)
    try:
        with contextlib.suppress(FileExistsError):
            os.link(path, target)
        storage.sync_folder(target.parent)
    except OSError as error:
        raise failure(error) from error


def move(storage: Storage, path: Path, instance: str, sha256: bytes, *, was_replaced: bool = False) -> None:
    """Move a stored file here; that it is gone already is no failure."""
    target = path_for(storage.root, instance, sha256, was_replaced=was_replaced)
    try:
        with contextlib.suppress(FileNotFoundError):
            # of two names of one file rename(2) takes neither away
            marked = path_for(storage.root, instance, sha256, was_replaced=True)
            if any(name.exists() and name.samefile(path) for name in (target, marked)):
                path.unlink()
            else:
                path.replace(target)
            storage.sync_folder(target.parent)
            storage.sync_folder(path.parent)
            storage.remove_empty(path.parent)
    except OSError as error:
        raise failure(error) from error
