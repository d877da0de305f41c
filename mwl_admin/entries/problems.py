"""Why an entry from outside is not taken: told by attribute, so that the sender knows what to mend."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from mwl_admin.exceptions import WorklistError

DIFFERS = "differs"
"""Code of an attribute in which a patient differs from the record of the same ID; the refusal itself names the ID."""


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong.

    ``attribute`` is the keyword of the attribute, in a sequence after the sequence's and the item's number counted
    from one: `ScheduledProcedureStepSequence[1].Modality`. ``code`` is for machines, ``message`` for people.
    """

    attribute: str
    message: str
    code: str = "invalid"
    known: str = ""
    """What the worklist holds there: for those only who may read it."""

    def __str__(self) -> str:
        return f"{self.attribute}: {self.message}" if self.attribute else self.message


class EntryError(WorklistError):
    """An entry is not taken; ``problems`` say why. The texts are for the sender, and may repeat what it sent."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__("; ".join(map(str, self.problems)))


class InvalidEntryError(EntryError):
    """Values break a rule: the same entry will never be taken."""


class ConflictError(EntryError):
    """The entry contradicts what the worklist holds, such as an accession number that belongs to somebody else.

    ``record`` is the primary key of the patient whom it contradicts, where that is why. Only who may read that patient
    may be told what is known of it.
    """

    def __init__(self, problems: Iterable[Problem], record: int | None = None) -> None:
        super().__init__(problems)
        self.record = record


class UnknownEntryError(EntryError):
    """No entry has this accession number."""


class UnknownPatientError(EntryError):
    """No record has this patient ID."""
