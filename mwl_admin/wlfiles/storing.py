"""One file's entry into the worklist: what can't be used is left out, who, what and when must be certain."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from django.utils.translation import gettext as _

from mwl_admin.entries.attempts import attempted
from mwl_admin.entries.entries import EntryWriter
from mwl_admin.entries.entry import Entry, Mode, StoredEntry
from mwl_admin.entries.problems import EntryError, InvalidEntryError, Problem
from mwl_admin.entries.step import STEP_ID
from mwl_admin.entries.writing import WrittenRecord
from mwl_admin.models import Patient, RequestedProcedure, ScheduledProcedureStep, Sequence
from mwl_admin.patients import identity
from mwl_admin.wlfiles.file_entry import JOINED, START_DATE, FileEntry
from mwl_admin.wlfiles.file_errors import FileError
from mwl_admin.wlfiles.file_steps import FileStepWriter, step_of

_NEEDED = frozenset({"PatientID", "IssuerOfPatientID", "PatientName", "Modality", START_DATE, ""})
"""What a file is refused for when it can't be used."""
_PLACEHOLDER = "TEMP"
_ROUNDS = 5


@dataclass(slots=True)
class EntryOutcome:
    """What became of a file's entry."""

    steps: list[ScheduledProcedureStep] = field(default_factory=list)
    named: frozenset[int] = frozenset()
    """Those of the steps that have the ID that the file gives them."""
    notes: list[Problem] = field(default_factory=list)
    stations: list[str] = field(default_factory=list)
    created: int = 0
    unchanged: int = 0
    patient_created: bool = False


@dataclass(frozen=True, slots=True)
class Manner:
    """How files are taken. ``claimed`` are the steps that other files of the run stand for, ``named`` those by ID."""

    placeholder_ids: bool = False
    source: str = ""
    claimed: frozenset[int] = frozenset()
    named: frozenset[int] = frozenset()


def take(entry: FileEntry, manner: Manner) -> EntryOutcome:
    """Make or change the entry of a file, all of it or nothing.

    :raises FileError: it contradicts the worklist, or does not tell for certain who, what or when.
    """
    for _round in range(_ROUNDS):
        try:
            return _take(entry, manner)
        except InvalidEntryError as error:
            if not _leave_out(entry, error):
                raise FileError(*error.problems) from error
        except EntryError as error:
            raise FileError(*_with_hint(error.problems, manner)) from error
    raise AssertionError  # pragma: no cover - each round leaves something out, and names all that is wrong


def _take(entry: FileEntry, manner: Manner) -> EntryOutcome:
    taken = EntryOutcome()

    def write() -> StoredEntry:
        writer = FileWriter(entry, manner)
        stored = writer.write()
        taken.stations = [*writer.step_writer.new_stations]
        taken.patient_created = writer.patient_created
        return stored

    stored = attempted(write, manner.source)
    taken.steps = stored.steps
    own = {item.get(STEP_ID) for item in entry.steps}
    taken.named = frozenset(step.pk for step in stored.steps if step.scheduled_procedure_step_id in own)
    taken.created = stored.steps_created
    taken.unchanged = 0 if stored.changed else len(stored.steps) - stored.steps_created
    taken.notes = [*entry.notes, *stored.notes]
    for step in stored.ended:
        text = _("step %(id)s is %(status)s and stays as it is.")
        told = text % {"id": step.scheduled_procedure_step_id, "status": step.get_status_display()}
        taken.notes.append(Problem("", told))
    return taken


def _leave_out(entry: FileEntry, error: InvalidEntryError) -> bool:
    """Leave out the values that break rules; return whether the entry can be tried without them."""
    if any(step_of(problem.attribute)[1] in _NEEDED for problem in error.problems):
        return False
    left = False
    for problem in error.problems:
        number, keyword = step_of(problem.attribute)
        values = entry.values if number < 0 else entry.steps[number]
        value = values.pop(keyword, None)
        if value is not None:
            left = True
            shown = "\\".join(map(str, value)) if isinstance(value, list) else str(value)
            entry.leave_out(problem.attribute, shown, problem.message)
            if keyword == "PatientBirthDate":
                entry.birth_date = shown
    return left


