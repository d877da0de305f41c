"""A patient's record from outside: made, changed, and known again by the rule of identity."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from mwl_admin.entries import entry_patients
from mwl_admin.entries.attempts import attempted
from mwl_admin.entries.entries import EntryWriter
from mwl_admin.entries.entry import Entry, Mode
from mwl_admin.entries.entry_attributes import COLUMNS, READ_ONLY, Level
from mwl_admin.entries.problems import ConflictError, InvalidEntryError, Problem, UnknownPatientError
from mwl_admin.entries.writing import WrittenRecord
from mwl_admin.models import FormerPatientID, Patient, RequestedProcedure
from mwl_admin.patients import identity

KEYWORDS = frozenset(
    {"PatientName", *(keyword for keyword, column in COLUMNS.items() if column.level is Level.PATIENT)}
)
"""What is kept of a patient."""


@dataclass(frozen=True, slots=True)
class Reference:
    """A record as somebody names it: by ID and issuer, and perhaps by what else is known of the person.

    ``check`` may refuse the record that was found, by an exception of its own.
    """

    values: Mapping[str, Any]
    check: Callable[[Patient], None] = lambda patient: None

    @property
    def person(self) -> identity.Demographics:
        """What is told, as the rule of identity sees it."""
        return entry_patients.told(self.values)

    def find(self) -> Patient | None:
        """Return the record with this ID, or None; what else is told is still to be compared."""
        person = self.person
        return identity.find(Patient.objects.all(), person.patient_id, person.issuer)

    def former(self) -> FormerPatientID | None:
        """Return what became of this ID."""
        return FormerPatientID.objects.of(self.person.patient_id, self.person.issuer)

    def confirmed(self, *, update: bool = False) -> Patient:
        """Return the record with this ID, which what else is told does not contradict; ``update``: nor need it.

        :raises UnknownPatientError: there is none.
        :raises ConflictError: it is of another person, or the ID is no longer in use.
        """
        patient = self.find()
        if patient is None:
            raise self.unknown()
        self.compare(patient, update=update)
        return patient

    def compare(self, patient: Patient, *, update: bool = False) -> None:
        """Refuse a record that what else is told contradicts."""
        self.check(patient)
        differs = identity.judge(identity.of_record(patient), self.person).differs
        refuse_other(patient, () if update else differs)

    def unknown(self) -> ConflictError | UnknownPatientError:
        """Return why there is no record with this ID."""
        former = self.former()
        if former is not None:
            return ConflictError(
                [Problem("PatientID", entry_patients.out_of_use(), entry_patients.MERGED)], former.record_id
            )
        return UnknownPatientError([Problem("PatientID", "No patient has this patient ID.", "unknown")])


def refuse_other(patient: Patient, differs: tuple[str, ...]) -> None:
    """Refuse to take somebody for the person of a record; ``differs`` are the keywords that contradict."""
    told = [keyword for keyword in differs if keyword not in identity.IDENTIFIERS]
    if told:
        problems = [Problem("PatientID", identity.refusal(told), "other_patient")]
        problems += [Problem(keyword, "differs from what is known of this patient.", "differs") for keyword in told]
        raise ConflictError(problems, patient.pk)


@dataclass(frozen=True, slots=True)
class Kept:
    """What became of a record that was sent."""

    patient: Patient
    created: bool
    changed: tuple[str, ...] = ()


class PatientWriter(EntryWriter):
    """Writes a record within a transaction. ``reuse``: an ID that is no longer in use may be given anew."""

    def __init__(self, values: Mapping[str, Any], *, update: bool = False, reuse: bool = False) -> None:
        super().__init__(Entry(values), Mode.UPSERT, update_patient=update)
        self._reuse = reuse

    def keep(self) -> Kept:
        """Make or change the record.

        :raises EntryError: it can't be.
        """
        record = self._patient(None)
        self._refuse()
        created = record.instance.pk is None
        return Kept(record.instance, created, tuple(record.save()))

    def become(self, patient: Patient) -> None:
        """Make a record this person's, whoever it was thought to be: with this ID, too."""
        self.update_patient = True
        record = WrittenRecord(patient, Level.PATIENT, self.problems)
        record.take(self.entry.values, [keyword for keyword in COLUMNS if keyword in KEYWORDS])
        self._name(record, is_new=False)
        record.check()
        self._refuse()
        record.save()

    def _refuse_former(self, patient_id: str, issuer: str) -> None:
        if not self._reuse:
            super()._refuse_former(patient_id, issuer)


def keep(
    values: Mapping[str, Any],
    *,
    source: str,
    update: bool = False,
    reuse: bool = False,
    before: Callable[[], None] = lambda: None,
) -> Kept:
    """Make or change a record in one transaction.

    ``update``: name, birth date and sex that differ correct the record, and are not another person. ``reuse``: an ID
    that is no longer in use may be given anew. ``before`` is called first in the transaction.

    :raises EntryError: it can't be taken.
    """

    def write() -> Kept:
        before()
        return PatientWriter(values, update=update, reuse=reuse).keep()

    return attempted(write, source)


def only_patient(entry: Entry) -> Mapping[str, Any]:
    """Return what an entry says of its patient, when it says nothing else.

    :raises InvalidEntryError: it does.
    """
    others = [keyword for keyword in entry.values if keyword not in KEYWORDS | READ_ONLY]
    others += ["ScheduledProcedureStepSequence"] if entry.steps else []
    if others:
        raise InvalidEntryError(Problem(keyword, "is no attribute of a patient.", "unknown") for keyword in others)
    return entry.values


def entries_of(patient: Patient) -> int:
    """Return how many entries are this patient's."""
    return RequestedProcedure.objects.filter(patient=patient).count()
