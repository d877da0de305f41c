"""What the commands for worklist files show, and how their options are read."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

from django.core.management.base import CommandError
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeRemainingColumn

from mwl_admin.worklist.charset import CharacterSet, split_terms

_HEADINGS = ("day", "modality", "status", "steps")


def character_set(text: str) -> CharacterSet:
    """Return the character set that an option names; end the command with status 2 when there is none such."""
    charset = CharacterSet(split_terms(text))
    if not charset.known:
        raise CommandError(
            f"--character-set: {text!r} is no defined term such as ISO_IR 100 or ISO_IR 192", returncode=2
        )
    return charset


@contextmanager
def progress(total: int, *, hidden: bool = False) -> Iterator[Callable[[], None]]:
    """Show how far a run is, on standard error and only on a terminal; give what counts one on."""
    console = Console(stderr=True)
    columns = (BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True, disable=hidden or not sys.stderr.isatty()) as bar:
        task = bar.add_task("files", total=total)
        yield lambda: bar.advance(task)


def steps_table(steps: Mapping[tuple[str, str, str], int]) -> Iterator[str]:
    """Yield the lines of a table of steps by day, modality and status."""
    if not steps:
        return
    rows = [(*key, str(count)) for key, count in sorted(steps.items())]
    widths = [max(len(row[column]) for row in (_HEADINGS, *rows)) for column in range(len(_HEADINGS))]
    for row in (_HEADINGS, *rows):
        left = "  ".join(cell.ljust(width) for cell, width in zip(row[:-1], widths, strict=False))
        yield f"{left}  {row[-1].rjust(widths[-1])}"
