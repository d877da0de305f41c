"""The image files: where they are, and how one comes to stand there whole or not at all.

Folder layout below the storage directory::

    <2-hex>/<study>/<series>/<instance>.dcm   stored instances
    incoming/<owner>/                         what is being received; one folder per process
    conflicts/                                what came again with different bytes: pacs_receiver.aside
    trash/                                    what was deleted by hand

A file gets its final name after its bytes are durable, by a hard link: of two receivers that store the same instance at
the same time, on one machine or on two, exactly one succeeds.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import os
import secrets
import shutil
import socket
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from dicom_encoding import part10
from pacs_receiver.exceptions import StorageFailed, StorageFull

INCOMING, CONFLICTS, TRASH = "incoming", "conflicts", "trash"

_NO_SPACE = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
_LOCK = ".lock"
_CHECK_SPACE_EVERY = 32 << 20
_KNOWN_FOLDERS_LIMIT = 20_000
_READ_SIZE = 1 << 20
_META_LIMIT = 1 << 16
_MODE = 0o600
_FOLDER_MODE = 0o700
_NEWBORN_SECONDS = 60.0


def relative_path(study: str, series: str, instance: str) -> str:
    """Give the place of an instance below the storage directory. The UIDs are legal: nothing else may become a path."""
    return f"{_shard(study)}/{study}/{series}/{instance}.dcm"


def _shard(study: str) -> str:
    return hashlib.sha256(study.encode("ascii")).hexdigest()[:2]


@dataclass(frozen=True, slots=True)
class StoredFile:
    """What a stored file holds: file meta values by element number, and size and SHA-256 of its data set."""

    meta: dict[int, str]
    data_bytes: int
    file_bytes: int
    sha256: bytes


class IncomingFile:
    """A temporary file that an instance is received into. Ended by :meth:`publish` or :meth:`discard`."""

    __slots__ = ("_fd", "_name", "_storage", "_unchecked", "size")

    def __init__(self, storage: Storage, fd: int, name: Path | None) -> None:
        self._storage = storage
        self._fd = fd
        self._name = name
        self._unchecked = 0
        self.size = 0

    def write(self, *parts: bytes | memoryview) -> None:
        """Append ``parts``.

        :raises StorageFull: when there is no room.
        :raises StorageFailed: when they can't be written.
        """
        wanted = sum(map(len, parts))
        try:
            written = os.writev(self._fd, parts)
            if written != wanted:
                self._write_rest(b"".join(parts)[written:])
        except OSError as error:
            raise failure(error) from error
        self.size += wanted
        self._unchecked += wanted
        if self._unchecked >= _CHECK_SPACE_EVERY:
            self._unchecked = 0
            self._storage.check_space()

    def _write_rest(self, rest: bytes) -> None:
        while rest:
            rest = rest[os.write(self._fd, rest) :]

    def make_durable(self) -> None:
        """Wait until the bytes are on disk. After a failure they are not trusted again: only discarding is left."""
        try:
            if self._storage.fsync:
                os.fdatasync(self._fd)
        except OSError as error:
            raise failure(error) from error

    def publish(self, relative: str) -> bool:
        """Give the durable file its name below the storage directory; False when that name is taken already."""
        folder, _, name = relative.rpartition("/")
        try:
            path = self._storage.folder_for(folder)
            try:
                self._link(f"{path}/{name}")
            except FileNotFoundError:
                # the folder was deleted since this process saw it
                self._storage.forget_folder(folder)
                path = self._storage.folder_for(folder)
                self._link(f"{path}/{name}")
            self._storage.sync_folder(path)
        except FileExistsError:
            return False
        except OSError as error:
            raise failure(error) from error
        return True

    def name_as(self, target: Path) -> None:
        """Give the durable file another name, in a folder that is there; a file that has it already is kept."""
        try:
            with contextlib.suppress(FileExistsError):
                self._link(target)
            self._storage.sync_folder(target.parent)
        except OSError as error:
            raise failure(error) from error

    def replace(self, target: Path) -> None:
        """Put the durable file in the place of ``target``, atomically."""
        name = self._storage.temporary_name()
        try:
            self._link(name)
            name.replace(target)
            self._storage.sync_folder(target.parent)
        except OSError as error:
            with contextlib.suppress(OSError):
                name.unlink()
            raise failure(error) from error

    def discard(self) -> None:
        """Close; what was not published is gone."""
        os.close(self._fd)
        if self._name is not None:
            with contextlib.suppress(OSError):
                self._name.unlink()

    def _link(self, target: str | Path) -> None:
        if self._name is not None:
            os.link(self._name, target)
            return
        # src_dir_fd makes Python call linkat(2) with AT_SYMLINK_FOLLOW, the way to name an O_TMPFILE (open(2)).
        os.link(f"/proc/self/fd/{self._fd}", target, src_dir_fd=self._fd, follow_symlinks=True)


class Storage:
    """The storage directory as one process uses it. :meth:`open` after the fork, :meth:`close` at the end."""

    def __init__(self, root: Path, *, fsync: bool = True, min_free_bytes: int = 0) -> None:
        self.root = root
        self.fsync = fsync
        self._min_free_bytes = min_free_bytes
        self._own: Path | None = None
        self._lock_fd = -1
        self._renewing = threading.Lock()
        self._anonymous = False
        self._known_folders: dict[str, str] = {}

    def open(self) -> None:
        """Make the folders, and one of our own for temporary files, locked for as long as this process lives."""
        for name in (INCOMING, CONFLICTS, TRASH):
            (self.root / name).mkdir(parents=True, exist_ok=True, mode=_FOLDER_MODE)
        self._make_shards()
        while self._own is None:
            self._take_folder()
        self._anonymous = self._has_anonymous_files()

    def _make_shards(self) -> None:
        """Make the folders that hold the studies' folders: durable once, not again with each study."""
        for number in range(256):
            (self.root / f"{number:02x}").mkdir(parents=True, exist_ok=True, mode=_FOLDER_MODE)
        self.sync_folder(self.root)

    def _take_folder(self) -> None:
        own = self.root / INCOMING / f"{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(4)}"
        own.mkdir(mode=_FOLDER_MODE, parents=True)
        lock = own / _LOCK
        fd = os.open(lock, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, _MODE)
        fcntl.flock(fd, fcntl.LOCK_EX)
        # Another process that looked for leftovers between these lines may have taken this one for a dead one's.
        if lock.exists():
            self._lock_fd = fd
            self._own = own
        else:
            os.close(fd)

    def _take_new_folder(self, gone: Path) -> None:
        """Get over the loss of our folder, as when someone cleaned up by hand: nothing in it was acknowledged."""
        with self._renewing:
            if self._own is not None and self._own == gone and not gone.exists():
                os.close(self._lock_fd)
                self._own = None
                while self._own is None:
                    self._take_folder()

    def close(self) -> None:
        if self._own is not None:
            shutil.rmtree(self._own, ignore_errors=True)
            os.close(self._lock_fd)
            self._own = None

    def _has_anonymous_files(self) -> bool:
        """Say whether the file system has files without a name (O_TMPFILE): nothing of them stays after a crash."""
        probe = self.temporary_name()
        try:
            fd = os.open(probe.parent, os.O_TMPFILE | os.O_WRONLY | os.O_CLOEXEC, _MODE)
        except OSError:
            return False
        try:
            os.link(f"/proc/self/fd/{fd}", probe, src_dir_fd=fd, follow_symlinks=True)
            probe.unlink()
        except OSError:
            return False
        finally:
            os.close(fd)
        return True

    def create(self) -> IncomingFile:
        """Begin a new file.

        :raises StorageFull: below the reserve.
        """
        self.check_space()
        own = self._own_folder()
        try:
            return self._create(own)
        except FileNotFoundError:
            self._take_new_folder(own)
        except OSError as error:
            raise failure(error) from error
        try:
            return self._create(self._own_folder())
        except OSError as error:
            raise failure(error) from error

    def _create(self, folder: Path) -> IncomingFile:
        if self._anonymous:
            return IncomingFile(self, os.open(folder, os.O_TMPFILE | os.O_WRONLY | os.O_CLOEXEC, _MODE), None)
        name = folder / secrets.token_hex(8)
        return IncomingFile(self, os.open(name, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, _MODE), name)

    def temporary_name(self) -> Path:
        return self._own_folder() / secrets.token_hex(8)

    def _own_folder(self) -> Path:
        if self._own is None:
            raise StorageFailed("storage is not open")
        return self._own

    def check_space(self) -> None:
        """Check that there is free space above the reserve.

        :raises StorageFull: when there is not.
        """
        if self.free_bytes() < self._min_free_bytes:
            raise StorageFull

    def free_bytes(self) -> int:
        try:
            status = os.statvfs(self.root)
        except OSError as error:
            raise failure(error) from error
        return status.f_bavail * status.f_frsize

    def folder_for(self, relative: str) -> str:
        """Return the path of a series' folder after making it, durably, where this process has not seen it yet."""
        known = self._known_folders.get(relative)
        if known is not None:
            return known
        folder = self.root / relative
        if not folder.parent.parent.exists():  # cleaned up by hand
            self._make_shards()
        folder.mkdir(parents=True, exist_ok=True, mode=_FOLDER_MODE)
        # A folder that another process just made may not be durable yet: whoever uses it first makes sure.
        for parent in (folder.parent, folder.parent.parent):
            self.sync_folder(parent)
        if len(self._known_folders) >= _KNOWN_FOLDERS_LIMIT:
            self._known_folders.clear()
        self._known_folders[relative] = path = str(folder)
        return path

    def forget_folder(self, relative: str) -> None:
        self._known_folders.pop(relative, None)

    def sync_folder(self, folder: str | Path) -> None:
        """Make the entries of ``folder`` durable."""
        if not self.fsync:
            return
        fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)

    def make_durable(self, path: Path) -> None:
        """Make a file that someone else wrote durable, with its name."""
        try:
            if self.fsync:
                fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
                try:
                    os.fsync(fd)
                finally:
                    os.close(fd)
            self.sync_folder(path.parent)
        except OSError as error:
            raise failure(error) from error

    def remove_empty(self, series_folder: Path) -> None:
        """Remove the folders of a series and its study as far as they are empty."""
        with contextlib.suppress(OSError):
            series_folder.rmdir()
            series_folder.parent.rmdir()

    def remove_leftovers(self) -> int:
        """Remove the temporary files of processes that are gone; return how many files that were."""
        removed = 0
        for folder in self._folders_in(INCOMING):
            if folder == self._own:
                continue
            with _locked(folder / _LOCK) as ours:
                if ours or _was_never_locked(folder):
                    removed += _remove_folder(folder)
        return removed

    def _folders_in(self, name: str) -> list[Path]:
        try:
            return [entry for entry in (self.root / name).iterdir() if entry.is_dir()]
        except FileNotFoundError:
            return []

    def instances(self) -> Iterator[tuple[str, str, str]]:
        """Yield study, series and instance UID of every stored file, study by study."""
        for study in self.studies():
            yield from self.instances_of(study)

    def studies(self) -> Iterator[str]:
        for shard in sorted(self.root.iterdir()) if self.root.is_dir() else []:
            if len(shard.name) == 2 and shard.is_dir():
                yield from sorted(entry.name for entry in shard.iterdir())

    def instances_of(self, study: str) -> Iterator[tuple[str, str, str]]:
        folder = self.study_folder(study)
        with contextlib.suppress(FileNotFoundError):
            for series in sorted(folder.iterdir()):
                with contextlib.suppress(FileNotFoundError):
                    for entry in os.scandir(series):
                        if entry.name.endswith(".dcm"):
                            yield study, series.name, entry.name.removesuffix(".dcm")

    def study_folder(self, study: str) -> Path:
        return self.root / _shard(study) / study


