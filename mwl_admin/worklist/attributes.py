"""The worklist's attributes: the one statement of what is supported, and how (PS3.4 Table K.6-1).

Query builder, response builder, conformance statement and tests are driven by this table. Tags and VRs are pydicom's,
from the data dictionary: a keyword says all.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from functools import cache

from pydicom.datadict import dictionary_VM, dictionary_VR, tag_for_keyword

from mwl_admin.worklist import values


class Matching(Enum):
    """How a key is matched (PS3.4 §C.2.2.2); the value is how the conformance statement calls it."""

    NONE = "–"
    TEXT = "single value, wild card"
    CODE_STRING = "single value, wild card; capitals and small letters alike"
    NAME = "single value, wild card; per component group, capitals and small letters alike"
    DATE = "single value, range"
    TIME = "single value, range; with the date as one span"
    UID = "list of UID"
    STATION = "single value, wild card; by the stations of the step"
    LOCATION = "single value, wild card; by the step, else by its stations"
    SEQUENCE = "sequence"


@dataclass(frozen=True, slots=True)
class WorklistAttribute:
    """One attribute of the worklist.

    ``columns`` are paths from ScheduledProcedureStep to what the value is made of; where it is not the column as it is,
    ``compose`` makes its text of them and of the query's :class:`~mwl_admin.worklist.values.ResponseContext`.
    ``paths`` lead to the columns that a key is compared with. A sequence has ``items``, which makes its items' values,
    and ``children``. ``return_type`` is that of PS3.4 Table K.6-1.
    """

    keyword: str
    matching: Matching
    return_type: str
    columns: tuple[str, ...] = ()
    paths: tuple[str, ...] = ()
    compose: Callable[..., str] | None = None
    items: Callable[..., list[tuple[str, ...]]] | None = None
    children: tuple[WorklistAttribute, ...] = ()
    always: bool = False

    @property
    def tag(self) -> int:
        """The attribute's tag as one number."""
        return _tag(self.keyword)

    @property
    def vr(self) -> str:
        """The VR of the data dictionary."""
        return _vr(self.keyword)

    @property
    def multiple(self) -> bool:
        """Whether the attribute may have several values."""
        return _is_multiple(self.keyword)


# pydicom's dictionary takes its time, and these are asked for with each response that is planned.


@cache
def _tag(keyword: str) -> int:
    return int(tag_for_keyword(keyword) or 0)


@cache
def _vr(keyword: str) -> str:
    return str(dictionary_VR(_tag(keyword)))


@cache
def _is_multiple(keyword: str) -> bool:
    return str(dictionary_VM(_tag(keyword))) != "1"


STEP_SEQUENCE = 0x00400100
TIMEZONE_OFFSET = 0x00080201
SPECIFIC_CHARACTER_SET = 0x00080005

_REQUESTED = "requested_procedure__"
_PATIENT = "requested_procedure__patient__"

STATION_IDS = "matched_station_ids"
"""Annotation: the primary keys of the step's stations, joined by commas."""
PROTOCOL_CODES = "matched_protocol_codes"
"""Annotation: the step's protocol codes as a JSON list of lists."""

_NAME_COLUMNS = tuple(
    _PATIENT + column
    for column in (
        "family_name",
        "given_name",
        "middle_name",
        "name_prefix",
        "name_suffix",
        "ideographic_name",
        "phonetic_name",
    )
)


def _text(
    keyword: str, return_type: str, column: str, matching: Matching = Matching.TEXT, *, always: bool = False
) -> WorklistAttribute:
    paths = () if matching is Matching.NONE else (column,)
    return WorklistAttribute(keyword, matching, return_type, columns=(column,), paths=paths, always=always)


def _person(keyword: str, return_type: str, column: str) -> WorklistAttribute:
    return WorklistAttribute(
        keyword,
        Matching.NAME,
        return_type,
        columns=(column,),
        paths=(f"{column}_key", f"{column}_folded"),
        compose=values.person_name,
    )


