"""One examination in data sets: what a scanner copies from the worklist, and what it makes itself.

Which attribute goes where is what IHE Scheduled Workflow demands of an acquisition modality (RAD TF-2, Appendix A).
"""

from __future__ import annotations

import datetime
from dataclasses import dataclass, field

from pydicom import Dataset
from pydicom.uid import UID, generate_uid

from dicom_encoding import uids

ROOT = "2.25."
SYNTHETIC_PREFIX = "SYN-"
"""How the patient ID of each invented patient begins, so that nobody takes these for people."""
_CODE = ("CodeValue", "CodingSchemeDesignator", "CodingSchemeVersion", "CodeMeaning")
_PATIENT = ("PatientName", "PatientID", "IssuerOfPatientID", "PatientBirthDate", "PatientSex")
_REQUIRED = ("PatientName", "PatientID", "StudyInstanceUID", "RequestedProcedureID")
_REQUIRED_OF_STEP = (
    "ScheduledProcedureStepID",
    "Modality",
    "ScheduledProcedureStepStartDate",
    "ScheduledProcedureStepStartTime",
)


def new_uid() -> UID:
    """A UID without a registered root (PS3.5 §B.2)."""
    return generate_uid(prefix=None)


def step_of(entry: Dataset) -> Dataset:
    """Return the scheduled step of a worklist entry; empty when there is none."""
    steps = entry.get("ScheduledProcedureStepSequence") or []
    return steps[0] if steps else Dataset()


def faults(entry: Dataset) -> list[str]:
    """Return what a scanner misses in a worklist entry: type 1 attributes without a value (PS3.4 Table K.6-1)."""
    step = step_of(entry)
    missing = [keyword for keyword in _REQUIRED if not entry.get(keyword)]
    missing += [keyword for keyword in _REQUIRED_OF_STEP if not step.get(keyword)]
    found = [f"{keyword} has no value" for keyword in missing]
    uid = entry.get("StudyInstanceUID")
    if uid and not uids.is_legal(str(uid)):
        found.append("StudyInstanceUID is not a UID")
    if not entry.get("SpecificCharacterSet") and not str(entry.get("PatientName") or "").isascii():
        found.append("PatientName is not ASCII, and no Specific Character Set says what it is")
    return found


def key(entry: Dataset) -> tuple[str, str]:
    """Return what tells one entry from another."""
    return str(entry.get("StudyInstanceUID", "")), str(step_of(entry).get("ScheduledProcedureStepID", ""))


def start(entry: Dataset) -> tuple[str, str]:
    """Return scheduled date and time, to sort by."""
    step = step_of(entry)
    return str(step.get("ScheduledProcedureStepStartDate") or ""), str(
        step.get("ScheduledProcedureStepStartTime") or ""
    )


def is_synthetic(entry: Dataset) -> bool:
    """Tell whether an entry's patient is invented."""
    return str(entry.get("PatientID") or "").startswith(SYNTHETIC_PREFIX)


def walk_in(number: int) -> Dataset:
    """Return the patient of an unscheduled examination, as typed at the console: no order, no accession number."""
    ds = Dataset()
    ds.PatientName = "Synthetic^Unscheduled"
    ds.PatientID = f"{SYNTHETIC_PREFIX}{number:05d}"
    ds.PatientBirthDate = ""
    ds.PatientSex = "O"
    ds.StudyInstanceUID = new_uid()
    return ds


