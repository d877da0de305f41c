"""One entry from outside into the worklist: checked by the models' rules, made or changed in one transaction.

Web API, files and commands all come by here. An entry is known by its accession number.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from django.db import IntegrityError, transaction
from django.utils.translation import gettext as _

from mwl_admin import names
from mwl_admin.exchange import attributes, values
from mwl_admin.exchange.attributes import (
    COLUMNS,
    PROCEDURE_CODE,
    REASON_CODE,
    STEPS,
    Level,
)
from mwl_admin.exchange.problems import ConflictError, InvalidEntryError, Problem, UnknownEntryError
from mwl_admin.exchange.steps import StepWriter
from mwl_admin.exchange.writing import Record, required
from mwl_admin.models import Patient, Procedure, RequestedProcedure, ScheduledProcedureStep
from mwl_admin.models.base import because
from mwl_admin.models.status import WAITING

ATTEMPTS = 3
"""How often an entry is tried when others write the same one at the same moment."""


class Mode(Enum):
    """What is wanted.

    CREATE makes an entry, and finds nothing to do when the same one exists; what exists and differs is a conflict.
    PUT makes or replaces: attributes of order and steps that are absent become empty, waiting steps that are absent are
    cancelled. UPDATE changes what is given in an entry that exists. UPSERT is UPDATE that makes what is not there.
    """

    CREATE = "create"
    PUT = "put"
    UPDATE = "update"
    UPSERT = "upsert"


@dataclass(frozen=True, slots=True)
class Entry:
    """An order with its steps, as it came from outside: values by keyword.

    A keyword that is absent says nothing; an empty value empties the attribute. ``procedure`` names a procedure of the
    catalogue, which fills what is left empty in a new entry.
    """

    values: Mapping[str, Any]
    steps: tuple[Mapping[str, Any], ...] = ()
    procedure: str = ""

    @property
    def accession_number(self) -> str:
        """The accession number; empty when none is given."""
        return str(self.values.get("AccessionNumber") or "").strip(" ")


@dataclass(slots=True)
class Stored:
    """What became of an entry: ``changed`` are keywords; ``ended`` are steps that are over and stayed as they are."""

    requested: RequestedProcedure
    created: bool
    changed: list[str] = field(default_factory=list)
    steps_created: int = 0
    steps_cancelled: int = 0
    ended: list[ScheduledProcedureStep] = field(default_factory=list)


def store(entry: Entry, mode: Mode, *, source: str = "", before: Callable[[], None] = lambda: None) -> Stored:
    """Make or change an entry, all of it or nothing; ``source`` tells the history where it came from.

    ``before`` is called first in the transaction, and may refuse by an exception of its own.

    :raises InvalidEntryError: a value breaks a rule; all that are wrong are told.
    :raises ConflictError: the entry contradicts what the worklist holds.
    :raises UnknownEntryError: there is nothing to update.
    """
    for attempt in range(ATTEMPTS):
        try:
            with transaction.atomic(), because(source):
                before()
                return _Writer(entry, mode).write()
        except IntegrityError as error:
            # Somebody else made the same patient or order since we looked: now it is there to be found.
            if attempt + 1 == ATTEMPTS:
                raise ConflictError([Problem("", _("Others keep changing this entry; try again."), "busy")]) from error
    raise AssertionError  # pragma: no cover - the loop returns or raises


class _Writer:
    def __init__(self, entry: Entry, mode: Mode) -> None:
        self.entry = entry
        self.mode = mode
        self.problems: list[Problem] = []
        self.conflicts: list[Problem] = []

    def write(self) -> Stored:
        order = self._find_order()
        if order is None and self.mode is Mode.UPDATE:
            raise UnknownEntryError([Problem("AccessionNumber", _("No entry has this accession number."), "unknown")])
        patient = self._patient(order)
        requested = self._order(order, patient)
        steps = self._steps(requested)
        self._refuse()
        stored = Stored(requested.instance, created=order is None)
        stored.changed += [*patient.save(), *requested.save(patient=patient.instance)]
        steps.save(stored)
        if self.mode is Mode.CREATE and order is not None and stored.changed:
            raise ConflictError(
                Problem(keyword, _("differs from the entry that exists with this accession number."), "exists")
                for keyword in dict.fromkeys(stored.changed)
            )
        return stored

    def _refuse(self) -> None:
        if self.problems:
            raise InvalidEntryError(self.problems)
        if self.conflicts:
            raise ConflictError(self.conflicts)

    def _find_order(self) -> RequestedProcedure | None:
        number = self.entry.accession_number
        if not number:
            return None
        # Locked until the end, so that of two who write the same entry the second sees what the first has done.
        orders = RequestedProcedure.objects.select_for_update(of=("self",), no_key=True).select_related("patient")
        return orders.filter(accession_number=number).first()

    # --- patient

    def _patient(self, order: RequestedProcedure | None) -> Record:
        given = self.entry.values
        patient = self._find_patient(order)
        record = Record(patient or Patient(), Level.PATIENT, self.problems)
        if patient is None:
            self.problems += required(given, "PatientID", "PatientName")
        changed_name = self._name(record)
        record.take(given, [name for name, column in COLUMNS.items() if column.level is Level.PATIENT])
        if patient is not None and changed_name and "PatientBirthDate" in record.changed:
            self.conflicts.append(
                Problem(
                    "PatientID", _("belongs to a patient with another name and another birth date."), "other_patient"
                )
            )
        record.check()
        return record

    def _find_patient(self, order: RequestedProcedure | None) -> Patient | None:
        given = self.entry.values
        patient_id = _stripped(given, "PatientID")
        issuer = _stripped(given, "IssuerOfPatientID")
        if order is not None:
            if ("PatientID" in given and patient_id != order.patient.patient_id) or (
                "IssuerOfPatientID" in given and issuer != order.patient.issuer_of_patient_id
            ):
                self.conflicts.append(
                    Problem(
                        "PatientID", _("The accession number belongs to an order of another patient."), "other_patient"
                    )
                )
            return order.patient
        if not patient_id:
            return None
        patients = Patient.objects.select_for_update(no_key=True)
        return patients.filter(patient_id=patient_id, issuer_of_patient_id=issuer).first()

    def _name(self, record: Record) -> bool:
        """Take the patient's name; return whether it is another one, case and accents aside."""
        if "PatientName" not in self.entry.values:
            return False
        before = names.folded(record.instance.patient_name)
        try:
            columns = values.patient_name(self.entry.values["PatientName"] or "")
        except ValueError as error:
            self.problems.append(Problem("PatientName", str(error)))
            return False
        record.set_columns("PatientName", columns)
        return before != names.folded(record.instance.patient_name)

    # --- order

    def _order(self, order: RequestedProcedure | None, patient: Record) -> Record:
        given = self.entry.values
        instance = order or RequestedProcedure()
        record = Record(instance, Level.REQUESTED, self.problems, exclude={"patient"})
        keywords = [name for name, column in COLUMNS.items() if column.level is Level.REQUESTED]
        if order is not None:
            keywords.remove("AccessionNumber")
            keywords.remove("StudyInstanceUID")
            uid = _stripped(given, "StudyInstanceUID")
            if uid and uid != order.study_instance_uid:
                self.conflicts.append(
                    Problem("StudyInstanceUID", _("The entry has another one, which stays as it is."), "study")
                )
        record.take(given, keywords, replace=self.mode is Mode.PUT, keep={"RequestedProcedureID"})
        self._codes(record)
        self._catalogue(record, is_new=order is None)
        if order is None:
            self._refuse_taken_uid(record)
        record.check()
        return record

    def _codes(self, record: Record) -> None:
        for keyword, prefix in ((PROCEDURE_CODE, ""), (REASON_CODE, "reason_")):
            if keyword not in self.entry.values and self.mode is not Mode.PUT:
                continue
            try:
                codes = values.codes(self.entry.values.get(keyword))
            except ValueError as error:
                self.problems.append(Problem(keyword, str(error)))
                continue
            if len(codes) > 1:
                self.problems.append(Problem(keyword, _("holds one code only here.")))
                continue
            names_ = ("code_value", "coding_scheme_designator", "coding_scheme_version", "code_meaning")
            code = codes[0] if codes else dict.fromkeys(names_, "")
            if prefix:
                code.pop("coding_scheme_version")
            record.set_columns(keyword, {prefix + name: value for name, value in code.items()})

    def _catalogue(self, record: Record, *, is_new: bool) -> None:
        """Find the catalogue's procedure by its name or code; it fills a new entry."""
        order = record.instance
        wanted = self.entry.procedure.strip(" ")
        if wanted:
            procedure = _procedure_called(wanted)
            if procedure is None:
                self.problems.append(Problem("Procedure", _("is not in the catalogue.")))
            else:
                record.set_columns("Procedure", {"procedure": procedure})
        elif PROCEDURE_CODE in record.changed and order.code_value:
            order.procedure = Procedure.objects.filter(
                enabled=True, code_value=order.code_value, coding_scheme_designator=order.coding_scheme_designator
            ).first()
        if is_new:
            order.fill_from_catalogue()

    def _refuse_taken_uid(self, record: Record) -> None:
        uid = record.instance.study_instance_uid
        if uid and RequestedProcedure.objects.filter(study_instance_uid=uid).exists():
            self.conflicts.append(Problem("StudyInstanceUID", _("belongs to another entry."), "study"))

    # --- steps

    def _steps(self, requested: Record) -> StepWriter:
        steps = StepWriter(
            requested.instance,
            self.problems,
            self.conflicts,
            replace=self.mode is Mode.PUT,
            lenient=self.mode is Mode.UPSERT,
        )
        if requested.instance.pk is None and not self.entry.steps:
            self.problems.append(Problem(STEPS, _("An entry needs a step."), "required"))
        steps.take(self.entry.steps)
        return steps


