"""The JSON schemas of an entry, made of the worklist's table of attributes, so that they can't say anything else.

As it is sent (bare values or elements of DICOM JSON), as it is shown in the short form, and as DICOM JSON.
"""

from __future__ import annotations

from typing import Any

from pydicom.datadict import dictionary_description

from mwl_admin import validators
from mwl_admin.entries.entry_attributes import READ_ONLY, REASON, STATUS, STEPS
from mwl_admin.entries.jsonform import MAX_STEPS
from mwl_admin.models import StepStatus
from mwl_admin.models.patient import PregnancyStatus, Sex
from mwl_admin.models.requested import Priority
from mwl_admin.worklist.attributes import ATTRIBUTES, WorklistAttribute

Schema = dict[str, Any]

_LENGTHS = {
    "AE": validators.AE_LENGTH,
    "CS": validators.CS_LENGTH,
    "LO": validators.LO_LENGTH,
    "LT": validators.LT_LENGTH,
    "PN": validators.PN_LENGTH,
    "SH": validators.SH_LENGTH,
    "ST": validators.ST_LENGTH,
    "UI": validators.UI_LENGTH,
}
_PATTERNS = {
    "AE": r"^[\x20-\x5b\x5d-\x7e]*$",
    "CS": r"^[A-Za-z0-9 _]*$",
    "UI": r"^((0|[1-9][0-9]*)(\.(0|[1-9][0-9]*))*)?$",
}
_DATE = r"^ *([0-9]{4}-?[0-9]{2}-?[0-9]{2})? *$"
_NUMBERS = frozenset({"DS", "IS", "US", "FL", "FD", "SL", "SS", "UL"})
_ENUMS: dict[str, list[Any]] = {
    "PatientSex": Sex.values,
    "RequestedProcedurePriority": Priority.values,
    STATUS: StepStatus.values,
    "PregnancyStatus": PregnancyStatus.values,
}
_BOUNDS: dict[str, Schema] = {
    "PatientSize": {"minimum": 0, "maximum": 3, "description": "in metres"},
    "PatientWeight": {"minimum": 0, "maximum": 1000, "description": "in kilograms"},
}
EXAMPLES: dict[str, Any] = {
    "AccessionNumber": "A-5001",
    "CodeMeaning": "CT of thorax",
    "CodeValue": "169069000",
    "CodingSchemeDesignator": "SCT",
    "Modality": "CT",
    "PatientBirthDate": "19500701",
    "PatientID": "P-1001",
    "PatientName": "Müller^Änne",
    "PatientSex": "F",
    "PatientSize": 1.68,
    "PatientWeight": 68.5,
    "RequestedProcedureDescription": "CT thorax",
    "ScheduledProcedureStepStartDate": "20260504",
    "ScheduledProcedureStepStartTime": "103000",
}
"""Values of nobody: all names are invented."""
EXAMPLE: dict[str, Any] = {
    **{
        name: EXAMPLES[name]
        for name in ("AccessionNumber", "PatientID", "PatientName", "PatientBirthDate", "PatientSex")
    },
    "RequestedProcedureDescription": "CT thorax",
    STEPS: [
        {
            "Modality": "CT",
            "ScheduledProcedureStepStartDate": "20260504",
            "ScheduledProcedureStepStartTime": "103000",
        }
    ],
}
SHOWN_ALWAYS = ("AccessionNumber", "PatientID", "PatientName", "RequestedProcedureID", "StudyInstanceUID", STEPS)
_NEEDED_FOR_A_NEW_ONE = ("PatientID", "PatientName", STEPS)


def entry() -> Schema:
    """Return the schema of an entry as it is sent: for each attribute a bare value, or an element of DICOM JSON."""
    return {
        "type": "object",
        "description": "An order of one patient with its steps: keywords with bare values, or elements of DICOM JSON."
        " Spaces at both ends of a value are without meaning.",
        "properties": {attribute.keyword: _sent(attribute) for attribute in ATTRIBUTES},
        "additionalProperties": False,
        "example": EXAMPLE,
    }


