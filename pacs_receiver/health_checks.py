"""What `/health` asks of index and storage: that they can be written to, by a write, now and then and within bounds."""

from __future__ import annotations

import os
import shutil
import tempfile
import threading
import time
from collections.abc import Callable
from types import TracebackType

from sqlalchemy import update
from sqlalchemy.exc import IntegrityError, SQLAlchemyError

from dicom_listener.health import Unwell
from pacs_receiver.config import PacsConfig
from pacs_receiver.database import connect
from pacs_receiver.index_tables import lease
from pacs_receiver.index_trouble import trouble
from pacs_receiver.storage import INCOMING

_BUSY_SECONDS = 3.0
_PATIENCE = 5.0
_EVERY, _EVERY_WHEN_UNWELL = 5.0, 1.0
_NAME = "health"
_BLOCK = 4096


class NowAndThen:
    """A check that is made every few seconds however often it is asked for, and waited for ``patience`` seconds.

    ``glance`` is cheap, and made each time; it raises what it finds. After that the whole check is due.
    """

    def __init__(
        self,
        check: Callable[[], str],
        *,
        glance: Callable[[], object] | None = None,
        every: float = _EVERY,
        patience: float = _PATIENCE,
    ) -> None:
        self._check = check
        self._glance = glance
        self._every = every
        self._patience = patience
        self._lock = threading.Lock()
        self._began = 0.0
        self._next = 0.0
        self._ended = threading.Event()
        self._is_running = False
        self._detail = ""
        self._problem: Exception | None = None
        self._raised_at: TracebackType | None = None

    def __call__(self) -> str:
        with self._lock:
            is_due = time.monotonic() >= self._next
            if not self._is_running and (is_due or self._glance is not None):
                self._is_running = True
                self._began = time.monotonic()
                self._ended.clear()
                threading.Thread(target=self._run, args=(is_due,), name="health-check", daemon=True).start()
        if not self._ended.wait(self._patience):
            raise Unwell(f"a write has not ended for {time.monotonic() - self._began:.0f} seconds")
        if self._problem is not None:
            raise self._problem.with_traceback(self._raised_at)  # or it would grow with each answer
        return self._detail

    def _run(self, is_due: bool) -> None:
        problem, detail, wait = self._problem, self._detail, 0.0
        try:
            if self._glance is not None:
                self._glance()
            if is_due:
                problem, detail, wait = None, self._check(), self._every
        except Exception as error:  # noqa: BLE001 - it is raised where somebody asks
            problem, detail = error, ""
            wait = _EVERY_WHEN_UNWELL if is_due else 0.0
            self._raised_at = error.__traceback__
        with self._lock:
            if is_due or problem is not self._problem:
                self._next = time.monotonic() + wait
            self._detail, self._problem = detail, problem
            self._is_running = False
            self._ended.set()


def write_index(config: PacsConfig) -> str:
    """Write one row of the index.

    :raises Unwell: when it can't be written.
    """
    engine = connect(config.database_url, busy_seconds=_BUSY_SECONDS)
    try:
        with engine.begin() as connection:
            now = time.time()
            written = connection.execute(update(lease).where(lease.c.name == _NAME).values(held_until=now))
            if written.rowcount == 0:
                connection.execute(lease.insert().values(name=_NAME, held_until=now))
    except IntegrityError:
        pass  # another receiver wrote the first
    except SQLAlchemyError as error:
        raise Unwell(f"the index can't be written: {trouble(error) or type(error).__name__}") from error
    finally:
        engine.dispose()
    return "can be written"


def look_at_space(config: PacsConfig) -> int:
    """Return how many bytes are free.

    :raises Unwell: below the reserve, where instances are refused.
    """
    try:
        free = shutil.disk_usage(config.storage_dir).free
    except OSError as error:
        raise Unwell(f"the storage folder can't be read: {error.strerror}") from error
    if free < config.min_free_bytes:
        raise Unwell(f"{free} bytes free, below the reserve of {config.min_free_bytes}")
    return free


def write_storage(config: PacsConfig) -> str:
    """Write a block among the files that come in, where there is space above the reserve.

    :raises Unwell: when it can't be written.
    """
    free = look_at_space(config)
    try:
        folder = config.storage_dir / INCOMING
        folder.mkdir(mode=0o700, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder, buffering=0) as file:
            file.write(bytes(_BLOCK))
            if config.fsync:
                os.fsync(file.fileno())
    except OSError as error:
        raise Unwell(f"the storage folder can't be written: {error.strerror}") from error
    return f"can be written, {free} bytes free"
