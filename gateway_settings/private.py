"""What Gateway keeps is for its owner alone: folders 0700, files 0600, the old ones too.

Nothing that belongs to another user is touched, no symbolic link is followed, and a folder that is meant for everybody,
such as /tmp, is left as it is.
"""

from __future__ import annotations

import logging
import os
import stat
from collections.abc import Iterable, Iterator
from pathlib import Path

logger = logging.getLogger(__name__)

UMASK = 0o077
_OTHERS = 0o077
_DATABASE_SUFFIXES = ("", "-wal", "-shm", "-journal", ".lock")
"""What SQLite, and the receiver's migrations, keep beside a database."""


def keep_private() -> None:
    """Let whatever this process and its children make be for their owner alone."""
    os.umask(UMASK)


def make_folder(path: Path) -> None:
    """Make a folder, and those above it that are missing, for the owner alone."""
    missing = [folder for folder in (path, *path.parents) if not folder.exists()]
    for folder in reversed(missing):
        folder.mkdir(mode=0o700, exist_ok=True)


def tighten_start(data_dir: Path, *, folders: Iterable[Path] = (), databases: Iterable[Path] = ()) -> None:
    """Close the top of ``data_dir``, other ``folders`` and SQLite ``databases``: a matter of milliseconds.

    Two levels are closed, in which secrets, databases and sockets stand. Nobody else reaches what is below them;
    :func:`tighten_below` closes that too, in its own time.
    """
    for folder in (data_dir, *folders):
        tighten(folder.resolve())
    for path in _below(data_dir.resolve(), depth=2):
        tighten(path)
    for database in databases:
        for suffix in _DATABASE_SUFFIXES:
            tighten(database.resolve().with_name(f"{database.name}{suffix}"))


def tighten_below(folder: Path) -> int:
    """Close all that is below a folder, however much it is; return how many files and folders were open."""
    return sum(tighten(path) for path in _below(folder.resolve(), depth=None))


def tighten(path: Path) -> bool:
    """Take from everybody but the owner what the mode of ``path`` grants; return whether it granted anything."""
    try:
        found = path.lstat()
        if not found.st_mode & _OTHERS or not _is_ours(found):
            return False
        path.chmod(stat.S_IMODE(found.st_mode) & ~_OTHERS)
    except FileNotFoundError:
        return False  # gone meanwhile, as temporary files are
    except OSError as error:
        fields = {"path": str(path), "because": error.strerror}
        logger.warning("a path stays open to others on this machine", extra={"fields": fields})
        return False
    return True


def open_to_others(path: Path) -> bool:
    """Return whether others on this machine may read, list or enter what is at ``path``."""
    try:
        return bool(path.stat().st_mode & _OTHERS)
    except OSError:
        return False


def _is_ours(found: os.stat_result) -> bool:
    if stat.S_ISLNK(found.st_mode) or found.st_uid != os.geteuid():
        return False
    # a sticky folder is everybody's on purpose
    return not (stat.S_ISDIR(found.st_mode) and found.st_mode & stat.S_ISVTX)


def _below(folder: Path, depth: int | None) -> Iterator[Path]:
    """Yield what is below a folder, each folder before its content; links are yielded and not followed."""
    try:
        with os.scandir(folder) as entries:
            found = [(Path(entry.path), entry.is_dir(follow_symlinks=False)) for entry in entries]
    except OSError:
        return  # gone meanwhile, or another user's
    for path, is_folder in found:
        yield path
        if is_folder and depth != 1:
            yield from _below(path, None if depth is None else depth - 1)
