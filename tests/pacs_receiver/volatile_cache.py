"""A disk image with a volatile write cache, as a file system in user space that holds one file.

``python -m tests.pacs_receiver.volatile_cache FOLDER BYTES SECONDS`` mounts it at FOLDER; a flush takes SECONDS. It
obeys standard input, where each line is a JSON object, answered by one: see :mod:`tests.pacs_receiver.volatile_disk`.

Only what was written before the last flush (fsync) is on the medium. ``cut`` takes the power away: from then on every
operation fails, and of what was written since the last flush each write has reached the medium whole, in part (some of
its sectors) or not at all, as chance has it. ``power`` turns the disk on again with what is on the medium.
"""

from __future__ import annotations

import errno
import json
import mmap
import os
import random
import stat
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

import mfusepy

IMAGE = "disk"
SECTOR = 512
_PATIENCE = 0.1


@dataclass
class Cache:
    """The medium, what the disk says that it holds, and the writes that make the difference, oldest first."""

    size: int
    flush_seconds: float = 0
    medium: mmap.mmap = field(init=False)
    visible: mmap.mmap = field(init=False)
    pending: list[tuple[int, bytes]] = field(default_factory=list)
    lock: threading.Condition = field(default_factory=threading.Condition)
    powered: bool = True
    flushes: int = 0

    def __post_init__(self) -> None:
        self.medium = mmap.mmap(-1, self.size)
        self.visible = mmap.mmap(-1, self.size)

    def read(self, size: int, offset: int) -> bytes:
        with self.lock:
            self._demand_power()
            return self.visible[offset : offset + size]

    def write(self, data: bytes, offset: int) -> int:
        with self.lock:
            self._demand_power()
            self.visible[offset : offset + len(data)] = data
            self.pending.append((offset, data))
            self.lock.notify_all()
        return len(data)

    def flush(self) -> None:
        """Bring to the medium what was written before; what is written meanwhile stays in the cache."""
        with self.lock:
            self._demand_power()
            count = len(self.pending)
        # the time that a disk takes; a cut that comes meanwhile finds nothing flushed yet
        time.sleep(self.flush_seconds)
        with self.lock:
            self._demand_power()
            for offset, data in self.pending[:count]:
                self.medium[offset : offset + len(data)] = data
            del self.pending[:count]
            self.flushes += 1

    def cut(self, seed: int) -> dict[str, int]:
        """Take the power away, and let chance decide what of the cache has reached the medium; count it."""
        chance = random.Random(seed)
        share = chance.choice((0.0, 0.1, 0.5, 0.9, 1.0))
        least = chance.choice((0, 1, 2, 4, 8))
        fate = {"kept": 0, "torn": 0, "dropped": 0}
        with self.lock:
            # most moments are dull: the cache is empty
            if not self.lock.wait_for(lambda: len(self.pending) >= least, timeout=_PATIENCE):
                self.lock.wait_for(lambda: self.pending, timeout=_PATIENCE)
            self.powered = False
            for offset, data in self.pending:
                fate[self._settle(chance, share, offset, data)] += 1
            for offset, data in self.pending:
                self.visible[offset : offset + len(data)] = self.medium[offset : offset + len(data)]
            self.pending.clear()
        return {**fate, "flushes": self.flushes}

    def _settle(self, chance: random.Random, share: float, offset: int, data: bytes) -> str:
        if len(data) > SECTOR and chance.random() < 0.2:
            for start in range(0, len(data), SECTOR):
                if chance.random() < 0.5:
                    sector = data[start : start + SECTOR]
                    self.medium[offset + start : offset + start + len(sector)] = sector
            return "torn"
        if chance.random() >= share:
            return "dropped"
        self.medium[offset : offset + len(data)] = data
        return "kept"

    def power(self) -> dict[str, int]:
        """Turn it on: the disk shows what is on the medium."""
        with self.lock:
            self.powered = True
        return {}

    def _demand_power(self) -> None:
        if not self.powered:
            raise OSError(errno.EIO, os.strerror(errno.EIO))


class OneFile:
    """The file system's operations, as mfusepy calls them."""

    use_ns = True

    def __init__(self, cache: Cache) -> None:
        self._cache = cache

    def getattr(self, path: str, _handle: int | None = None) -> dict[str, int]:
        if path == "/":
            return {"st_mode": stat.S_IFDIR | 0o700, "st_nlink": 2}
        if path != f"/{IMAGE}":
            raise OSError(errno.ENOENT, os.strerror(errno.ENOENT))
        return {"st_mode": stat.S_IFREG | 0o600, "st_nlink": 1, "st_size": self._cache.size}

    def readdir(self, _path: str, _handle: int) -> list[str]:
        return [".", "..", IMAGE]

    def read(self, _path: str, size: int, offset: int, _handle: int) -> bytes:
        return self._cache.read(size, offset)

    def write(self, _path: str, data: bytes, offset: int, _handle: int) -> int:
        return self._cache.write(data, offset)

    def fsync(self, _path: str, _datasync: int, _handle: int) -> int:
        self._cache.flush()
        return 0


def _obey(cache: Cache) -> None:
    commands: dict[str, Callable[..., dict[str, int]]] = {"cut": cache.cut, "power": cache.power}
    for line in sys.stdin:
        order = json.loads(line)
        print(json.dumps(commands[order.pop("do")](**order)), flush=True)


def main() -> None:
    """Serve until the file system is unmounted."""
    folder, size, flush_seconds = sys.argv[1:]
    cache = Cache(int(size), float(flush_seconds))
    threading.Thread(target=_obey, args=(cache,), daemon=True).start()
    # direct_io: each write arrives as it was made, and nothing of the file stays in the kernel's memory over a cut
    mfusepy.FUSE(OneFile(cache), folder, foreground=True, direct_io=True, fsname="volatile-disk")


if __name__ == "__main__":
    main()
