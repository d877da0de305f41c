"""Worklist files into the worklist: as DCMTK's `wlmscpfs` and Orthanc's worklist plugin keep them, one data set a file.

Read by the same parser as a modality's identifiers, so in any character set; checked by the models' own rules.
"""

from __future__ import annotations

import datetime
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from django.core.exceptions import ValidationError
from django.db import models, transaction
from pydicom.datadict import tag_for_keyword

from mwl_admin.models import Patient, ProtocolCode, RequestedProcedure, ScheduledProcedureStep, Station
from mwl_admin.models.status import OPEN, StepStatus
from mwl_admin.worklist import keys
from mwl_admin.worklist.errors import IdentifierError
from mwl_admin.worklist.identifier import Identifier, parse
from mwl_admin.worklist.syntax import EXPLICIT_LITTLE, IMPLICIT_LITTLE

SUFFIXES = frozenset({".wl", ".dcm", ".wklist"})
"""How the names of worklist files end: those of wlmscpfs and Orthanc, and the general one."""

_PREAMBLE = 128
_GROUP_LENGTH = b"\x02\x00\x00\x00UL\x04\x00"
_TRANSFER_SYNTAX = 0x00020010

Entry = TypeVar("Entry", bound=models.Model)


class FileError(Exception):
    """A worklist file cannot be taken; the text says why, in words for staff and without patient data."""


@dataclass(slots=True)
class Imported:
    """What was done with one file: steps made, steps changed, stations that were not known before."""

    created: int = 0
    updated: int = 0
    stations: list[str] = field(default_factory=list)


def worklist_files(path: Path) -> Iterator[Path]:
    """Yield the worklist files at a path: the file itself, or those below a folder, by their names' endings."""
    if path.is_file():
        yield path
        return
    yield from sorted(found for found in path.rglob("*") if found.suffix.lower() in SUFFIXES and found.is_file())


def read_file(path: Path) -> Identifier:
    """Read a worklist file, with or without a Part 10 header; raise :class:`FileError` when it is none."""
    try:
        return _read(path.read_bytes())
    except OSError as error:
        raise FileError(f"cannot be read: {error.strerror}") from error
    except IdentifierError as error:
        raise FileError(f"is not DICOM: {error}") from error


def _read(data: bytes) -> Identifier:
    if data[_PREAMBLE : _PREAMBLE + 4] != b"DICM":
        # wlmscpfs takes bare data sets too; a VR after the first tag tells which of the two syntaxes it is.
        return parse(data, EXPLICIT_LITTLE if data[4:6].isalpha() and data[4:6].isupper() else IMPLICIT_LITTLE)
    start = _PREAMBLE + 4
    if data[start : start + len(_GROUP_LENGTH)] != _GROUP_LENGTH:
        raise IdentifierError("The file meta information has no length")
    length = int.from_bytes(data[start + 8 : start + 12], "little")
    meta = parse(data[start + 12 : start + 12 + length], EXPLICIT_LITTLE)
    return parse(data[start + 12 + length :], meta.text(_TRANSFER_SYNTAX))


@transaction.atomic
def import_data_set(ds: Identifier) -> Imported:
    """Make or change the entries that a data set tells of; all of them, or none when it raises :class:`FileError`.

    An order is known by its accession number, or else by its Study Instance UID; a step by its ID within the order.
    What the data set leaves empty stays as it is.
    """
    steps = _items(ds, "ScheduledProcedureStepSequence")
    if not steps:
        raise FileError("holds no scheduled procedure step")
    done = Imported()
    order = _order(ds, _patient(ds))
    for item in steps:
        _step(item, order, done)
    return done


def _text(ds: Identifier, keyword: str) -> str:
    return ds.text(tag_for_keyword(keyword) or 0)


def _lines(ds: Identifier, keyword: str) -> str:
    return "\n".join(part.strip() for part in _text(ds, keyword).split("\\"))


