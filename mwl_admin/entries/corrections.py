"""Patients and their orders put right: merged, given another ID, identified, moved. Each is one transaction.

Each can be asked for again when its answer was lost: what has been done already is found done, and nothing changes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.utils.translation import gettext as _

from mwl_admin.entries import entry_patients
from mwl_admin.entries.attempts import attempted
from mwl_admin.entries.patients import PatientWriter, Reference, entries_of, refuse_other
from mwl_admin.entries.problems import ConflictError, InvalidEntryError, Problem, UnknownEntryError
from mwl_admin.entries.writing import required
from mwl_admin.exceptions import StaleError
from mwl_admin.models import FormerPatientID, Patient, RequestedProcedure
from mwl_admin.models.base import history_reason
from mwl_admin.patients import identity, merging


@dataclass(frozen=True, slots=True)
class CorrectionOutcome:
    """``patient`` is the record that stays; ``moved`` counts the entries that are its now, and were not before."""

    patient: Patient
    changed: bool
    moved: int = 0


def merge(kept: Reference, given_up: Reference, *, source: str, update: bool = False) -> CorrectionOutcome:
    """Merge one record into another. ``update``: though name, birth date or sex of the two contradict each other.

    :raises EntryError: it can't be.
    """

    def write() -> CorrectionOutcome:
        stays = kept.confirmed()
        other = given_up.find()
        if other is None:
            return _done(stays, given_up)
        given_up.compare(other)
        if other.pk == stays.pk:
            raise InvalidEntryError([Problem("PatientID", _("Both are the same record."), "same")])
        refuse_other(stays, () if update else merging.contradictions(stays, other))
        return _merged(stays, other)

    return attempted(write, source)


def change_id(patient: Reference, new: Reference, *, source: str) -> CorrectionOutcome:
    """Give a record another ID, which nobody has.

    :raises EntryError: it can't be; where another record has the ID, the two are to be merged.
    """

    def write() -> CorrectionOutcome:
        record, taken = patient.find(), new.find()
        if record is None:
            return _done(new.confirmed(), patient)
        patient.compare(record)
        if taken is not None and taken.pk != record.pk:
            text = _("belongs to another record: merge the two.")
            raise ConflictError([Problem("PatientID", text, "exists")], taken.pk)
        locked = _locked(record)
        person = new.person
        if (locked.patient_id, locked.issuer_of_patient_id) == (person.patient_id, person.issuer):
            return CorrectionOutcome(locked, changed=False)
        _refuse_closed(new, locked)
        ids = {"PatientID": person.patient_id, "IssuerOfPatientID": person.issuer}
        with history_reason(_("was patient ID %(id)s") % {"id": locked.patient_id}, besides=True):
            PatientWriter(ids).become(locked)
        return CorrectionOutcome(locked, changed=True)

    return attempted(write, source)


def identify(temporary: Reference, patient: Reference, *, source: str, update: bool = False) -> CorrectionOutcome:
    """Say who a person is that was entered under a stopgap: all that is the stopgap's becomes this patient's.

    The patient may have a record, or not: then the stopgap's becomes it. Of a stopgap's name and birth date nothing
    stays. ``update``: what is told of the patient corrects the record that there is.

    :raises EntryError: it can't be.
    """

    def write() -> CorrectionOutcome:
        stopgap, known = temporary.find(), patient.find()
        if stopgap is None:
            return _done(patient.confirmed(update=update), temporary)
        temporary.compare(stopgap)
        if known is not None and known.pk == stopgap.pk:
            raise InvalidEntryError([Problem("PatientID", _("Both are the same record."), "same")])
        if known is None:
            return _renamed(_locked(stopgap), patient)
        merging.lock(known, stopgap)
        patient.check(known)
        PatientWriter(patient.values, update=update).keep()
        known.refresh_from_db()
        return _merged(known, stopgap, person=False)

    return attempted(write, source)


def _renamed(stopgap: Patient, patient: Reference) -> CorrectionOutcome:
    _refuse_closed(patient, stopgap)
    missing = [*required(patient.values, "PatientID", "PatientName")]
    if missing:
        raise InvalidEntryError(missing)
    before = identity.of_record(stopgap)
    # Who is identified is as the request says; a stopgap's birth date is a guess.
    values: dict[str, Any] = {"PatientBirthDate": None, "IssuerOfPatientID": "", **patient.values}
    with history_reason(_("identified: was patient ID %(id)s") % {"id": before.patient_id}, besides=True):
        PatientWriter(values).become(stopgap)
    FormerPatientID.objects.note(before, stopgap, merged=True)
    return CorrectionOutcome(stopgap, changed=True)


def move(accession_number: str, owner: Reference, to: Reference, *, source: str) -> CorrectionOutcome:
    """Move one order from the patient that it was entered for to the one that it is of.

    :raises EntryError: it can't be; where the order is of neither, somebody has moved it meanwhile.
    """

    def write() -> CorrectionOutcome:
        # Without its patient: PostgreSQL finds no row that is joined to another one by the time it gets the lock.
        locked = RequestedProcedure.objects.select_for_update(no_key=True)
        order = locked.filter(accession_number=accession_number).first() if accession_number else None
        if order is None:
            raise UnknownEntryError([Problem("AccessionNumber", _("No entry has this accession number."), "unknown")])
        patient = _locked(to.confirmed())
        if order.patient_id == patient.pk:
            return CorrectionOutcome(patient, changed=False)
        if owner.confirmed().pk != order.patient_id:
            text = _("The accession number belongs to an order of another patient.")
            raise ConflictError([Problem("PatientID", text, "other_patient")])
        reason = _("moved: was of patient ID %(id)s") % {"id": order.patient.patient_id}
        order.patient = patient
        with history_reason(reason, besides=True):
            order.save()
        return CorrectionOutcome(patient, changed=True, moved=1)

    return attempted(write, source)


def _merged(stays: Patient, other: Patient, *, person: bool = True) -> CorrectionOutcome:
    seen = (stays.version, other.version)
    moved = merging.merge(stays, other, seen=seen, entries_seen=entries_of(other), person=person)
    stays.refresh_from_db()
    return CorrectionOutcome(stays, changed=True, moved=moved)


def _done(stays: Patient, gone: Reference) -> CorrectionOutcome:
    """Return what was done before under an ID that is no more, if that is what is asked for now."""
    former = gone.former()
    if former is None or former.record_id != stays.pk:
        raise gone.unknown()
    return CorrectionOutcome(stays, changed=False)


def _locked(patient: Patient) -> Patient:
    locked = Patient.objects.select_for_update(no_key=True).filter(pk=patient.pk).first()
    if locked is None or locked.version != patient.version:
        raise StaleError
    return locked


def _refuse_closed(new: Reference, patient: Patient) -> None:
    """Refuse an ID that became another record's; a record may have its own old one again."""
    former = new.former()
    if former is not None and former.record_id != patient.pk and former.is_closed_to(identity.of_record(patient)):
        raise ConflictError(
            [Problem("PatientID", entry_patients.out_of_use(), entry_patients.MERGED)], former.record_id
        )