@dataclass(slots=True)
class Examination:
    """An examination under way. ``entry`` is a worklist entry, or a walk-in's patient; times are the scanner's."""

    entry: Dataset
    ae_title: str
    modality: str
    started: datetime.datetime
    mpps_uid: UID = field(default_factory=new_uid)
    series_uid: UID = field(default_factory=new_uid)
    images: list[tuple[str, str]] = field(default_factory=list)
    """SOP class and instance of what has been stored."""

    @property
    def scheduled(self) -> bool:
        return bool(step_of(self.entry))

    @property
    def step_id(self) -> str:
        """Performed Procedure Step ID: a scanner's own count."""
        return f"P{self.started:%m%d%H%M%S}{self.series_uid[-3:]}"

    @property
    def protocol(self) -> str:
        described = step_of(self.entry).get("ScheduledProcedureStepDescription") or ""
        return str(described or self.entry.get("RequestedProcedureDescription") or f"{self.modality} test pattern")

    def patient(self, ds: Dataset) -> None:
        """Copy the patient, and the character set that the name is written in."""
        character_set = self.entry.get("SpecificCharacterSet")
        if character_set:
            ds.SpecificCharacterSet = character_set
        for keyword in _PATIENT:
            if keyword in self.entry and (self.entry.get(keyword) or keyword != "IssuerOfPatientID"):
                setattr(ds, keyword, self.entry.get(keyword))
            elif keyword != "IssuerOfPatientID":
                setattr(ds, keyword, None)

    def request_attributes(self) -> Dataset:
        """Return the item of the Request Attributes Sequence (0040,0275)."""
        step = step_of(self.entry)
        item = Dataset()
        _copy(self.entry, item, "RequestedProcedureID", "RequestedProcedureDescription")
        _copy_codes(self.entry, item, "RequestedProcedureCodeSequence")
        _copy(step, item, "ScheduledProcedureStepID", "ScheduledProcedureStepDescription")
        _copy_codes(step, item, "ScheduledProtocolCodeSequence")
        return item

    def creation(self) -> Dataset:
        """Return the attributes of the MPPS N-CREATE (PS3.4 Table F.7.2-1)."""
        step = step_of(self.entry)
        ds = Dataset()
        self.patient(ds)
        ds.ReferencedPatientSequence = []
        scheduled = Dataset()
        scheduled.StudyInstanceUID = self.entry.StudyInstanceUID
        scheduled.ReferencedStudySequence = self.entry.get("ReferencedStudySequence") or []
        for keyword in ("AccessionNumber", "RequestedProcedureID", "RequestedProcedureDescription"):
            setattr(scheduled, keyword, self.entry.get(keyword))
        _copy_codes(self.entry, scheduled, "RequestedProcedureCodeSequence")
        for keyword in ("ScheduledProcedureStepID", "ScheduledProcedureStepDescription"):
            setattr(scheduled, keyword, step.get(keyword))
        scheduled.ScheduledProtocolCodeSequence = _codes(step, "ScheduledProtocolCodeSequence")
        ds.ScheduledStepAttributesSequence = [scheduled]
        ds.PerformedProcedureStepID = self.step_id
        ds.PerformedStationAETitle = self.ae_title
        ds.PerformedStationName = None
        ds.PerformedLocation = None
        ds.PerformedProcedureStepStartDate = f"{self.started:%Y%m%d}"
        ds.PerformedProcedureStepStartTime = f"{self.started:%H%M%S}"
        ds.PerformedProcedureStepEndDate = None
        ds.PerformedProcedureStepEndTime = None
        ds.PerformedProcedureStepStatus = "IN PROGRESS"
        ds.PerformedProcedureStepDescription = self.protocol
        ds.PerformedProcedureTypeDescription = None
        ds.ProcedureCodeSequence = _codes(self.entry, "RequestedProcedureCodeSequence")
        ds.PerformedProcedureStepDiscontinuationReasonCodeSequence = []
        ds.Modality = self.modality
        ds.StudyID = self.entry.get("RequestedProcedureID")
        ds.PerformedProtocolCodeSequence = _codes(step, "ScheduledProtocolCodeSequence")
        ds.PerformedSeriesSequence = []
        return ds

    def ending(self, ended: datetime.datetime, *, discontinued: bool = False) -> Dataset:
        """Return the modifications of the final MPPS N-SET."""
        ds = Dataset()
        ds.PerformedProcedureStepStatus = "DISCONTINUED" if discontinued else "COMPLETED"
        ds.PerformedProcedureStepEndDate = f"{ended:%Y%m%d}"
        ds.PerformedProcedureStepEndTime = f"{ended:%H%M%S}"
        if discontinued:
            reason = Dataset()
            reason.CodeValue, reason.CodingSchemeDesignator = "110513", "DCM"
            reason.CodeMeaning = "Discontinued for unspecified reason"
            ds.PerformedProcedureStepDiscontinuationReasonCodeSequence = [reason]
        series = Dataset()
        series.PerformingPhysicianName = step_of(self.entry).get("ScheduledPerformingPhysicianName")
        series.ProtocolName = self.protocol[:64]
        series.OperatorsName = "Synthetic^Operator"
        series.SeriesInstanceUID = self.series_uid
        series.SeriesDescription = "SYNTHETIC test pattern"
        series.RetrieveAETitle = None
        series.ReferencedImageSequence = [_reference(*image) for image in self.images]
        series.ReferencedNonImageCompositeSOPInstanceSequence = []
        ds.PerformedSeriesSequence = [series]
        character_set = self.entry.get("SpecificCharacterSet")
        if character_set:
            ds.SpecificCharacterSet = character_set
        if self.modality in {"CT", "DX", "MG"}:
            ds.TotalNumberOfExposures = len(self.images)
        return ds


def _reference(sop_class: str, instance: str) -> Dataset:
    item = Dataset()
    item.ReferencedSOPClassUID = sop_class
    item.ReferencedSOPInstanceUID = instance
    return item


def _copy(source: Dataset, target: Dataset, *keywords: str) -> None:
    for keyword in keywords:
        if source.get(keyword):
            setattr(target, keyword, source.get(keyword))


def _codes(source: Dataset, keyword: str) -> list[Dataset]:
    """Return copies of coded entries that are whole; others would make the new object illegal."""
    copies = []
    for code in source.get(keyword) or []:
        if code.get("CodeValue") and code.get("CodingSchemeDesignator") and code.get("CodeMeaning"):
            copy = Dataset()
            _copy(code, copy, *_CODE)
            copies.append(copy)
    return copies


def _copy_codes(source: Dataset, target: Dataset, keyword: str) -> None:
    codes = _codes(source, keyword)
    if codes:
        setattr(target, keyword, codes)


def copy_codes(source: Dataset, target: Dataset, keyword: str, as_keyword: str) -> None:
    """Copy a code sequence under another name; an empty one is left out."""
    codes = _codes(source, keyword)
    if codes:
        setattr(target, as_keyword, codes)
