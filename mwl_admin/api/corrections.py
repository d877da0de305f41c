"""Patients put right: merged, given another ID, identified; and orders moved from one to another.

Each operation has an address of its own: under a patient's address, all that follows would be part of the patient ID.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from django.http import HttpRequest, HttpResponse
from ninja import Router

from mwl_admin.api import patientschema
from mwl_admin.api.asked import body_of, reach_of, source_of
from mwl_admin.api.dicomjson import to_keywords
from mwl_admin.api.errors import RequestRefused
from mwl_admin.api.patientsjson import shown, tag_of, values_of
from mwl_admin.api.rehearsal import carry_out
from mwl_admin.api.tokens import Scope, Token
from mwl_admin.entries import corrections
from mwl_admin.entries.corrections import CorrectionOutcome
from mwl_admin.entries.jsonform import is_storable
from mwl_admin.entries.patients import Reference
from mwl_admin.entries.problems import InvalidEntryError, Problem
from mwl_admin.entries.writing import required
from mwl_admin.models import Patient

router = Router(tags=["Patients"])
_write = Token(Scope.WRITE)
_TAG = "ETag"


@dataclass(frozen=True, slots=True)
class _Asked:
    """The members of a request: references to records, and an accession number."""

    references: Mapping[str, Reference]
    accession_number: str = ""


def _described(text: str, *names: str, accession_number: bool = False) -> dict[str, Any]:
    properties: dict[str, Any] = {name: {"$ref": "#/components/schemas/PatientReference"} for name in names}
    if accession_number:
        properties["AccessionNumber"] = {"type": "string"}
    body = {"type": "object", "properties": properties, "required": [*properties], "additionalProperties": False}
    return {
        "requestBody": {"required": True, "content": {"application/json": {"schema": body}}},
        "responses": patientschema.responses(
            {200: text}, 400, 404, 409, 412, 413, 415, 422, content={"$ref": "#/components/schemas/Reconciled"}
        ),
    }


@router.post(
    "/api/patient-merges",
    auth=_write,
    summary="Merge a patient's record into another",
    operation_id="merge_patient_records",
    openapi_extra=_described("Merged, now or before", "kept", "merged"),
)
def merge_patient_records(request: HttpRequest, update_patient: bool = False, dry_run: bool = False) -> HttpResponse:
    """All entries of `merged` become those of `kept`. Contradicting records are 409 unless `update_patient` is 1."""
    asked = _asked(request, "kept", "merged")
    kept, merged = asked.references["kept"], asked.references["merged"]
    return _answered(
        request,
        lambda: corrections.merge(kept, merged, source=source_of(request), update=update_patient),
        dry_run=dry_run,
    )


@router.post(
    "/api/patient-id-changes",
    auth=_write,
    summary="Give a patient another patient ID",
    operation_id="change_patient_id",
    openapi_extra=_described("Changed, now or before", "patient", "to"),
)
def change_patient_id(request: HttpRequest, dry_run: bool = False) -> HttpResponse:
    """Of `to`, ID and issuer count. An ID that another record has is 409: the two are to be merged."""
    asked = _asked(request, "patient", "to")
    patient, new = asked.references["patient"], asked.references["to"]
    return _answered(request, lambda: corrections.change_id(patient, new, source=source_of(request)), dry_run=dry_run)


@router.post(
    "/api/patient-identifications",
    auth=_write,
    summary="Say who a patient is that was entered under a temporary ID",
    operation_id="identify_patient",
    openapi_extra=_described("Identified, now or before", "temporary", "patient"),
)
def identify_patient(request: HttpRequest, update_patient: bool = False, dry_run: bool = False) -> HttpResponse:
    """The record of `patient` gets all entries of `temporary`, and is made of it when there is none yet."""
    asked = _asked(request, "temporary", "patient")
    temporary, patient = asked.references["temporary"], asked.references["patient"]
    return _answered(
        request,
        lambda: corrections.identify(temporary, patient, source=source_of(request), update=update_patient),
        dry_run=dry_run,
    )


@router.post(
    "/api/order-moves",
    auth=_write,
    summary="Move an order to another patient",
    operation_id="move_order",
    openapi_extra=_described("Moved, now or before", "from", "to", accession_number=True),
)
def move_order(request: HttpRequest, dry_run: bool = False) -> HttpResponse:
    """The order of `AccessionNumber` is moved with its steps and what was reported for them."""
    asked = _asked(request, "from", "to", accession_number=True)
    owner, to = asked.references["from"], asked.references["to"]
    return _answered(
        request,
        lambda: corrections.move(asked.accession_number, owner, to, source=source_of(request)),
        dry_run=dry_run,
    )


def _asked(request: HttpRequest, *names: str, accession_number: bool = False) -> _Asked:
    reach_of(request).check_correction()
    body = body_of(request)
    if not isinstance(body, dict):
        raise InvalidEntryError([Problem("", "The request must be one JSON object.")])
    known = {*names, "AccessionNumber"} if accession_number else {*names}
    problems = [Problem(name[:64], "is no part of this request.", "unknown") for name in body if name not in known]
    problems += [Problem(name, "is required.", "required") for name in sorted(known) if not body.get(name)]
    number = body.get("AccessionNumber", "") if accession_number else ""
    if not isinstance(number, str) or not is_storable(number):
        problems.append(Problem("AccessionNumber", "must be a text."))
    if problems:
        raise InvalidEntryError(problems)
    return _Asked({name: _reference(name, body[name]) for name in names}, str(number).strip(" "))


def _reference(name: str, given: Any) -> Reference:
    """Return the record that is meant: its ID, and what else is told of the person to confirm it."""
    if not isinstance(given, dict):
        raise InvalidEntryError([Problem(name, "must be an object.")])
    tag = given.get(_TAG)
    try:
        values = values_of({keyword: value for keyword, value in given.items() if keyword != _TAG})
        problems = [*required(values, "PatientID")]
    except InvalidEntryError as error:
        values, problems = {}, [*error.problems]
    if problems:
        inside = (f"{name}.{problem.attribute}".rstrip(".") for problem in problems)
        raise InvalidEntryError(
            Problem(path, problem.message, problem.code) for path, problem in zip(inside, problems, strict=True)
        )

    def check(patient: Patient) -> None:
        if tag is not None and tag != tag_of(patient):
            raise RequestRefused(
                HTTPStatus.PRECONDITION_FAILED, "A record is no longer as its ETag says: read it again."
            )

    return Reference(values, check)


def _answered(request: HttpRequest, work: Any, *, dry_run: bool) -> HttpResponse:
    def write() -> HttpResponse:
        outcome: CorrectionOutcome = work()
        outcome.patient.refresh_from_db()
        data_set = to_keywords(shown(outcome.patient))
        content = {"patient": data_set, "changed": outcome.changed, "entries_moved": outcome.moved}
        response = HttpResponse(json.dumps(content, ensure_ascii=False).encode(), content_type="application/json")
        response[_TAG] = tag_of(outcome.patient)
        response["Cache-Control"] = "no-store"
        return response

    return carry_out(write, dry_run=dry_run)
