"""The OpenAPI document, completed: what stands at the operations is short, and what all of them share stands here.

Bounds, request bodies, answers with their header fields, refusals, security and examples. Tests hold each answer of the
API against it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from mwl_admin.api import entryschema, patientschema, preconditions, receiverschema, resultschema
from mwl_admin.api.dicomjson import MEDIA_TYPE
from mwl_admin.api.parameters import MAX_VALUE
from mwl_admin.api.rehearsal import HEADER
from mwl_admin.api.schema import REFUSALS
from mwl_admin.api.search import FORMS
from mwl_admin.models import StepStatus

Document = dict[str, Any]
METHODS = ("get", "head", "post", "put", "patch", "delete")
PROBLEM = "application/problem+json"
_JSON = "application/json"
_READING = {"get", "head"}
SCHEMAS = {
    "Entry": entryschema.entry,
    "NewEntry": entryschema.new_entry,
    "EntryByTag": entryschema.by_tag,
    "NewEntryByTag": entryschema.new_by_tag,
    "ShownEntry": entryschema.shown_entry,
    "DataSet": entryschema.data_set,
    "Results": resultschema.results,
    "Problem": resultschema.problem,
}
_BODIES = {"make_entry": "NewEntry", "put_entry": "Entry", "change_entry": "Entry"}
_ENTRIES = ("make_entry", "read_entry", "put_entry", "change_entry", "cancel_entry")
_PATIENTS = ("read_patient", "put_patient")
_CONDITIONAL = ("put_entry", "change_entry", "cancel_entry", "put_patient")
_TAG = {"type": "string", "pattern": r'^"[^"]*"$', "example": '"3-1-7.2"'}


def complete(document: Document) -> Document:
    """Return the document that the framework made, with all that it doesn't know."""
    document["info"]["contact"] = {"name": "The department that runs this Gateway"}
    document["tags"] = [{"name": name, "description": text} for name, text in _TAGS.items()]
    components = document.setdefault("components", {})
    components.setdefault("schemas", {}).update({name: schema() for name, schema in SCHEMAS.items()})
    components["schemas"].update(patientschema.schemas())
    components["securitySchemes"] = {**components.get("securitySchemes", {}), **_SECURITY}
    for path, method, operation in operations(document):
        _Completed(path, method, operation).complete()
    return document


