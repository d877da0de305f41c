"""What OpenAPI says of patients."""

from __future__ import annotations

from typing import Any

from mwl_admin.api import entryschema, schema
from mwl_admin.entries.patients import KEYWORDS

PATIENT = {"$ref": "#/components/schemas/Patient"}
_PROBLEM = {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}}
_REFUSALS = {
    404: "There is no such patient, or entry.",
    409: "This contradicts what the worklist holds; what differs is named.",
    410: "The patient ID is no longer in use; the problems, and Link, tell where it went.",
    412: "A record is no longer as If-Match, or its ETag, says.",
}


def schemas() -> dict[str, Any]:
    """Return the JSON schemas of what patients are told by."""
    kept = {keyword: told for keyword, told in entryschema.entry()["properties"].items() if keyword in KEYWORDS}
    tag = {"type": "string", "description": "The record's ETag: refused when it is another one by now"}
    return {
        "Patient": {
            "type": "object",
            "description": "Keywords with bare values. Elements of DICOM JSON, by tag or keyword, are taken too.",
            "properties": kept,
        },
        "PatientReference": {
            "type": "object",
            "description": "A record, by patient ID and issuer; what else is told must not contradict it.",
            "properties": {**kept, "ETag": tag},
            "required": ["PatientID"],
        },
        "Reconciled": {
            "type": "object",
            "description": "The record as it is now, and whether this request changed anything.",
            "properties": {
                "patient": PATIENT,
                "changed": {"type": "boolean", "description": "False when it had been done before"},
                "entries_moved": {"type": "integer", "minimum": 0},
            },
            "required": ["patient", "changed", "entries_moved"],
        },
    }


def body() -> dict[str, Any]:
    """Return what an operation says of a patient that is sent."""
    content = {"schema": PATIENT}
    return {"required": True, "content": {"application/json": content, "application/dicom+json": content}}


def responses(success: dict[int, str], *refusals: int, content: dict[str, Any]) -> dict[int, Any]:
    """Return what an operation on patients says of its answers."""
    told = schema.responses(success, *(status for status in refusals if status not in _REFUSALS), content=content)
    told |= {
        status: {"description": _REFUSALS[status], "content": _PROBLEM} for status in refusals if status in _REFUSALS
    }
    return dict(sorted(told.items()))