def _stripped(given: Mapping[str, Any], keyword: str) -> str:
    return str(given.get(keyword) or "").strip(" ")


def _procedure_called(wanted: str) -> Procedure | None:
    procedures = Procedure.objects.filter(enabled=True)
    return procedures.filter(name__iexact=wanted).first() or procedures.filter(code_value=wanted).first()


def cancel(
    accession_number: str,
    step_id: str = "",
    *,
    source: str = "",
    reason: str = "",
    before: Callable[[], None] = lambda: None,
) -> list[str]:
    """Cancel the waiting steps of an entry, or the one named; return the IDs of those that were cancelled now.

    What is cancelled already stays so.

    :raises UnknownEntryError: there is no such entry, or no such step in it.
    :raises ConflictError: a step has started, or has ended otherwise.
    """
    with transaction.atomic(), because(source):
        before()
        order = RequestedProcedure.objects.select_for_update().filter(accession_number=accession_number).first()
        if order is None or not accession_number:
            raise UnknownEntryError([Problem("AccessionNumber", _("No entry has this accession number."), "unknown")])
        steps = order.scheduled_procedure_steps.select_for_update().order_by("pk")
        if step_id:
            steps = steps.filter(scheduled_procedure_step_id=step_id)
            if not steps:
                raise UnknownEntryError(
                    [Problem("ScheduledProcedureStepID", _("The entry has no step of this ID."), "unknown")]
                )
        return _cancel(steps, reason)


def _cancel(steps: Iterable[ScheduledProcedureStep], reason: str) -> list[str]:
    waiting, past = [], []
    for step in steps:
        if step.status in WAITING:
            waiting.append(step)
        elif step.status != "CANCELLED":
            past.append(step)
    if past:
        raise ConflictError(
            Problem(
                attributes.STATUS,
                _("Step %(id)s is %(status)s.")
                % {"id": step.scheduled_procedure_step_id, "status": step.get_status_display()},
                "status",
            )
            for step in past
        )
    for step in waiting:
        StepWriter.cancel(step, reason)
    return [step.scheduled_procedure_step_id for step in waiting]