def _with_hint(problems: tuple[Problem, ...], manner: Manner) -> list[Problem]:
    """Say what can be done about IDs that several persons share."""
    if manner.placeholder_ids or not any(problem.code == "other_patient" for problem in problems):
        return [*problems]
    return [*problems, Problem("", _("Where IDs stand for nobody, --placeholder-ids makes records of their own."))]


class FileWriter(EntryWriter):
    """Writes the entry of a file. Its order is known by accession number, or else by Study Instance UID."""

    def __init__(self, entry: FileEntry, manner: Manner) -> None:
        super().__init__(Entry(entry.values, tuple(entry.steps)), Mode.UPSERT)
        self._file = entry
        self._manner = manner
        self._notes: list[Problem] = []
        self.patient_created = False
        self.step_writer: FileStepWriter

    def find_order(self) -> RequestedProcedure | None:
        order = super().find_order()
        uid = str(self.entry.values.get("StudyInstanceUID", ""))
        if order is None and uid and not self.entry.accession_number:
            order = self.locked_orders().filter(study_instance_uid=uid).first()
        return order

    def find_patient(self, order: RequestedProcedure | None) -> Patient | None:
        given = dict(self.entry.values)
        patient_id = str(given.get("PatientID", ""))
        if self._manner.placeholder_ids and identity.is_placeholder(patient_id):
            given.pop("PatientID", None)
            if order is None:
                given["PatientID"] = _made_id()
                text = _("“%(value)s” stands for nobody; %(made)s was made.")
                told = text % {"value": patient_id, "made": given["PatientID"]}
                self._notes.append(Problem("PatientID", told))
            self.entry = Entry(given, self.entry.steps)
        elif not patient_id:
            text = _("is required; --placeholder-ids makes a record of its own where there is none.")
            self.problems.append(Problem("PatientID", text, "required"))
            return order.patient if order else None
        patient = super().find_patient(order)
        self.patient_created = patient is None
        return patient

    def patient_values(self, patient: Patient) -> Mapping[str, Any]:
        """What is true of a patient whichever file tells it is put together, not taken from the last one."""
        given = dict(self.entry.values)
        for keyword, known in zip(JOINED, (patient.allergies, patient.medical_alerts), strict=True):
            if keyword in given:
                given[keyword] = _union([*known.splitlines(), *given[keyword]])
        if self._file.birth_date and patient.patient_birth_date is None:
            mark = _("Birth date in the worklist file: %(text)s") % {"text": self._file.birth_date}
            comments = str(given.get("PatientComments", "") or patient.patient_comments)
            given["PatientComments"] = comments if mark in comments else "\n".join(filter(None, (comments, mark)))
        return given

    def catalogue(self, record: WrittenRecord, *, is_new: bool) -> None:
        """A file says all that there is, an absent priority too: nothing is added to it."""
        if is_new and "RequestedProcedurePriority" not in self.entry.values:
            record.instance.requested_procedure_priority = ""

    def steps(self, requested: WrittenRecord) -> FileStepWriter:
        self.step_writer = FileStepWriter(
            requested.instance,
            self.problems,
            self.conflicts,
            replace=False,
            lenient=True,
            claimed=self._manner.claimed,
            named=self._manner.named,
        )
        self.step_writer.notes += self._notes
        self.step_writer.take(self.entry.steps)
        return self.step_writer


def _union(lines: list[str]) -> list[str]:
    found: dict[str, str] = {}
    for line in lines:
        found.setdefault(line.strip().casefold(), line.strip())
    return [line for line in found.values() if line]


def _made_id() -> str:
    while True:
        (number,) = Sequence.take("placeholder_patient_id")
        made = f"{_PLACEHOLDER}-{number:06d}"
        if not Patient.objects.filter(patient_id=made).exists():
            return made
