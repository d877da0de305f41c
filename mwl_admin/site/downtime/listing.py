"""The list for a downtime: a page of its own for each day, kept as a file that any browser opens, site or not."""

from __future__ import annotations

import contextlib
import datetime
import logging
import os
import re
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from django.conf import settings
from django.db import DatabaseError, InterfaceError, connection
from django.template.loader import render_to_string
from django.utils import timezone, translation

from gateway_settings.private import make_folder
from mwl_admin.models import ScheduledProcedureStep, StepStatus
from mwl_admin.site.pages import day as days
from mwl_admin.site.pages.day import Filters, Group

logger = logging.getLogger(__name__)

_NAME = re.compile(r"worklist-([0-9]{4}-[0-9]{2}-[0-9]{2})\.html")
_LOOK_SECONDS = 20.0


@dataclass(frozen=True, slots=True)
class Day:
    """One day's steps by station, without those that were cancelled."""

    date: datetime.date
    groups: Sequence[Group]
    steps: Sequence[ScheduledProcedureStep]


def two_days(first: datetime.date) -> list[Day]:
    """Return a day and the next."""
    return [_day(first), _day(first + datetime.timedelta(days=1))]


def _day(date: datetime.date) -> Day:
    steps = [step for step in days.steps_of(Filters(date)) if step.status != StepStatus.CANCELLED]
    return Day(date, days.grouped(steps, timezone.localtime().replace(tzinfo=None)), steps)


def write(folder: Path, now: datetime.datetime | None = None) -> Path:
    """Write the file of today, with the next day's list behind it, and remove those that are too old.

    For the owner alone, and whole at any time: who opens it finds the last one or this one.

    :raises OSError: when it can't be written.
    """
    now = now or timezone.now()
    today = timezone.localtime(now).date()
    make_folder(folder)
    with translation.override(settings.LANGUAGE_CODE):
        text = render_to_string("mwl_admin/downtime_file.html", {"days": two_days(today), "made_at": now})
    target = folder / f"worklist-{today.isoformat()}.html"
    temporary = folder / f".{target.name}.{os.getpid()}"
    try:
        with os.fdopen(os.open(temporary, os.O_CREAT | os.O_WRONLY | os.O_TRUNC, 0o600), "w", encoding="utf-8") as file:
            os.fchmod(file.fileno(), 0o600)
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(target)
    finally:
        temporary.unlink(missing_ok=True)
    _remove_old(folder, today)
    return target


def _remove_old(folder: Path, today: datetime.date) -> None:
    """Remove lists of days that are gone, and of nothing but lists."""
    oldest = today - datetime.timedelta(days=settings.DOWNTIME_LIST_KEEP_DAYS)
    for path in folder.iterdir():
        name = _NAME.fullmatch(path.name)
        with contextlib.suppress(ValueError):
            if name and datetime.date.fromisoformat(name[1]) < oldest:
                path.unlink(missing_ok=True)


class Lister:
    """Writes the list in a thread of the site's process, at its start and every ``DOWNTIME_LIST_MINUTES``."""

    def __init__(self) -> None:
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Begin, once for each process, and not at all where no folder is set."""
        if settings.DOWNTIME_LIST_DIR and self._thread is None:
            self._thread = threading.Thread(target=self._run, name="downtime-list", daemon=True)
            self._thread.start()

    def _run(self) -> None:
        failing = False
        while True:
            try:
                if is_due(Path(settings.DOWNTIME_LIST_DIR)):
                    write(Path(settings.DOWNTIME_LIST_DIR))
                failing = False
            except (OSError, DatabaseError, InterfaceError) as error:
                level = logging.DEBUG if failing else logging.ERROR
                fields = {"error": type(error).__name__}
                logger.log(level, "the list for a downtime could not be written", extra={"fields": fields})
                failing = True
            finally:
                connection.close()
            time.sleep(_LOOK_SECONDS)


def is_due(folder: Path, now: datetime.datetime | None = None) -> bool:
    """Whether today's list is missing, or older than it should be; a time in the future is no reason to wait."""
    now = now or timezone.now()
    path = folder / f"worklist-{timezone.localtime(now).date().isoformat()}.html"
    try:
        age = now.timestamp() - path.stat().st_mtime
    except FileNotFoundError:
        return True
    return not 0 <= age < 60 * settings.DOWNTIME_LIST_MINUTES


lister = Lister()