def new_entry() -> Schema:
    """Return the schema of an entry that is not there yet."""
    return {**entry(), "required": [*_NEEDED_FOR_A_NEW_ONE]}


def by_tag(required: tuple[str, ...] = ()) -> Schema:
    """Return the schema of an entry whose attributes are named by tag, as DICOM JSON names them."""
    names = {attribute.keyword: f"{attribute.tag:08X}" for attribute in ATTRIBUTES}
    return {
        "type": "object",
        "description": "An entry by tags (PS3.18 Annex F).",
        "properties": {names[attribute.keyword]: _sent(attribute, tags=True) for attribute in ATTRIBUTES},
        "additionalProperties": False,
        **({"required": [names[keyword] for keyword in required]} if required else {}),
        "example": {
            "00080050": {"vr": "SH", "Value": ["A-5001"]},
            "00100010": {"vr": "PN", "Value": [{"Alphabetic": "Müller^Änne"}]},
            "00100020": {"vr": "LO", "Value": ["P-1001"]},
            "00400100": {
                "vr": "SQ",
                "Value": [
                    {
                        "00080060": {"vr": "CS", "Value": ["CT"]},
                        "00400002": {"vr": "DA", "Value": ["20260504"]},
                        "00400003": {"vr": "TM", "Value": ["103000"]},
                    }
                ],
            },
        },
    }


def new_by_tag() -> Schema:
    """Return the schema of an entry by tags that is not there yet."""
    return by_tag(_NEEDED_FOR_A_NEW_ONE)


def shown_entry() -> Schema:
    """Return the schema of an entry as it is shown in the short form: bare values, nothing that is empty."""
    return {
        "type": "object",
        "description": "An entry in the short form. Attributes without a value are left out.",
        "properties": {attribute.keyword: _shown(attribute) for attribute in ATTRIBUTES},
        "required": [*SHOWN_ALWAYS],
        "additionalProperties": False,
        "example": {
            **EXAMPLE,
            "RequestedProcedureID": "R00000001",
            "StudyInstanceUID": "2.25.329800735698586629295641978511506172918",
            STEPS: [{**EXAMPLE[STEPS][0], "ScheduledProcedureStepID": "S00000001", STATUS: "SCHEDULED"}],
        },
    }


def data_set() -> Schema:
    """Return the schema of a data set of DICOM JSON, whichever its attributes are (PS3.18 §F.2)."""
    element = {
        "type": "object",
        "properties": {"vr": {"type": "string", "pattern": "^[A-Z]{2}$"}, "Value": {"type": "array"}},
        "required": ["vr"],
        "additionalProperties": False,
    }
    return {
        "type": "object",
        "description": "A data set as DICOM JSON (PS3.18 Annex F).",
        "patternProperties": {"^[0-9A-F]{8}$": element},
        "additionalProperties": False,
        "example": {"00080050": {"vr": "SH", "Value": ["A-5001"]}},
    }


def _said(attribute: WorklistAttribute) -> Schema:
    said: Schema = {"description": f"{dictionary_description(attribute.tag)}, VR {attribute.vr}"}
    if attribute.keyword in READ_ONLY:
        said["readOnly"] = True
        said["description"] += ". Passed over when it is sent."
    if attribute.keyword == STATUS:
        said["description"] += ". Over, and not to be set here: COMPLETED, DISCONTINUED, CANCELLED."
    if attribute.keyword in EXAMPLES:
        said["example"] = EXAMPLES[attribute.keyword]
    return said


def _sent(attribute: WorklistAttribute, *, tags: bool = False) -> Schema:
    if attribute.keyword in READ_ONLY:
        return _said(attribute)
    if attribute.vr == "SQ":
        return {**_said(attribute), "anyOf": _sequences(attribute, tags=tags)}
    one = _bare(attribute)
    several: Schema = {"type": "array", "items": {"anyOf": [*one, _person_name()] if attribute.vr == "PN" else one}}
    if not attribute.multiple:
        several["maxItems"] = 1
    element = {
        "type": "object",
        "properties": {"vr": {"const": attribute.vr}, "Value": several},
        "additionalProperties": False,
    }
    return {**_said(attribute), "anyOf": [*one, several, element]}


