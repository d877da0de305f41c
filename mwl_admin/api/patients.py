"""Patients: found, read, made and changed."""

from __future__ import annotations

import json
from collections.abc import Iterator
from http import HTTPStatus
from typing import Any
from urllib.parse import quote, urlencode

from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from ninja import Router

from mwl_admin.api import patientschema, whoknows
from mwl_admin.api.asked import body_of, in_form, reach_of, source_of
from mwl_admin.api.dicomjson import MEDIA_TYPE
from mwl_admin.api.errors import RequestRefused, bad_request
from mwl_admin.api.parameters import MAX_VALUE
from mwl_admin.api.patientsjson import shown, tag_of, values_of
from mwl_admin.api.reach import Reach
from mwl_admin.api.rehearsal import carry_out
from mwl_admin.api.tokens import Scope, Token
from mwl_admin.entries import finding, values
from mwl_admin.entries.jsonform import is_storable
from mwl_admin.entries.patients import Kept, keep
from mwl_admin.entries.problems import Problem
from mwl_admin.models import FormerPatientID, Patient
from mwl_admin.patients import identity

router = Router(tags=["Patients"])
PATIENTS = "/api/patients"
"""Where patients are; one is at its patient ID, percent-encoded, and ``issuer`` where that is not the department."""
MAX_PATIENTS = 500
_LONG_STRING = 64
"""Characters of VR LO (PS3.5 §6.2)."""
_PATIENT = patientschema.PATIENT
_ONE = f"{PATIENTS}/{{path:patient_id}}"
_read, _write = Token(Scope.READ), Token(Scope.WRITE)


def address_of(patient: Patient) -> str:
    """Return the address of a record, relative to the site."""
    issuer = patient.issuer_of_patient_id
    query = f"?{urlencode({'issuer': issuer})}" if issuer else ""
    return f"{PATIENTS}/{quote(patient.patient_id, safe='')}{query}"


@router.get(
    PATIENTS,
    auth=_read,
    summary="List patients",
    operation_id="list_patients",
    openapi_extra={
        "responses": patientschema.responses(
            {200: "Patients, the one made last first"}, 400, content={"type": "array", "items": _PATIENT}
        )
    },
)
def list_patients(  # noqa: PLR0917 - each is a query parameter
    request: HttpRequest,
    q: str = "",
    patient_id: str = "",
    issuer: str = "",
    birth_date: str = "",
    limit: int = 100,
    offset: int = 0,
) -> HttpResponse:
    """Patients whose name or ID has all words of `q`, of an ID, an issuer, or born on a day."""
    if not 1 <= limit <= MAX_PATIENTS:
        raise bad_request(f"must be from 1 to {MAX_PATIENTS}.", "limit")
    if not 0 <= offset < 10**9:
        raise bad_request("must not be negative.", "offset")
    bounds = {"q": (q, MAX_VALUE), "patient_id": (patient_id, _LONG_STRING), "issuer": (issuer, _LONG_STRING)}
    for name, (text, longest) in bounds.items():
        if not is_storable(text):
            raise bad_request("holds a character that can't be stored.", name)
        if len(text) > longest:
            raise bad_request(f"has more than {longest} characters.", name)
    patients = _born(reach_of(request).patients(), birth_date)
    if q:
        patients = patients.filter(finding.patients(q))
    if patient_id:
        patients = patients.filter(patient_id=patient_id.strip(" "))
    if issuer:
        patients = patients.filter(issuer_of_patient_id__in=identity.issuers(issuer))
    total = patients.count()
    page = patients.order_by("-pk")[offset : offset + limit]
    data_sets, kind = in_form(request, [shown(patient) for patient in page])
    response = HttpResponse(json.dumps(data_sets, ensure_ascii=False).encode(), content_type=kind)
    response["X-Total-Count"] = str(total)
    links = ", ".join(_links(request, total, limit, offset))
    if links:
        response["Link"] = links
    response["Cache-Control"] = "no-store"
    return response


def _born(patients: QuerySet[Patient], text: str) -> QuerySet[Patient]:
    try:
        return patients.filter(patient_birth_date=values.date(text)) if text else patients
    except ValueError as error:
        raise bad_request(str(error), "birth_date") from error


def _links(request: HttpRequest, total: int, limit: int, offset: int) -> Iterator[str]:
    places = {"prev": max(offset - limit, 0)} if offset else {}
    if offset + limit < total:
        places["next"] = offset + limit
    for relation, place in places.items():
        query = {**request.GET.dict(), "limit": str(limit), "offset": str(place)}
        yield f'<{PATIENTS}?{urlencode(query)}>; rel="{relation}"'


@router.get(
    _ONE,
    auth=_read,
    summary="Read a patient",
    operation_id="read_patient",
    openapi_extra={"responses": patientschema.responses({200: "The patient"}, 404, 410, content=_PATIENT)},
)
def read_patient(request: HttpRequest, patient_id: str, issuer: str = "") -> HttpResponse:
    """An ID that was corrected, or whose record was merged, is 410: the problem and `Link` tell where it went."""
    reach = reach_of(request)
    patient = _find(reach, patient_id, issuer)
    return answer(request, patient)