def _remove_folder(folder: Path) -> int:
    """Remove a folder of temporary files; return how many those were."""
    try:
        files = sum(1 for entry in folder.iterdir() if entry.name != _LOCK)
    except FileNotFoundError:
        # another process that starts now opened the lock before us and was done when we got it
        return 0
    shutil.rmtree(folder, ignore_errors=True)
    return files


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[bool]:
    """Try to take the lock that a living process holds on ``path``; say whether that worked."""
    try:
        fd = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        yield False
        return
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        yield False
    else:
        yield True
    finally:
        os.close(fd)


def _was_never_locked(folder: Path) -> bool:
    """Say whether a process died between making its folder and locking it: a living one takes microseconds."""
    try:
        is_newborn = abs(time.time() - folder.stat().st_mtime) < _NEWBORN_SECONDS  # one of the future never grows up
        return not (folder / _LOCK).exists() and not is_newborn
    except FileNotFoundError:
        return False


def read_stored(path: Path) -> StoredFile:
    """Read a stored file whole.

    :raises NotPart10: when it is no file of ours.
    :raises OSError: when it can't be read.
    """
    digest = hashlib.sha256()
    with path.open("rb", buffering=0) as file:
        head = file.read(_META_LIMIT)
        meta, offset = part10.parse(head)
        digest.update(memoryview(head)[offset:])
        size = len(head)
        buffer = bytearray(_READ_SIZE)
        view = memoryview(buffer)
        while count := file.readinto(buffer):
            digest.update(view[:count])
            size += count
    return StoredFile(meta, size - offset, size, digest.digest())


def failure(error: OSError) -> StorageFull | StorageFailed:
    """Say what an error of the file system means for whoever stores."""
    return StorageFull() if error.errno in _NO_SPACE else StorageFailed(error.strerror)