def _items(ds: Identifier, keyword: str) -> Sequence[Identifier]:
    key = ds.get(tag_for_keyword(keyword) or 0)
    return key.items or () if key is not None else ()


Spans = tuple[keys.Span[Any], ...]


def _value(ds: Identifier, keyword: str, parse_: Callable[[str], Spans]) -> Any:
    """Return a date or time; None when there is none."""
    try:
        spans = parse_(_text(ds, keyword))
    except keys.BadValueError as error:
        raise FileError(f"{keyword} {error}") from error
    if len(spans) > 1 or any(span.ranged for span in spans):
        raise FileError(f"{keyword} has more than one value")
    return spans[0].low if spans else None


def _save(entry: Entry, **given: Any) -> Entry:
    """Set what the file gives, check all by the models' rules, and save."""
    for name, value in given.items():
        if value not in ("", None):
            setattr(entry, name, value)
    try:
        entry.full_clean(validate_unique=False, validate_constraints=False)
    except ValidationError as error:
        raise FileError("; ".join(_messages(error))) from error
    entry.save()
    return entry


def _messages(error: ValidationError) -> Iterator[str]:
    for name, messages in error.message_dict.items():
        yield f"{name.replace('_', ' ')}: {' '.join(messages)}"


def _patient(ds: Identifier) -> Patient:
    patient_id = _text(ds, "PatientID")
    if not patient_id:
        raise FileError("has no Patient ID")
    issuer = _text(ds, "IssuerOfPatientID")
    patient = Patient.objects.filter(patient_id=patient_id, issuer_of_patient_id=issuer).first()
    groups = [*_text(ds, "PatientName").split("="), "", ""]
    components = [*groups[0].split("^"), "", "", "", ""]
    number = _text(ds, "PregnancyStatus")
    return _save(
        patient or Patient(patient_id=patient_id, issuer_of_patient_id=issuer),
        family_name=components[0],
        given_name=components[1],
        middle_name=components[2],
        name_prefix=components[3],
        name_suffix=components[4],
        ideographic_name=groups[1],
        phonetic_name=groups[2],
        patient_birth_date=_value(ds, "PatientBirthDate", keys.dates),
        patient_sex=_text(ds, "PatientSex").upper(),
        patient_size=_text(ds, "PatientSize"),
        patient_weight=_text(ds, "PatientWeight"),
        pregnancy_status=int(number) if number in {"1", "2", "3", "4"} else None,
        allergies=_lines(ds, "Allergies"),
        medical_alerts=_lines(ds, "MedicalAlerts"),
        special_needs=_text(ds, "SpecialNeeds"),
        patient_state=_text(ds, "PatientState"),
        patient_comments=_text(ds, "PatientComments"),
        confidentiality_constraint_on_patient_data_description=_text(
            ds, "ConfidentialityConstraintOnPatientDataDescription"
        ),
    )


def _codes(ds: Identifier, keyword: str) -> list[dict[str, str]]:
    """Return the columns of each code in a code sequence."""
    return [
        {
            "code_value": _text(item, "CodeValue"),
            "coding_scheme_designator": _text(item, "CodingSchemeDesignator"),
            "coding_scheme_version": _text(item, "CodingSchemeVersion"),
            "code_meaning": _text(item, "CodeMeaning"),
        }
        for item in _items(ds, keyword)
        if _text(item, "CodeValue")
    ]


def _one_code(ds: Identifier, keyword: str) -> dict[str, str]:
    return next(iter(_codes(ds, keyword)), {})


