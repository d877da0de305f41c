"""What kinds of device ask a worklist for: their query keys, as conformance statements of such devices list them."""

from __future__ import annotations

import datetime
from collections.abc import Callable
from dataclasses import dataclass

from pydicom import Dataset
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian

_BOTH = (ExplicitVRLittleEndian, ImplicitVRLittleEndian)

_USUAL = (
    "PatientName PatientID PatientBirthDate PatientSex AccessionNumber ReferringPhysicianName StudyInstanceUID"
    " RequestedProcedureID RequestedProcedureDescription RequestedProcedureCodeSequence ReferencedStudySequence"
)
_CLINICAL = (
    "IssuerOfPatientID PatientSize PatientWeight MedicalAlerts Allergies PregnancyStatus SpecialNeeds PatientState"
    " RequestingPhysician RequestedProcedurePriority PatientTransportArrangements AdmissionID CurrentPatientLocation"
    " ConfidentialityConstraintOnPatientDataDescription ReferencedPatientSequence ReasonForTheRequestedProcedure"
    " NamesOfIntendedRecipientsOfResults PatientComments"
)
_STEP = (
    "ScheduledStationAETitle ScheduledProcedureStepStartDate ScheduledProcedureStepStartTime Modality"
    " ScheduledPerformingPhysicianName ScheduledProcedureStepDescription ScheduledProtocolCodeSequence"
    " ScheduledProcedureStepID"
)
_MORE_STEP = (
    " ScheduledStationName ScheduledProcedureStepLocation PreMedication RequestedContrastAgent"
    " ScheduledProcedureStepStatus CommentsOnTheScheduledProcedureStep"
)

StepKeys = Callable[[str, str, datetime.date], dict[str, str]]
"""The matching keys of the step, by AE title, modality and day."""


@dataclass(frozen=True, slots=True)
class Profile:
    """A kind of device. ``images`` is what an examination takes when nothing else is asked for."""

    name: str
    about: str
    modality: str
    images: int
    keys: str
    step_keys: str
    matching: StepKeys
    transfer_syntaxes: tuple[str, ...] = _BOTH
    character_set: str = "ISO_IR 192"

    def identifier(self, ae_title: str, modality: str, day: datetime.date) -> Dataset:
        """Return the identifier of the query that such a device sends."""
        ds = Dataset()
        if self.character_set:
            ds.SpecificCharacterSet = self.character_set
        for keyword in self.keys.split():
            setattr(ds, keyword, [] if keyword.endswith("Sequence") else None)
        step = Dataset()
        for keyword in self.step_keys.split():
            setattr(step, keyword, [] if keyword.endswith("Sequence") else None)
        for keyword, value in self.matching(ae_title, modality, day).items():
            setattr(step, keyword, value)
        ds.ScheduledProcedureStepSequence = [step]
        return ds


def _date(day: datetime.date) -> str:
    return f"{day:%Y%m%d}"


def _own_today(ae_title: str, modality: str, day: datetime.date) -> dict[str, str]:
    return {
        "ScheduledStationAETitle": ae_title,
        "ScheduledProcedureStepStartDate": _date(day),
        "Modality": modality,
    }


def _modality_today(_ae_title: str, modality: str, day: datetime.date) -> dict[str, str]:
    return {"ScheduledProcedureStepStartDate": _date(day), "Modality": modality}


def _modality_around(_ae_title: str, modality: str, day: datetime.date) -> dict[str, str]:
    one = datetime.timedelta(days=1)
    return {"ScheduledProcedureStepStartDate": f"{_date(day - one)}-{_date(day + one)}", "Modality": modality}


def _own_today_span(ae_title: str, _modality: str, day: datetime.date) -> dict[str, str]:
    return {
        "ScheduledStationAETitle": ae_title,
        "ScheduledProcedureStepStartDate": f"{_date(day)}-{_date(day)}",
        "ScheduledProcedureStepStartTime": "000000-235959",
    }


PROFILES = {
    profile.name: profile
    for profile in (
        Profile(
            "ct",
            "CT scanner: its own entries of the day, and all that is known of the patient",
            "CT", 20, f"{_USUAL} {_CLINICAL}", _STEP + _MORE_STEP, _own_today,
        ),
        Profile(
            "mr",
            "MR scanner: all MR of the day, with weight and safety",
            "MR", 15, f"{_USUAL} {_CLINICAL}", _STEP + _MORE_STEP, _modality_today,
        ),
        Profile(
            "mg",
            "mammography unit: all MG from yesterday to tomorrow",
            "MG", 4, _USUAL, _STEP, _modality_around,
        ),
        Profile(
            "dx",
            "X-ray room: its own entries of the day, as a span of dates and times",
            "DX", 2, f"{_USUAL} PregnancyStatus PatientWeight", _STEP, _own_today_span,
        ),
        Profile(
            "us",
            "ultrasound cart: all US of the day, few keys",
            "US", 1,
            "PatientName PatientID PatientBirthDate PatientSex AccessionNumber StudyInstanceUID RequestedProcedureID"
            " ReferringPhysicianName",
            "ScheduledProcedureStepStartDate ScheduledProcedureStepStartTime Modality ScheduledStationAETitle"
            " ScheduledProcedureStepDescription ScheduledProcedureStepID",
            _modality_today,
        ),
        Profile(
            "old",
            "old scanner: Implicit VR only, Latin 1, its modality of the day",
            "CT", 20, _USUAL, _STEP, _modality_today, (ImplicitVRLittleEndian,), "ISO_IR 100",
        ),
        Profile(
            "all",
            "a device that asks for everything and sorts by itself",
            "CT", 20, f"{_USUAL} {_CLINICAL}", _STEP + _MORE_STEP, lambda *_: {},
        ),
    )
}  # fmt: skip
"""Device profiles by name."""
