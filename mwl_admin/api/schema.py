"""What OpenAPI says of entries: made of the worklist's table of attributes, so that it can't say anything else."""

from __future__ import annotations

from typing import Any

from pydicom.datadict import dictionary_description

from mwl_admin.exchange.attributes import READ_ONLY, STATUS
from mwl_admin.worklist.attributes import ATTRIBUTES, STEP_ATTRIBUTES, Attribute, Matching

_EXAMPLES = {
    "AccessionNumber": "A-5001",
    "Modality": "CT",
    "PatientBirthDate": "19500701",
    "PatientID": "P-1001",
    "PatientName": "Müller^Änne",
    "PatientSex": "F",
    "RequestedProcedureDescription": "CT thorax",
    "ScheduledProcedureStepStartDate": "20260504",
    "ScheduledProcedureStepStartTime": "103000",
    "ScheduledStationAETitle": ["CT1"],
}


def entry() -> dict[str, Any]:
    """Return the JSON schema of an entry in its short form."""
    return {
        "type": "object",
        "description": "Keywords with bare values. Elements of DICOM JSON, by tag or keyword, are taken too.",
        "properties": {attribute.keyword: _property(attribute) for attribute in ATTRIBUTES},
    }


def _property(attribute: Attribute) -> dict[str, Any]:
    described: dict[str, Any] = {"description": f"{dictionary_description(attribute.tag)}, VR {attribute.vr}"}
    if attribute.keyword in READ_ONLY:
        described["readOnly"] = True
    if attribute.vr == "SQ":
        properties = {child.keyword: _property(child) for child in attribute.children}
        return {"type": "array", "items": {"type": "object", "properties": properties}, **described}
    if attribute.keyword == STATUS:
        described["description"] += ". Over, and not to be set here: COMPLETED, DISCONTINUED, CANCELLED."
    single = {"type": "number" if attribute.vr in {"DS", "US"} else "string"}
    if attribute.keyword in _EXAMPLES:
        described["example"] = _EXAMPLES[attribute.keyword]
    return {"type": "array", "items": single, **described} if attribute.multiple else {**single, **described}


def problem() -> dict[str, Any]:
    """Return the JSON schema of a refusal (RFC 9457)."""
    text = {"type": "string"}
    one = {"type": "object", "properties": {"attribute": text, "message": text, "code": text}}
    return {
        "type": "object",
        "properties": {
            "title": text,
            "status": {"type": "integer"},
            "detail": text,
            "problems": {"type": "array", "items": one},
        },
    }


def body(*, required: bool = True) -> dict[str, Any]:
    """Return what an operation says of its request."""
    content = {"schema": entry()}
    return {"required": required, "content": {"application/json": content, "application/dicom+json": content}}


def responses(success: dict[int, str], *refusals: int, content: dict[str, Any] | None = None) -> dict[int, Any]:
    """Return what an operation says of its answers: those that are well, and the refusals."""
    told: dict[int, Any] = {}
    for status, text in success.items():
        told[status] = {"description": text}
        if content and status != 204:
            told[status]["content"] = {"application/json": {"schema": content}}
    for status in (401, 403, *refusals, 429):
        told[status] = {
            "description": _REFUSALS[status],
            "content": {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}},
        }
    return told


def listed(told: dict[int, Any]) -> dict[int, Any]:
    """Return what is said of answers, with the header fields of a page of a list."""
    text = {"type": "string"}
    told[200]["headers"] = {
        "X-Total-Count": {"description": "How many there are in all pages", "schema": {"type": "integer"}},
        "Link": {"description": "The pages first, prev, next and last; monitor: the changes after", "schema": text},
    }
    return told


def changes() -> dict[str, Any]:
    """Return the JSON schema of an answer that tells changes."""
    return {
        "type": "object",
        "required": ["changed", "deleted", "cursor", "more"],
        "properties": {
            "changed": {"type": "array", "items": {"$ref": "#/components/schemas/Entry"}},
            "deleted": {"type": "array", "items": {"type": "string"}, "description": "Accession numbers"},
            "cursor": {"type": "string", "description": "For the next request"},
            "more": {"type": "boolean", "description": "Whether there is more already"},
        },
    }


_REFUSALS = {
    400: "The request is wrong in itself.",
    401: "No token, or one that is not known.",
    403: "The token may not do this.",
    404: "There is no such entry.",
    406: "None of the media types asked for can be given.",
    409: "The entry contradicts what the worklist holds.",
    410: "Changes after this cursor are no longer known.",
    412: "The entry is no longer as If-Match says.",
    413: "Too large.",
    415: "The body must be JSON.",
    422: "Values break a rule; each is named.",
    429: "Too many requests; Retry-After says when to ask again.",
}


def search_parameters() -> list[dict[str, Any]]:
    """Return the query parameters of a search."""
    names = [attribute for attribute in ATTRIBUTES if attribute.matching not in {Matching.NONE, Matching.SEQUENCE}]
    keys = [(attribute.keyword, attribute.matching.value) for attribute in names]
    keys += [
        (f"ScheduledProcedureStepSequence.{attribute.keyword}", attribute.matching.value)
        for attribute in STEP_ATTRIBUTES
        if attribute.matching not in {Matching.NONE, Matching.SEQUENCE}
    ]
    told = [_parameter(name, {"type": "string"}, text) for name, text in keys]
    return [
        *told,
        _parameter(
            "includefield", {"type": "string"}, "attributes to be returned besides, separated by commas, or all"
        ),
        _parameter("limit", {"type": "integer", "minimum": 0}, "how many steps at most"),
        _parameter("offset", {"type": "integer", "minimum": 0}, "how many to skip"),
        _parameter(
            "fuzzymatching", {"type": "boolean"}, "not supported; matching is literal then, and a Warning says so"
        ),
    ]


def _parameter(name: str, schema: dict[str, Any], text: str) -> dict[str, Any]:
    return {"name": name, "in": "query", "required": False, "schema": schema, "description": text}
