"""What the disk alone takes to make a file durable: no server that does so can be faster."""

from __future__ import annotations

import os
import statistics
import tempfile
import time
from pathlib import Path

_FILES = 100


def seconds_per_file(size: int, work: Path) -> float:
    """Return the median time to write a file of ``size`` bytes, flush it, give it its name and flush its folder."""
    with tempfile.TemporaryDirectory(dir=work) as name:
        data = os.urandom(size)
        folder = os.open(name, os.O_RDONLY | os.O_DIRECTORY)
        try:
            return statistics.median(_once(Path(name), number, data, folder) for number in range(_FILES))
        finally:
            os.close(folder)


def _once(directory: Path, number: int, data: bytes, folder: int) -> float:
    started = time.perf_counter()
    temporary = directory / f"{number}.part"
    fd = os.open(temporary, os.O_CREAT | os.O_WRONLY)
    os.write(fd, data)
    os.fdatasync(fd)
    os.close(fd)
    temporary.rename(directory / f"{number}.dcm")
    os.fsync(folder)
    return time.perf_counter() - started