def _composed(keyword: str, return_type: str, compose: Callable[..., str], *columns: str) -> WorklistAttribute:
    return WorklistAttribute(keyword, Matching.NONE, return_type, columns=columns, compose=compose)


def _codes(
    keyword: str, return_type: str, items: Callable[..., list[tuple[str, ...]]], columns: tuple[str, ...], prefix: str
) -> WorklistAttribute:
    children = tuple(
        WorklistAttribute(child, matching, type_, paths=(prefix + column,) if matching is not Matching.NONE else ())
        for child, column, type_, matching in (
            ("CodeValue", "code_value", "1", Matching.TEXT),
            ("CodingSchemeDesignator", "coding_scheme_designator", "1", Matching.TEXT),
            ("CodingSchemeVersion", "coding_scheme_version", "1C", Matching.NONE),
            ("CodeMeaning", "code_meaning", "1", Matching.NONE),
        )
    )
    matching = Matching.SEQUENCE if prefix else Matching.NONE
    if not prefix:
        children = tuple(WorklistAttribute(child.keyword, Matching.NONE, child.return_type) for child in children)
    return WorklistAttribute(keyword, matching, return_type, columns=columns, items=items, children=children)


STEP_ATTRIBUTES = (
    WorklistAttribute(
        "ScheduledStationAETitle",
        Matching.STATION,
        "1",
        columns=(STATION_IDS, "modality"),
        paths=("ae_title",),
        compose=values.station_ae_titles,
    ),
    WorklistAttribute(
        "ScheduledProcedureStepStartDate",
        Matching.DATE,
        "1",
        columns=("scheduled_date",),
        paths=("scheduled_date",),
        compose=values.date,
    ),
    WorklistAttribute(
        "ScheduledProcedureStepStartTime",
        Matching.TIME,
        "1",
        columns=("scheduled_time",),
        paths=("scheduled_time",),
        compose=values.time,
    ),
    _text("Modality", "1", "modality", Matching.CODE_STRING),
    _person("ScheduledPerformingPhysicianName", "2", "scheduled_performing_physician_name"),
    _text("ScheduledProcedureStepDescription", "1C", "scheduled_procedure_step_description"),
    WorklistAttribute(
        "ScheduledStationName",
        Matching.STATION,
        "2",
        columns=(STATION_IDS, "modality"),
        paths=("station_name",),
        compose=values.station_names,
    ),
    WorklistAttribute(
        "ScheduledProcedureStepLocation",
        Matching.LOCATION,
        "2",
        columns=("scheduled_procedure_step_location", STATION_IDS, "modality"),
        paths=("scheduled_procedure_step_location", "location"),
        compose=values.step_location,
    ),
    _codes("ScheduledProtocolCodeSequence", "1C", values.protocol_codes, (PROTOCOL_CODES,), "protocolcode__"),
    _text("PreMedication", "2C", "pre_medication", Matching.NONE),
    _text("RequestedContrastAgent", "2C", "requested_contrast_agent", Matching.NONE),
    _text("ScheduledProcedureStepID", "1", "scheduled_procedure_step_id", always=True),
    WorklistAttribute(
        "ScheduledProcedureStepStatus",
        Matching.CODE_STRING,
        "3",
        columns=("status",),
        paths=("status",),
        compose=values.step_status,
    ),
    _text("CommentsOnTheScheduledProcedureStep", "3", "comments_on_the_scheduled_procedure_step", Matching.NONE),
)
"""What an item of the Scheduled Procedure Step Sequence (0040,0100) may hold."""

