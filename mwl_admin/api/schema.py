"""What OpenAPI says of operations: their answers and query parameters; ``document`` completes it."""

from __future__ import annotations

from typing import Any

from mwl_admin.worklist.attributes import ATTRIBUTES, STEP_ATTRIBUTES, Matching


def body(*, required: bool = True) -> dict[str, Any]:
    """Return what an operation says of its request; the whole of it stands in the document."""
    content = {"schema": {"type": "object"}}
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
            "description": REFUSALS[status],
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
            "changed": {
                "type": "array",
                "items": {"anyOf": [{"$ref": f"#/components/schemas/{name}"} for name in ("ShownEntry", "DataSet")]},
                "description": "In the short form, or in DICOM JSON for who asks for it by Accept",
            },
            "deleted": {"type": "array", "items": {"type": "string"}, "description": "Accession numbers"},
            "cursor": {"type": "string", "description": "For the next request"},
            "more": {"type": "boolean", "description": "Whether there is more already"},
        },
    }


REFUSALS = {
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
    414: "The address is too long.",
    429: "Too many requests; Retry-After says when to ask again.",
    503: "Can't be done here now.",
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