def _find(reach: Reach, patient_id: str, issuer: str) -> Patient:
    if not is_storable(patient_id + issuer):
        raise _no_such_patient()
    patient = identity.find(reach.patients(), patient_id, issuer)
    if patient is not None:
        return patient
    former = FormerPatientID.objects.of(patient_id, issuer)
    hidden = identity.find(Patient.objects.all(), patient_id, issuer) is not None
    if former is None or hidden or not reach.patients().filter(pk=former.record_id).exists():
        raise _no_such_patient()
    raise RequestRefused(
        HTTPStatus.GONE,
        "This patient ID is no longer in use.",
        whoknows.where(former.record),
        {"Link": f'<{address_of(former.record)}>; rel="successor-version"', "Cache-Control": "no-store"},
    )


def _no_such_patient() -> RequestRefused:
    problem = Problem("PatientID", "No patient has this patient ID.", "unknown")
    return RequestRefused(HTTPStatus.NOT_FOUND, "There is no such patient.", [problem])


def answer(request: HttpRequest, patient: Patient, status: HTTPStatus = HTTPStatus.OK) -> HttpResponse:
    """Return a record as it is now."""
    patient.refresh_from_db()
    data_sets, kind = in_form(request, [shown(patient)])
    content = data_sets if kind == MEDIA_TYPE else data_sets[0]
    response = HttpResponse(json.dumps(content, ensure_ascii=False).encode(), status=status, content_type=kind)
    response["ETag"] = tag_of(patient)
    response["Cache-Control"] = "no-store"
    if status == HTTPStatus.CREATED:
        response["Location"] = request.build_absolute_uri(address_of(patient))
    return response


@router.put(
    _ONE,
    auth=_write,
    summary="Make or change a patient",
    operation_id="put_patient",
    openapi_extra={
        "requestBody": patientschema.body(),
        "responses": patientschema.responses(
            {200: "Changed", 201: "Made"}, 400, 409, 412, 413, 415, 422, content=_PATIENT
        ),
    },
)
def put_patient(
    request: HttpRequest, patient_id: str, issuer: str = "", update_patient: bool = False, dry_run: bool = False
) -> HttpResponse:
    """What is absent stays as it is. Another name, birth date or sex is another person, unless `update_patient` is 1.

    An ID that is no longer in use is given anew by `If-None-Match: *` alone.
    """
    reach = reach_of(request)
    reach.check_correction()
    if not is_storable(patient_id + issuer):
        raise _no_such_patient()
    given = _addressed(values_of(body_of(request)), patient_id, issuer)
    only_new = request.headers.get("If-None-Match", "").strip() == "*"

    def write() -> HttpResponse:
        kept: Kept = keep(
            given,
            source=source_of(request),
            update=update_patient,
            reuse=only_new,
            before=lambda: _check_tag(request, patient_id, issuer, only_new=only_new),
        )
        return answer(request, kept.patient, HTTPStatus.CREATED if kept.created else HTTPStatus.OK)

    return carry_out(write, dry_run=dry_run)


def _addressed(given: Any, patient_id: str, issuer: str) -> dict[str, Any]:
    """Return what is given, under the ID of the address."""
    problems = []
    if given.get("PatientID") and str(given["PatientID"]).strip(" ") != patient_id.strip(" "):
        problems.append(Problem("PatientID", "differs from the one in the address."))
    inside = str(given.get("IssuerOfPatientID") or "")
    if inside and issuer and not identity.same_issuer(inside, issuer):
        problems.append(Problem("IssuerOfPatientID", "differs from the one in the address."))
    if problems:
        raise RequestRefused(HTTPStatus.UNPROCESSABLE_ENTITY, "The patient can't be taken as it is.", problems)
    return {**given, "PatientID": patient_id, "IssuerOfPatientID": issuer or inside}


def _check_tag(request: HttpRequest, patient_id: str, issuer: str, *, only_new: bool) -> None:
    """Refuse what the preconditions of the request rule out (RFC 9110 section 13.1)."""
    wanted = request.headers.get("If-Match")
    if wanted is None and not only_new:
        return
    patient = identity.find(Patient.objects.select_for_update(no_key=True), patient_id, issuer)
    if only_new and patient is not None:
        raise RequestRefused(HTTPStatus.PRECONDITION_FAILED, "There is a patient of this patient ID already.")
    if wanted is None:
        return
    tags = [tag.strip() for tag in wanted.split(",")]
    if patient is None or (wanted.strip() != "*" and tag_of(patient) not in tags):
        raise RequestRefused(
            HTTPStatus.PRECONDITION_FAILED, "The patient is no longer as If-Match says: read it again."
        )