ATTRIBUTES = (
    WorklistAttribute("SpecificCharacterSet", Matching.NONE, "1C"),
    WorklistAttribute(
        "TimezoneOffsetFromUTC",
        Matching.NONE,
        "3",
        columns=("scheduled_date", "scheduled_time"),
        compose=values.timezone_offset,
    ),
    WorklistAttribute("ScheduledProcedureStepSequence", Matching.SEQUENCE, "1", children=STEP_ATTRIBUTES, always=True),
    _text("RequestedProcedureID", "1", _REQUESTED + "requested_procedure_id", always=True),
    _text("RequestedProcedureDescription", "1C", _REQUESTED + "requested_procedure_description"),
    _codes(
        "RequestedProcedureCodeSequence",
        "1C",
        values.one_code,
        tuple(
            _REQUESTED + column
            for column in ("code_value", "coding_scheme_designator", "coding_scheme_version", "code_meaning")
        ),
        _REQUESTED,
    ),
    _text("StudyInstanceUID", "1", _REQUESTED + "study_instance_uid", Matching.UID, always=True),
    WorklistAttribute("ReferencedStudySequence", Matching.NONE, "2", items=values.no_items),
    WorklistAttribute("ReferencedPatientSequence", Matching.NONE, "2", items=values.no_items),
    _text("RequestedProcedurePriority", "2", _REQUESTED + "requested_procedure_priority", Matching.CODE_STRING),
    _text("PatientTransportArrangements", "2", _REQUESTED + "patient_transport_arrangements", Matching.NONE),
    _text("ReasonForTheRequestedProcedure", "3", _REQUESTED + "reason_for_the_requested_procedure", Matching.NONE),
    _codes(
        "ReasonForRequestedProcedureCodeSequence",
        "3",
        values.reason_code,
        tuple(
            _REQUESTED + column
            for column in ("reason_code_value", "reason_coding_scheme_designator", "reason_code_meaning")
        ),
        "",
    ),
    _text("AccessionNumber", "2", _REQUESTED + "accession_number"),
    _person("RequestingPhysician", "2", _REQUESTED + "requesting_physician"),
    _person("ReferringPhysicianName", "2", _REQUESTED + "referring_physician_name"),
    _text("AdmissionID", "2", _REQUESTED + "admission_id"),
    _text("CurrentPatientLocation", "2", _REQUESTED + "current_patient_location"),
    WorklistAttribute(
        "PatientName",
        Matching.NAME,
        "1",
        columns=_NAME_COLUMNS,
        paths=tuple(
            _PATIENT + column for column in ("name_key", "name_folded", "ideographic_name_key", "phonetic_name_key")
        ),
        compose=values.patient_name,
    ),
    _text("PatientID", "1", _PATIENT + "patient_id"),
    _text("IssuerOfPatientID", "3", _PATIENT + "issuer_of_patient_id"),
    WorklistAttribute(
        "PatientBirthDate",
        Matching.DATE,
        "2",
        columns=(_PATIENT + "patient_birth_date",),
        paths=(_PATIENT + "patient_birth_date",),
        compose=values.date,
    ),
    _text("PatientSex", "2", _PATIENT + "patient_sex", Matching.CODE_STRING),
    _composed("PatientSize", "2", values.decimal, _PATIENT + "patient_size"),
    _composed("PatientWeight", "2", values.decimal, _PATIENT + "patient_weight"),
    _composed("PatientAge", "3", values.age, _PATIENT + "patient_birth_date", "scheduled_date"),
    _text(
        "ConfidentialityConstraintOnPatientDataDescription",
        "2",
        _PATIENT + "confidentiality_constraint_on_patient_data_description",
        Matching.NONE,
    ),
    _text("PatientState", "2", _PATIENT + "patient_state", Matching.NONE),
    _composed("PregnancyStatus", "2", values.number, _PATIENT + "pregnancy_status"),
    _composed("MedicalAlerts", "2", values.lines, _PATIENT + "medical_alerts"),
    _composed("Allergies", "2", values.lines, _PATIENT + "allergies"),
    _text("SpecialNeeds", "2", _PATIENT + "special_needs", Matching.NONE),
    _text("PatientComments", "3", _PATIENT + "patient_comments", Matching.NONE),
)
"""What an identifier may hold beside the scheduled step."""

BY_TAG = {attribute.tag: attribute for attribute in ATTRIBUTES}
STEP_BY_TAG = {attribute.tag: attribute for attribute in STEP_ATTRIBUTES}
