"""Worklist files into the worklist, and a report that a person can check before the list is used."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from django.db import transaction
from django.utils.translation import gettext as _

from mwl_admin.entries.problems import Problem
from mwl_admin.wlfiles.file_entry import entry_of
from mwl_admin.wlfiles.file_errors import FileError
from mwl_admin.wlfiles.file_reading import read_file
from mwl_admin.wlfiles.storing import EntryOutcome, Manner, take
from mwl_admin.worklist.charset import CharacterSet


@dataclass(slots=True)
class FileOutcome:
    """What became of one file: taken, or refused for its problems."""

    path: Path
    taken: EntryOutcome | None = None
    notes: list[Problem] = field(default_factory=list)
    problems: tuple[Problem, ...] = ()


@dataclass(slots=True)
class FilesReport:
    """What was, or would be, done with files. ``applied`` is false when nothing was changed."""

    files: list[FileOutcome] = field(default_factory=list)
    applied: bool = True

    @property
    def refused(self) -> list[FileOutcome]:
        """Files that were not taken."""
        return [outcome for outcome in self.files if outcome.taken is None]

    @property
    def taken(self) -> list[EntryOutcome]:
        """What became of those that were."""
        return [outcome.taken for outcome in self.files if outcome.taken is not None]

    @property
    def stations(self) -> list[str]:
        """AE titles of stations that were made."""
        return sorted({title for taken in self.taken for title in taken.stations})

    def steps(self) -> Counter[tuple[str, str, str]]:
        """How many steps of the files there are now, by day, modality and status."""
        steps = {step.pk: step for taken in self.taken for step in taken.steps}
        return Counter((step.scheduled_date.isoformat(), step.modality, step.status) for step in steps.values())


def import_files(
    paths: Sequence[Path],
    *,
    dry_run: bool = False,
    assumed: CharacterSet | None = None,
    placeholder_ids: bool = False,
    progress: Callable[[], Any] = lambda: None,
) -> FilesReport:
    """Take over worklist files, each in a transaction of its own, so that staff can write meanwhile.

    A file that can't be taken changes nothing, and the others are taken all the same: on the day of the change, one odd
    file must not keep a whole department's patients off the list. ``dry_run`` does all of it and takes it back.
    """
    report = FilesReport(applied=not dry_run)
    claimed: frozenset[int] = frozenset()
    named: frozenset[int] = frozenset()
    with transaction.atomic() if dry_run else nullcontext():
        for path in paths:
            source = (_("import of %(file)s") % {"file": path.name})[:100]
            outcome = _import(path, assumed, Manner(placeholder_ids, source, claimed, named))
            report.files.append(outcome)
            if outcome.taken is not None:
                claimed |= {step.pk for step in outcome.taken.steps}
                named |= outcome.taken.named
            progress()
        if dry_run:
            transaction.set_rollback(True)
    return report


def _import(path: Path, assumed: CharacterSet | None, manner: Manner) -> FileOutcome:
    outcome = FileOutcome(path)
    try:
        ds, outcome.notes = read_file(path, assumed)
        outcome.taken = take(entry_of(ds), manner)
    except FileError as error:
        outcome.problems = error.problems
    else:
        outcome.notes += outcome.taken.notes
    return outcome
