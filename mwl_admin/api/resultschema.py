"""The JSON schemas of what became of an entry, and of a refusal."""

from __future__ import annotations

from typing import Any

from mwl_admin.api.results import CODE, DOSE, EXPOSURE, SERIES
from mwl_admin.models import StepStatus
from mwl_admin.models.performed import PerformedStatus

Schema = dict[str, Any]
_TEXT: Schema = {"type": "string"}
_COUNT: Schema = {"type": "integer", "minimum": 0}
_MOMENT: Schema = {"type": "string", "format": "date-time", "example": "2026-05-04T10:45:00+01:00"}
_DATE: Schema = {"type": "string", "pattern": "^[0-9]{8}$", "example": "20260504"}
_TIME: Schema = {"type": "string", "pattern": "^[0-9]{6}$", "example": "103000"}
_TEXTS: Schema = {"type": "array", "items": _TEXT}


def _object(properties: dict[str, Schema], *required: str, text: str = "") -> Schema:
    schema: Schema = {"type": "object", "properties": properties, "additionalProperties": False}
    if required:
        schema["required"] = [*required]
    return {**schema, "description": text} if text else schema


def _list(item: Schema, text: str = "") -> Schema:
    return {"type": "array", "items": item, **({"description": text} if text else {})}


def results() -> Schema:
    """Return the schema of the results of an entry."""
    return _object(
        {
            "AccessionNumber": {"type": "string", "maxLength": 16, "example": "A-5001"},
            "StudyInstanceUID": {"type": "string", "maxLength": 64, "example": "2.25.4711"},
            "steps": _list(_step(), "the steps that the token sees"),
            "performed": _list(_performed(), "what modalities reported for them (MPPS), the last 100"),
            "images": _list(_study(), "studies that the image receiver told of as complete"),
        },
        *("AccessionNumber", "StudyInstanceUID", "steps", "performed", "images"),
        text="What became of an entry.",
    )


def _step() -> Schema:
    return _object(
        {
            "ScheduledProcedureStepID": {"type": "string", "maxLength": 16, "example": "S00000001"},
            "ScheduledProcedureStepStatus": {"type": "string", "enum": StepStatus.values},
            "Modality": {"type": "string", "maxLength": 16, "example": "CT"},
            "ReasonForCancellation": {"type": "string", "maxLength": 64, "example": "double order"},
            "done_in_downtime": _object(
                {
                    "PerformedProcedureStepStartDate": _DATE,
                    "PerformedProcedureStepStartTime": _TIME,
                    "PerformedProcedureStepEndDate": _DATE,
                    "PerformedProcedureStepEndTime": _TIME,
                    "entered": {"type": "string", "format": "date-time", "example": "2026-05-04T15:00:00+01:00"},
                },
                "entered",
                text="when it was really done, as staff entered it after a downtime",
            ),
        },
        *("ScheduledProcedureStepID", "ScheduledProcedureStepStatus", "Modality"),
    )


def _performed() -> Schema:
    series = dict.fromkeys((*SERIES, "RetrieveAETitle"), _TEXT)
    return _object(
        {
            "SOPInstanceUID": {"type": "string", "maxLength": 64, "example": "2.25.4712"},
            "PerformedProcedureStepStatus": {"type": "string", "enum": PerformedStatus.values},
            "PerformedProcedureStepID": _TEXT,
            "PerformedStationAETitle": {"type": "string", "maxLength": 16, "example": "CT1"},
            "Modality": {"type": "string", "maxLength": 16, "example": "CT"},
            "PerformedProcedureStepStartDate": _DATE,
            "PerformedProcedureStepStartTime": _TIME,
            "PerformedProcedureStepEndDate": _DATE,
            "PerformedProcedureStepEndTime": _TIME,
            "PerformedProcedureStepDescription": _TEXT,
            "CommentsOnThePerformedProcedureStep": _TEXT,
            "PerformedProcedureStepDiscontinuationReasonCodeSequence": _list(_object(dict.fromkeys(CODE, _TEXT))),
            "PerformedSeriesSequence": _list(
                _object({**series, "NumberOfSeriesRelatedInstances": _COUNT}, "NumberOfSeriesRelatedInstances")
            ),
            "dose": _dose(),
            "steps": {**_TEXTS, "description": "IDs of the steps that it is for"},
            "disregarded_for": {**_TEXTS, "description": "IDs of the steps whose end staff have taken back"},
        },
        *("SOPInstanceUID", "PerformedProcedureStepStatus", "steps"),
    )


def _dose() -> Schema:
    number: Schema = {"type": "number"}
    return _object(
        {
            **dict.fromkeys(DOSE, number),
            "ExposedArea": {"type": "array", "items": number, "description": "in millimetres"},
            "CommentsOnRadiationDose": _TEXT,
            "ExposureDoseSequence": _list({**_object(dict.fromkeys(EXPOSURE, number))}),
        },
        text="In the units of PS3.3 §C.4.16; numbers only.",
    )


def _study() -> Schema:
    properties: dict[str, Schema] = {
        "StudyInstanceUID": {"type": "string", "maxLength": 64, "example": "2.25.4711"},
        "ModalitiesInStudy": _TEXTS,
        "NumberOfStudyRelatedSeries": _COUNT,
        "NumberOfStudyRelatedInstances": _COUNT,
        "senders": {**_TEXTS, "description": "AE titles that sent the images"},
        "first_arrival": _MOMENT,
        "last_arrival": _MOMENT,
        "announced": _MOMENT,
        "of_another_patient": {"type": "boolean", "description": "whether the images name another patient"},
    }
    return _object(properties, *properties)


def problem() -> Schema:
    """Return the schema of a refusal (RFC 9457)."""
    one = _object(
        {
            "attribute": {**_TEXT, "description": "keyword along its path, items counted from one, or a parameter"},
            "message": _TEXT,
            "code": {**_TEXT, "example": "required"},
            "known": {**_TEXT, "description": "the value that the record has; only for who may read it"},
        },
        *("attribute", "message", "code"),
    )
    schema = _object(
        {
            "title": {**_TEXT, "example": "Not Found"},
            "status": {"type": "integer", "minimum": 400, "maximum": 599, "example": 404},
            "detail": {**_TEXT, "example": "There is no such entry."},
            "problems": _list(one, "all that is wrong"),
        },
        *("title", "status", "detail", "problems"),
        text="A refusal (RFC 9457).",
    )
    # RFC 9457 section 3.1: members that a client does not know are passed over.
    return {**schema, "additionalProperties": True}
