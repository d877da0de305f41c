"""What PS3.4 Table F.7.2-1 asks of each attribute: when it must be given, and whether it may be set later."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from pydicom.datadict import tag_for_keyword


def tag(keyword: str) -> int:
    """Return the tag of a keyword of the dictionary."""
    found = tag_for_keyword(keyword)
    if found is None:
        raise ValueError(f"{keyword} is not in the dictionary")
    return int(found)


@dataclass(frozen=True, slots=True)
class MppsAttribute:
    """A row of the table: the SCP's types, 1 to 3. ``settable``: has a usage in N-SET. ``final``: type in the end."""

    keyword: str
    create: int
    settable: bool
    final: int

    @property
    def tag(self) -> int:
        return tag(self.keyword)


def _rows(create: int, keywords: str, *, settable: bool, final: int = 0) -> Iterable[MppsAttribute]:
    return (MppsAttribute(keyword, create, settable, final or create) for keyword in keywords.split())


TABLE: tuple[MppsAttribute, ...] = (
    # Performed Procedure Step Relationship (PS3.3 §C.4.13)
    *_rows(1, "ScheduledStepAttributesSequence", settable=False),
    *_rows(
        2,
        "PatientName PatientID PatientBirthDate PatientSex ReferencedPatientSequence",
        settable=False,
    ),
    *_rows(
        3,
        "IssuerOfPatientID IssuerOfPatientIDQualifiersSequence OtherPatientIDsSequence AdmissionID"
        " IssuerOfAdmissionIDSequence ServiceEpisodeID IssuerOfServiceEpisodeIDSequence ServiceEpisodeDescription",
        settable=False,
    ),
    # Performed Procedure Step Information (PS3.3 §C.4.14)
    *_rows(
        1,
        "PerformedProcedureStepID PerformedStationAETitle PerformedProcedureStepStartDate"
        " PerformedProcedureStepStartTime",
        settable=False,
    ),
    *_rows(2, "PerformedStationName PerformedLocation", settable=False),
    *_rows(1, "PerformedProcedureStepStatus", settable=True),
    *_rows(
        2,
        "PerformedProcedureStepDescription PerformedProcedureTypeDescription ProcedureCodeSequence"
        " PerformedProcedureStepDiscontinuationReasonCodeSequence",
        settable=True,
    ),
    *_rows(2, "PerformedProcedureStepEndDate PerformedProcedureStepEndTime", settable=True, final=1),
    *_rows(3, "CommentsOnThePerformedProcedureStep", settable=True),
    # Image Acquisition Results (PS3.3 §C.4.15). The series are type 1 in the end; devices that made none leave them
    # empty or out, and nothing is lost by taking that.
    *_rows(1, "Modality", settable=False),
    *_rows(2, "StudyID", settable=False),
    *_rows(2, "PerformedProtocolCodeSequence PerformedSeriesSequence", settable=True),
    # Radiation Dose (PS3.3 §C.4.16)
    *_rows(
        3,
        "AnatomicStructureSpaceOrRegionSequence TotalTimeOfFluoroscopy TotalNumberOfExposures DistanceSourceToDetector"
        " DistanceSourceToEntrance EntranceDose EntranceDoseInmGy ExposedArea ImageAndFluoroscopyAreaDoseProduct"
        " CommentsOnRadiationDose ExposureDoseSequence",
        settable=True,
    ),
    # Billing and Material Management Code (PS3.3 §C.4.17)
    *_rows(3, "BillingProcedureStepSequence FilmConsumptionSequence BillingSuppliesAndDevicesSequence", settable=True),
)
"""The attributes of the data set itself; what is not listed may be given and set by agreement of both sides."""

_END = frozenset({tag("PerformedProcedureStepEndDate"), tag("PerformedProcedureStepEndTime")})

SUPPORTED = frozenset(attribute.tag for attribute in TABLE)
MANDATORY_AT_CREATION = tuple(attribute.tag for attribute in TABLE if attribute.create == 1)
MANDATORY_AT_THE_END = tuple(attribute.tag for attribute in TABLE if attribute.final == 1)
MANDATORY_WHEN_DISCONTINUED = tuple(tag_ for tag_ in MANDATORY_AT_THE_END if tag_ not in _END)
FIXED_AT_CREATION = frozenset(attribute.tag for attribute in TABLE if not attribute.settable)

STATUS = tag("PerformedProcedureStepStatus")
SCHEDULED_STEPS = tag("ScheduledStepAttributesSequence")
STUDY_INSTANCE_UID = tag("StudyInstanceUID")
