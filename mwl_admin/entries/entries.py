"""One entry from outside into the worklist: checked by the models' rules, made or changed in one transaction.

Web API, files and commands all come by here. An entry is known by its accession number.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from django.db.models import QuerySet
from django.utils.translation import gettext as _

from mwl_admin.entries import entry_patients, examinations, making, values
from mwl_admin.entries.attempts import attempted
from mwl_admin.entries.entry import Entry, Mode, StoredEntry
from mwl_admin.entries.entry_attributes import COLUMNS, PROCEDURE_CODE, REASON_CODE, STEPS, Level
from mwl_admin.entries.problems import DIFFERS, ConflictError, InvalidEntryError, Problem, UnknownEntryError
from mwl_admin.entries.steps import StepWriter
from mwl_admin.entries.writing import WrittenRecord, required
from mwl_admin.fields import normalise
from mwl_admin.models import FormerPatientID, Patient, Procedure, RequestedProcedure
from mwl_admin.models.prepared import PreparedInstances
from mwl_admin.patients import identity

_ORDER = PreparedInstances(
    RequestedProcedure,
    lambda number: (
        RequestedProcedure.objects.select_for_update(no_key=True).filter(accession_number=number).order_by("pk")
    ),
    str,
)
_PATIENT = PreparedInstances(
    Patient,
    lambda patient_id, issuer: (
        Patient.objects.select_for_update(no_key=True)
        .filter(patient_id=patient_id, issuer_of_patient_id=issuer)
        .order_by()
    ),
    str,
    str,
)
_PATIENT_OF = PreparedInstances(
    Patient, lambda pk: Patient.objects.select_for_update(no_key=True).filter(pk=pk).order_by(), int
)


def store(
    entry: Entry,
    mode: Mode,
    *,
    source: str = "",
    before: Callable[[], None] = lambda: None,
    after: Callable[[StoredEntry], None] = lambda stored: None,
    update_patient: bool = False,
) -> StoredEntry:
    """Make or change an entry, all of it or nothing; ``source`` tells the history where it came from.

    ``before`` is called first in the transaction and ``after`` last; both may refuse by an exception of their own.
    ``update_patient``: what differs in the patient's demographics corrects the record, and is not another person.

    :raises InvalidEntryError: a value breaks a rule; all that are wrong are told.
    :raises ConflictError: the entry contradicts what the worklist holds.
    :raises UnknownEntryError: there is nothing to update.
    """

    def write() -> StoredEntry:
        before()
        stored = EntryWriter(entry, mode, update_patient=update_patient).write()
        after(stored)
        return stored

    return attempted(write, source)


class EntryWriter:
    """Writes one entry within a transaction. Sources that know an entry by more than its number extend it."""

    def __init__(self, entry: Entry, mode: Mode, *, update_patient: bool = False) -> None:
        self.entry = entry
        self.mode = mode
        self.update_patient = update_patient
        self.problems: list[Problem] = []
        self.conflicts: list[Problem] = []
        self.contradicted: int | None = None

    def write(self) -> StoredEntry:
        """Make or change the entry; raise an :class:`EntryError` when it can't be."""
        order = self.find_order()
        if order is None and self.mode is Mode.UPDATE:
            raise UnknownEntryError([Problem("AccessionNumber", _("No entry has this accession number."), "unknown")])
        patient = self._patient(order)
        requested = self._order(order, patient)
        steps = self.steps(requested)
        became_another = order is not None and self._became_another_examination(requested, steps)
        self._refuse()
        stored = StoredEntry(requested.instance, created=order is None)
        if patient.instance.pk is None:
            stored.notes += entry_patients.entered_twice(patient.instance)
        stored.changed += [*patient.save(), *requested.save(patient=patient.instance)]
        steps.save(stored)
        if became_another:
            examinations.keep_cancelled(requested.instance)
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
            raise ConflictError(self.conflicts, self.contradicted)

    def find_order(self) -> RequestedProcedure | None:
        """Return the order that the entry is about, locked; None when there is none yet."""
        number = self.entry.accession_number
        return _ORDER.first(normalise(number)) if number else None

    @staticmethod
    def locked_orders() -> QuerySet[RequestedProcedure]:
        """Orders that stay locked until the end: of two who write the same, the second sees what the first has done.

        Without their patients: PostgreSQL finds no row that is joined to another one by the time it gets the lock.
        """
        return RequestedProcedure.objects.select_for_update(no_key=True)

    # --- patient

    def _patient(self, order: RequestedProcedure | None) -> WrittenRecord:
        patient = self.find_patient(order)
        given = self.entry.values
        record = WrittenRecord(patient or Patient(), Level.PATIENT, self.problems)
        if patient is None:
            self.problems += required(given, "PatientID", "PatientName")
        else:
            self._refuse_another(patient, by_id_alone=order is None)
        self._name(record, is_new=patient is None)
        keywords = [name for name, column in COLUMNS.items() if column.level is Level.PATIENT]
        if patient is not None:
            keywords = [name for name in keywords if name not in {"PatientID", "IssuerOfPatientID"}]
            if not self.update_patient:
                # Who lost a birth date could become anybody who has another one.
                keywords = [name for name in keywords if name not in identity.KEYWORDS or _stripped(given, name)]
        record.take(self.patient_values(record.instance), keywords)
        record.check()
        return record

    def patient_values(self, _patient: Patient) -> Mapping[str, Any]:
        """Return what the record is to be given."""
        return self.entry.values

    def find_patient(self, order: RequestedProcedure | None) -> Patient | None:
        """Return the record that the entry is about, by its order or by its patient ID; None when there is none yet."""
        given = self.entry.values
        patient_id = _stripped(given, "PatientID")
        issuer = _stripped(given, "IssuerOfPatientID")
        if order is not None:
            (order.patient,) = _PATIENT_OF.all(order.patient_id)
            # An ID without an issuer is the department's.
            is_told = "PatientID" in given or "IssuerOfPatientID" in given
            if ("PatientID" in given and patient_id != order.patient.patient_id) or (
                is_told and not identity.same_issuer(order.patient.issuer_of_patient_id, issuer)
            ):
                self.conflicts.append(
                    Problem(
                        "PatientID", _("The accession number belongs to an order of another patient."), "other_patient"
                    )
                )
            return order.patient
        if not patient_id:
            return None
        found = (_PATIENT.first(normalise(patient_id), normalise(known)) for known in identity.issuers(issuer))
        patient = next((patient for patient in found if patient is not None), None)
        if patient is None:
            self._refuse_former(patient_id, issuer)
        return patient

    def _refuse_former(self, patient_id: str, issuer: str) -> None:
        """Make no second record of a person under an ID that is no longer in use."""
        former = FormerPatientID.objects.of(patient_id, issuer)
        if former is not None and former.is_closed_to(entry_patients.told(self.entry.values)):
            self.contradicted = former.record_id
            self.conflicts.append(Problem("PatientID", entry_patients.out_of_use(), entry_patients.MERGED))

    def _refuse_another(self, patient: Patient, *, by_id_alone: bool) -> None:
        if self.update_patient:
            return
        told = entry_patients.told(self.entry.values, patient)
        differs = identity.contradictions(identity.of_record(patient), told, by_id_alone=by_id_alone)
        if not differs or any(problem.code == "other_patient" for problem in self.conflicts):
            return
        self.contradicted = patient.pk
        self.conflicts.append(Problem("PatientID", identity.refusal(differs), "other_patient"))
        self.conflicts += [
            Problem(keyword, _("differs from what is known of this patient."), DIFFERS)
            for keyword in differs
            if keyword != "PatientID"
        ]

    def _name(self, record: WrittenRecord, *, is_new: bool) -> None:
        """Take the patient's name; parts that it leaves out stay, unless the record is to be corrected."""
        if "PatientName" not in self.entry.values:
            return
        try:
            columns = values.patient_name(self.entry.values["PatientName"] or "")
        except ValueError as error:
            self.problems.append(Problem("PatientName", str(error)))
            return
        if not is_new and not self.update_patient:
            columns = {name: part for name, part in columns.items() if part}
        record.set_columns("PatientName", columns)

    # --- order

    def _order(self, order: RequestedProcedure | None, patient: WrittenRecord) -> WrittenRecord:
        given = self.entry.values
        instance = order or RequestedProcedure()
        record = WrittenRecord(instance, Level.REQUESTED, self.problems, exclude={"patient"})
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
        self.catalogue(record, is_new=order is None)
        if order is None:
            self._refuse_taken_uid(record)
        record.check()
        return record

    def _became_another_examination(self, order: WrittenRecord, steps: StepWriter) -> bool:
        """Whether the order is another examination now; a conflict while a modality has a step of it on its list."""
        changed = _other_examination(order)
        if not changed or not steps.is_on_a_list:
            return bool(changed)
        for keyword in changed:
            if keyword in self.entry.values:
                text = examinations.refusal([keyword])
                self.conflicts.append(Problem(keyword, text, "read"))
            else:
                order.restore(keyword)  # what is absent says nothing
        return False

    def _codes(self, record: WrittenRecord) -> None:
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

    def catalogue(self, record: WrittenRecord, *, is_new: bool) -> None:
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
        if is_new or (self.mode is Mode.PUT and self.entry.values.get(PROCEDURE_CODE)):
            # The same entry again is filled again: replacing what is the same changes nothing.
            making.fill_order(order)
            record.forget_restored()

    def _refuse_taken_uid(self, record: WrittenRecord) -> None:
        uid = record.instance.study_instance_uid
        if uid and RequestedProcedure.objects.filter(study_instance_uid=uid).exists():
            self.conflicts.append(Problem("StudyInstanceUID", _("belongs to another entry."), "study"))

    # --- steps

    def steps(self, requested: WrittenRecord) -> StepWriter:
        """Find the steps that the entry means, and set what it gives."""
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


def _other_examination(order: WrittenRecord) -> list[str]:
    description, code = examinations.ORDER
    if not {description, code} & {*order.changed}:
        return []
    text, columns = "requested_procedure_description", ("code_value", "coding_scheme_designator")
    value, scheme = (order.was(code, column) for column in columns)
    return examinations.changes(
        {description: order.was(description, text), code: examinations.codes((value, scheme))},
        {
            description: order.instance.requested_procedure_description,
            code: examinations.codes((order.instance.code_value, order.instance.coding_scheme_designator)),
        },
    )


def _stripped(given: Mapping[str, Any], keyword: str) -> str:
    return str(given.get(keyword) or "").strip(" ")


def _procedure_called(wanted: str) -> Procedure | None:
    procedures = Procedure.objects.filter(enabled=True)
    return procedures.filter(name__iexact=wanted).first() or procedures.filter(code_value=wanted).first()