def _sequences(attribute: WorklistAttribute, *, tags: bool) -> list[Schema]:
    properties = {
        f"{child.tag:08X}" if tags else child.keyword: _sent(child, tags=tags) for child in attribute.children
    }
    if attribute.keyword == STEPS:
        properties["00741238" if tags else REASON] = {"readOnly": True, "description": "Passed over when it is sent."}
    item = {"type": "object", "properties": properties, "additionalProperties": False}
    items: Schema = {"type": "array", "items": item, "maxItems": MAX_STEPS if attribute.keyword == STEPS else 1}
    if attribute.keyword == "ScheduledProtocolCodeSequence":
        items["maxItems"] = MAX_STEPS
    element = {
        "type": "object",
        "properties": {"vr": {"const": "SQ"}, "Value": items},
        "required": ["vr"],
        "additionalProperties": False,
    }
    return [items, element, {"type": "null"}]


def _bare(attribute: WorklistAttribute) -> list[Schema]:
    """Return the forms that one value may have, none at all included."""
    empty: Schema = {"type": "null"}
    keyword, vr = attribute.keyword, attribute.vr
    if keyword in _ENUMS and vr == "US":
        digits = "".join(map(str, _ENUMS[keyword]))
        return [{"type": "integer", "enum": _ENUMS[keyword]}, {"type": "string", "pattern": f"^[{digits}]?$"}, empty]
    if keyword in _ENUMS:
        return [{"type": "string", "enum": [*_ENUMS[keyword], ""]}, empty]
    if vr in _NUMBERS:
        return [
            {"type": "number", **_BOUNDS.get(keyword, {})},
            {"type": "string", "pattern": r"^([0-9]+([.,][0-9]+)?)?$", "maxLength": 16},
            empty,
        ]
    if vr == "DA":
        return [{"type": "string", "pattern": _DATE}, {"type": "integer", "minimum": 1000_01_01}, empty]
    text: Schema = {"type": "string", "maxLength": _LENGTHS.get(vr, validators.LO_LENGTH)}
    if vr in _PATTERNS:
        text["pattern"] = _PATTERNS[vr]
    return [text, {"type": "number"}, empty]


def _person_name() -> Schema:
    group = {"type": ["string", "null"], "maxLength": validators.PN_GROUP_LENGTH}
    return {
        "type": "object",
        "properties": dict.fromkeys(("Alphabetic", "Ideographic", "Phonetic"), group),
        "additionalProperties": False,
    }


def _shown(attribute: WorklistAttribute) -> Schema:
    if attribute.vr == "SQ":
        properties = {child.keyword: _shown(child) for child in attribute.children}
        item: Schema = {"type": "object", "properties": properties, "additionalProperties": False}
        if attribute.keyword == STEPS:
            properties[REASON] = {
                "type": "string",
                "maxLength": validators.LO_LENGTH,
                "description": "Why the step was cancelled or discontinued (0074,1238).",
                "example": "double order",
            }
            item["required"] = [
                "Modality",
                "ScheduledProcedureStepID",
                "ScheduledProcedureStepStartDate",
                "ScheduledProcedureStepStartTime",
                STATUS,
            ]
        return {**_said(attribute), "type": "array", "items": item}
    single = _shown_value(attribute)
    return {**_said(attribute), **({"type": "array", "items": single} if attribute.multiple else single)}


def _shown_value(attribute: WorklistAttribute) -> Schema:
    if attribute.keyword in _ENUMS:
        number = attribute.vr == "US"
        return {"type": "integer" if number else "string", "enum": [*_ENUMS[attribute.keyword]]}
    if attribute.vr in _NUMBERS:
        return {"type": "number", **_BOUNDS.get(attribute.keyword, {})}
    if attribute.vr == "DA":
        return {"type": "string", "pattern": "^[0-9]{8}$"}
    if attribute.vr == "TM":
        return {"type": "string", "pattern": r"^[0-9]{6}(\.[0-9]{1,6})?$"}
    value: Schema = {"type": "string"}
    if attribute.vr in _LENGTHS:
        value["maxLength"] = _LENGTHS[attribute.vr]
    return value