def operations(document: Document) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Yield path, method in small letters, and each operation."""
    for path, item in document["paths"].items():
        for method in METHODS:
            if method in item:
                yield path, method, item[method]


class _Completed:
    """One operation on its way to be complete."""

    def __init__(self, path: str, method: str, operation: dict[str, Any]) -> None:
        self.path = path
        self.method = method
        self.operation = operation
        self.name = operation["operationId"]
        self.signed = not operation.get("security")
        # The framework's keys are numbers, where OpenAPI has texts.
        self.answers = {str(status): answer for status, answer in operation.get("responses", {}).items()}
        operation["responses"] = self.answers

    def complete(self) -> None:
        if self.signed:
            self.operation["security"] = [
                {key: [] for key in _SIGNED_BY.get(self.name, ("Signature", "Timestamp", "Nonce"))}
            ]
        self._parameters()
        self._body()
        self._success()
        self._refusals()
        self.operation["responses"] = dict(sorted(self.answers.items()))

    def _parameters(self) -> None:
        parameters = self.operation.setdefault("parameters", [])
        for parameter in parameters:
            said = _PARAMETERS.get((self.name, parameter["name"])) or _PARAMETERS.get(("", parameter["name"]))
            if said is not None:
                parameter.update(said)
            if parameter["schema"] == {"type": "string"}:
                parameter["schema"] = {"type": "string", "maxLength": MAX_VALUE}
        if self.name in _CONDITIONAL:
            parameters.append(_header("If-Match", "The entity tags of which the entry must have one, or *: else 412"))
        if self.name in {"put_entry", "put_patient"}:
            parameters.append(
                _header("If-None-Match", "* makes only: 412 where there is one; or entity tags that it must not have")
            )
        if self.name == "devices":
            parameters.append(_header("If-None-Match", "The entity tag of what is known: 304 when it is the same"))
        if not parameters:
            del self.operation["parameters"]

    def _body(self) -> None:
        if self.name in _BODIES:
            name = _BODIES[self.name]
            self.operation["requestBody"] = {
                "required": True,
                "content": {
                    _JSON: _one_or_list(name, example=entryschema.EXAMPLE if self.name != "change_entry" else _CHANGE),
                    MEDIA_TYPE: _one_or_list(f"{name}ByTag"),
                },
            }
        elif self.name in _OTHER_BODIES:
            self.operation["requestBody"] = {"required": True, "content": {_JSON: _OTHER_BODIES[self.name]}}

    def _success(self) -> None:
        if "204" in self.answers and not self.answers.get("200", {}).get("content") and self.name not in _CONTENT:
            self.answers.pop("200", None)  # the framework's own
        for status, answer in self.answers.items():
            if not status.startswith("2"):
                continue
            headers = answer.setdefault("headers", {})
            if self.method not in _READING:
                headers[HEADER] = {"description": "1 with dry_run: nothing has changed", "schema": {"const": "1"}}
            if self.name in _ENTRIES:
                answer["content"] = _entry_content()
                headers["ETag"] = {"description": "The entry's tag, for If-Match; not with dry_run", "schema": _TAG}
            elif self.name in _PATIENTS:
                answer["content"] = _patient_content()
                headers["ETag"] = {"description": "The record's tag, for If-Match; not with dry_run", "schema": _TAG}
            elif self.name in _CONTENT and status == "200":
                answer["content"] = _CONTENT[self.name]()
            if status == "201":
                headers["Location"] = {
                    "description": "Where it can be read; not with dry_run",
                    "schema": {"type": "string", "format": "uri"},
                }
            if not self.signed:
                headers["Cache-Control"] = {
                    "description": "Patient data is kept nowhere",
                    "schema": {"const": "no-store"},
                }
            if not headers:
                del answer["headers"]

    def _refusals(self) -> None:
        expected = {403, 503, 400} if self.signed else {400, 401, 403, 429}
        if any(parameter["in"] == "query" for parameter in self.operation.get("parameters", [])):
            expected |= {414}
        if "requestBody" in self.operation:
            expected |= {413}
        if "{accession_number}" in self.path and self.method not in {"put"}:
            expected |= {404}
        for refusal in expected:
            self.answers.setdefault(str(refusal), {"description": REFUSALS[refusal]})
        for status, answer in self.answers.items():
            if status[0] in "45":
                answer["content"] = {PROBLEM: {"schema": {"$ref": "#/components/schemas/Problem"}}}
        if "401" in self.answers:
            self.answers["401"]["headers"] = {"WWW-Authenticate": _always({"const": "Bearer"}, "RFC 6750")}
        if "429" in self.answers:
            self.answers["429"]["headers"] = {
                "Retry-After": _always({"type": "string", "pattern": "^[0-9]+$"}, "seconds to wait")
            }


def _always(schema: dict[str, Any], text: str) -> dict[str, Any]:
    return {"description": text, "required": True, "schema": schema}


def _header(name: str, text: str) -> dict[str, Any]:
    tag = {"type": "string", "pattern": f"^{preconditions.LIST}$", "examples": ['"3-1-7.2"', "*"]}
    return {"name": name, "in": "header", "required": False, "description": text, "schema": tag}


def _ref(name: str) -> dict[str, Any]:
    return {"$ref": f"#/components/schemas/{name}"}


def _one_or_list(name: str, example: Any = None) -> dict[str, Any]:
    """DICOM JSON of one data set is a list of one (PS3.18 §F.2.1)."""
    one_of_a_list = {"type": "array", "items": _ref(name), "minItems": 1, "maxItems": 1}
    content: dict[str, Any] = {"schema": {"anyOf": [_ref(name), one_of_a_list]}}
    return {**content, "example": example} if example else content


def _list_of(name: str, **bounds: int) -> dict[str, Any]:
    return {"schema": {"type": "array", "items": _ref(name), **bounds}}


def _entry_content() -> dict[str, Any]:
    return {_JSON: {"schema": _ref("ShownEntry")}, MEDIA_TYPE: _list_of("DataSet", minItems=1, maxItems=1)}


def _entries_content() -> dict[str, Any]:
    return {_JSON: _list_of("ShownEntry"), MEDIA_TYPE: _list_of("DataSet")}


def _search_content() -> dict[str, Any]:
    binary = {"schema": {"type": "string"}}
    found = _list_of("DataSet", minItems=1)
    return {form.partition(";")[0]: found if form in FORMS[:2] else binary for form in FORMS}


def _patient_content() -> dict[str, Any]:
    return {_JSON: {"schema": _ref("Patient")}, MEDIA_TYPE: _list_of("DataSet", minItems=1, maxItems=1)}


def _patients_content() -> dict[str, Any]:
    return {_JSON: _list_of("Patient"), MEDIA_TYPE: _list_of("DataSet")}


_CONTENT: dict[str, Callable[[], dict[str, Any]]] = {
    "search_steps": _search_content,
    "list_entries": _entries_content,
    "list_patients": _patients_content,
    "read_results": lambda: {_JSON: {"schema": _ref("Results")}},
    "study_complete": lambda: {_JSON: {"schema": receiverschema.TAKEN}},
    "devices": lambda: {_JSON: {"schema": receiverschema.DEVICES}},
}
_OTHER_BODIES = {"turned_away": receiverschema.CALLERS, "study_complete": receiverschema.NOTICE}
_CHANGE = {"AdmissionID": "B-77"}

_DAY = "[0-9]{4}-[0-9]{2}-[0-9]{2}|[0-9]{8}"
_DRY_RUN = {
    "description": "1 carries the operation out and takes it back: the same answer and refusals, and nothing changes",
    "schema": {"anyOf": [{"type": "boolean"}, {"type": "integer", "enum": [0, 1]}], "default": False},
    "example": 1,
}
_PARAMETERS: dict[tuple[str, str], dict[str, Any]] = {
    ("", "accession_number"): {
        "description": "Accession Number (0008,0050)",
        "schema": {"type": "string", "minLength": 1, "maxLength": 16, "pattern": r"^[^\\\x00-\x1f\x7f]+$"},
        "example": "A-5001",
    },
    ("", "dry_run"): _DRY_RUN,
    ("", "update_patient"): {
        "description": "Whether what differs in the patient's demographics corrects the record",
        "schema": {"type": "boolean", "default": False},
    },
    ("cancel_entry", "step"): {
        "description": "Scheduled Procedure Step ID (0040,0009) of the one step to cancel; else all are",
        "schema": {"type": "string", "maxLength": 16, "default": ""},
        "example": "S00000001",
    },
    ("cancel_entry", "reason"): {
        "description": "Why, for those who read the entry",
        "schema": {"type": "string", "maxLength": 64, "pattern": r"^[^\\\x00-\x1f\x7f]*$", "default": ""},
        "example": "double order",
    },
    ("list_entries", "limit"): {
        "description": "How many entries at most",
        "schema": {"type": "integer", "minimum": 1, "maximum": 500, "default": 100},
    },
    ("list_entries", "offset"): {
        "description": "How many to skip",
        "schema": {"type": "integer", "minimum": 0, "maximum": 999_999_999, "default": 0},
    },
    ("list_entries", "patient_id"): {
        "description": "Patient ID (0010,0020)",
        "schema": {"type": "string", "maxLength": 64, "default": ""},
        "example": "P-1001",
    },
    ("", "patient_id"): {
        "description": "Patient ID (0010,0020)",
        "schema": {"type": "string", "minLength": 1, "maxLength": 64, "pattern": r"^[^\\\x00-\x1f\x7f]+$"},
        "example": "P-1001",
    },
    ("", "issuer"): {
        "description": "Issuer of Patient ID (0010,0021), where it is not the department",
        "schema": {"type": "string", "maxLength": 64, "default": ""},
        "example": "HOSPITAL",
    },
    ("list_patients", "patient_id"): {
        "description": "Patient ID (0010,0020)",
        "schema": {"type": "string", "maxLength": 64, "default": ""},
        "example": "P-1001",
    },
    ("list_patients", "q"): {
        "description": "Words, each a part of the name or of the patient ID",
        "schema": {"type": "string", "maxLength": MAX_VALUE, "default": ""},
        "example": "doe jane",
    },
    ("list_patients", "birth_date"): {
        "description": "Patient's Birth Date (0010,0030)",
        "schema": {"type": "string", "pattern": f"^({_DAY})?$", "default": ""},
        "example": "19710228",
    },
    ("list_patients", "limit"): {
        "description": "How many patients at most",
        "schema": {"type": "integer", "minimum": 1, "maximum": 500, "default": 100},
    },
    ("list_patients", "offset"): {
        "description": "How many to skip",
        "schema": {"type": "integer", "minimum": 0, "maximum": 999_999_999, "default": 0},
    },
    ("list_entries", "date"): {
        "description": "Entries with a step on this day, or on one of these days",
        "schema": {"type": "string", "pattern": f"^({_DAY})?-?({_DAY})?$", "default": ""},
        "example": "20260504-20260508",
    },
    ("list_entries", "status"): {
        "description": "Entries with a step of this status",
        "schema": {"type": "string", "enum": StepStatus.values},
        "example": "SCHEDULED",
    },
    ("", "updated_since"): {
        "description": "Entries that have changed since this moment, of DICOM's VR DT or ISO 8601",
        "schema": {"type": "string", "pattern": "^[0-9TZWtz:.,+ -]{0,40}$", "default": ""},
        "example": "2026-05-04T08:00:00+01:00",
    },
    ("follow_changes", "cursor"): {
        "description": "The one of the answer before; without it all entries come first",
        "schema": {"type": "string", "maxLength": 200, "default": ""},
    },
    ("follow_changes", "limit"): {
        "description": "How many entries at most",
        "schema": {"type": "integer", "minimum": 1, "maximum": 500, "default": 100},
    },
    ("search_steps", "limit"): {"schema": {"type": "integer", "minimum": 0, "maximum": 999_999_999}},
    ("search_steps", "offset"): {"schema": {"type": "integer", "minimum": 0, "maximum": 999_999_999, "default": 0}},
}
_TAGS = {
    "DICOMweb": "Search of the worklist by PS3.18 §14.",
    "Entries": "Orders with their steps, known by accession number.",
    "Patients": "Records of patients, known by patient ID and issuer; merges, changes of ID, orders moved.",
    "Receiver": "What the image receiver asks and tells, signed with the shared secret.",
}
_SIGNED_BY = {"study_complete": ("Signature", "Timestamp")}
_SECURITY = {
    "Token": {
        "type": "http",
        "scheme": "bearer",
        "bearerFormat": "gw_…",
        "description": "A token of an API client, which may read, write or both.",
    },
    **{
        name: {"type": "apiKey", "in": "header", "name": f"X-Gateway-{name}", "description": text}
        for name, text in (
            (
                "Signature",
                "HMAC SHA-256 with PACS_NOTIFY_SECRET; docs/devices.md and docs/notifications.md tell of what.",
            ),
            ("Timestamp", "Seconds since 1970, within five minutes."),
            ("Nonce", "A number that is used once."),
        )
    },
}