def _order(ds: Identifier, patient: Patient) -> RequestedProcedure:
    accession_number, uid = _text(ds, "AccessionNumber"), _text(ds, "StudyInstanceUID")
    orders = RequestedProcedure.objects
    order = orders.filter(accession_number=accession_number).first() if accession_number else None
    same_study = orders.filter(study_instance_uid=uid).first() if uid else None
    if order is None and not accession_number:
        order = same_study
    if (same_study is not None and order is not None and same_study.pk != order.pk) or (order is None and same_study):
        raise FileError("its Study Instance UID belongs to an order with another accession number")
    if order is not None and order.patient_id != patient.pk:
        raise FileError("its accession number belongs to an order of another patient")
    reason = _one_code(ds, "ReasonForRequestedProcedureCodeSequence")
    reason.pop("coding_scheme_version", None)
    return _save(
        order or RequestedProcedure(patient=patient),
        accession_number=accession_number,
        study_instance_uid=uid,
        requested_procedure_id=_text(ds, "RequestedProcedureID"),
        requested_procedure_description=_text(ds, "RequestedProcedureDescription"),
        requested_procedure_priority=_text(ds, "RequestedProcedurePriority").upper(),
        reason_for_the_requested_procedure=_text(ds, "ReasonForTheRequestedProcedure"),
        referring_physician_name=_text(ds, "ReferringPhysicianName"),
        requesting_physician=_text(ds, "RequestingPhysician"),
        admission_id=_text(ds, "AdmissionID"),
        current_patient_location=_text(ds, "CurrentPatientLocation"),
        patient_transport_arrangements=_text(ds, "PatientTransportArrangements"),
        **_one_code(ds, "RequestedProcedureCodeSequence"),
        **{f"reason_{name}": value for name, value in reason.items()},
    )


def _step(item: Identifier, order: RequestedProcedure, done: Imported) -> None:
    step_id = _text(item, "ScheduledProcedureStepID")
    step = ScheduledProcedureStep.objects.filter(scheduled_procedure_step_id=step_id).first() if step_id else None
    if step is not None and step.requested_procedure_id != order.pk:
        raise FileError("its step ID belongs to a step of another order")
    time = _value(item, "ScheduledProcedureStepStartTime", keys.times)
    status = _text(item, "ScheduledProcedureStepStatus").upper()
    is_new = step is None
    step = step or ScheduledProcedureStep(requested_procedure=order)
    modality = _text(item, "Modality").upper()
    if is_new and not modality:
        raise FileError("a step has no Modality")
    if is_new and status in OPEN:
        step.status = StepStatus(status)
    _save(
        step,
        scheduled_procedure_step_id=step_id,
        modality=modality,
        scheduled_date=_value(item, "ScheduledProcedureStepStartDate", keys.dates),
        scheduled_time=time or (datetime.time() if is_new else None),
        scheduled_performing_physician_name=_text(item, "ScheduledPerformingPhysicianName"),
        scheduled_procedure_step_description=_text(item, "ScheduledProcedureStepDescription"),
        scheduled_procedure_step_location=_text(item, "ScheduledProcedureStepLocation"),
        pre_medication=_text(item, "PreMedication"),
        requested_contrast_agent=_text(item, "RequestedContrastAgent"),
        comments_on_the_scheduled_procedure_step=_text(item, "CommentsOnTheScheduledProcedureStep"),
    )
    _stations(item, step, done)
    _protocol_codes(item, step)
    done.created += is_new
    done.updated += not is_new


def _stations(item: Identifier, step: ScheduledProcedureStep, done: Imported) -> None:
    titles = [title for title in _lines(item, "ScheduledStationAETitle").split("\n") if title]
    names = [*_lines(item, "ScheduledStationName").split("\n"), *("" for _ in titles)]
    stations = []
    for title, name in zip(titles, names, strict=False):
        station = Station.objects.filter(ae_title=title).first()
        if station is None:
            station = _save(Station(), ae_title=title, modality=step.modality, station_name=name)
            done.stations.append(title)
        stations.append(station)
    if stations:
        step.stations.set(stations)


def _protocol_codes(item: Identifier, step: ScheduledProcedureStep) -> None:
    codes = []
    for values in _codes(item, "ScheduledProtocolCodeSequence"):
        known = {name: value for name, value in values.items() if name != "code_meaning"}
        codes.append(ProtocolCode.objects.filter(**known).first() or _save(ProtocolCode(), **values))
    if codes:
        step.protocol_codes.set(codes)
