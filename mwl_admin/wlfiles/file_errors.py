"""Why a worklist file is not taken."""

from __future__ import annotations

from collections.abc import Iterable

from mwl_admin.entries.problems import DIFFERS, Problem


class FileError(Exception):
    """A worklist file cannot be taken; ``problems`` name the attributes, in words for whoever moves the files."""

    def __init__(self, *problems: Problem) -> None:
        self.problems = problems
        super().__init__("; ".join(told(problems)))


def told(problems: Iterable[Problem]) -> list[str]:
    """Return problems in words; what a patient differs in is part of what is said of the ID."""
    return [str(problem) for problem in problems if problem.code != DIFFERS]
