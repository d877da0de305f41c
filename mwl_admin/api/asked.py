"""What the operations share: who asks, what was sent, and how an entry is answered."""

from __future__ import annotations

import json
import math
from http import HTTPStatus
from typing import Any
from urllib.parse import quote

from django.core.exceptions import RequestDataTooBig
from django.db.models import Q
from django.http import HttpRequest, HttpResponse

from mwl_admin.api.dicomjson import MEDIA_TYPE, to_keywords
from mwl_admin.api.entries import shown_alone
from mwl_admin.api.errors import RequestRefused, bad_request
from mwl_admin.api.reach import Reach
from mwl_admin.entries.jsonform import is_storable
from mwl_admin.entries.problems import Problem
from mwl_admin.models import APIClient, RequestedProcedure
from mwl_admin.web.http_limits import API_BODY_BYTES

MAX_BODY = API_BODY_BYTES
WORKLIST = "/api/worklist"
"""Where entries are; one is at its accession number, percent-encoded."""


def client_of(request: HttpRequest) -> APIClient:
    """Return the client whose token came with a request."""
    client: APIClient = request.auth  # type: ignore[attr-defined]  # set by the token
    return client


def reach_of(request: HttpRequest) -> Reach:
    """Return how far the token of a request reaches."""
    return Reach.of(client_of(request), request.META.get("REMOTE_ADDR", ""))


def source_of(request: HttpRequest) -> str:
    """Return how the history calls the client."""
    return f"API: {client_of(request)}"[:100]


def body_of(request: HttpRequest) -> Any:
    """Return the JSON that was sent."""
    kind = (request.content_type or "").lower()
    if kind not in {"application/json", MEDIA_TYPE}:
        raise RequestRefused(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, f"The body must be application/json or {MEDIA_TYPE}.")
    body = bytes_of(request)
    try:
        content = json.loads(body, object_pairs_hook=_members, parse_float=_finite, parse_constant=_finite)
    except (ValueError, RecursionError):
        raise bad_request("The body is not JSON.") from None
    if isinstance(content, list) and len(content) == 1:
        return content[0]  # DICOM JSON of one data set is a list of one (PS3.18 §F.2.1)
    return content


def _members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Return an object; one that names a member twice says two things, of which nobody may choose one."""
    members = dict(pairs)
    if len(members) != len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise bad_request("is named twice in one object.", twice[:64])
    return members


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(text)
    return number


def bytes_of(request: HttpRequest) -> bytes:
    """Return the body that was sent, unless it is too large."""
    try:
        body = request.body
    except RequestDataTooBig:
        body = b" " * (MAX_BODY + 1)
    if len(body) > MAX_BODY:
        raise RequestRefused(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"The body is larger than {MAX_BODY} bytes.")
    return body


def in_form(request: HttpRequest, data_sets: list[dict[str, Any]]) -> tuple[list[dict[str, Any]], str]:
    """Return data sets as the client takes them: DICOM JSON where it names that, else the short form."""
    if MEDIA_TYPE in request.headers.get("Accept", ""):
        return data_sets, MEDIA_TYPE
    return [to_keywords(data_set) for data_set in data_sets], "application/json"


def answer(
    request: HttpRequest, order: RequestedProcedure, reach: Reach, shows: Q, status: HTTPStatus = HTTPStatus.OK
) -> HttpResponse:
    """Return an entry with those of its steps that ``shows`` names."""
    found, tag = shown_alone(order, shows, reach.seen)
    data_sets, kind = in_form(request, found)
    if not data_sets:
        raise no_such_entry()  # its steps have been deleted
    content = data_sets if kind == MEDIA_TYPE else data_sets[0]
    response = HttpResponse(json.dumps(content, ensure_ascii=False).encode(), status=status, content_type=kind)
    response["ETag"] = tag
    response["Cache-Control"] = "no-store"
    if status == HTTPStatus.CREATED:
        response["Location"] = request.build_absolute_uri(f"{WORKLIST}/{quote(order.accession_number, safe='')}")
    return response


def no_such_entry() -> RequestRefused:
    """Return the refusal of an entry that is not there, or not for this client."""
    problem = Problem("AccessionNumber", "No entry has this accession number.", "unknown")
    return RequestRefused(HTTPStatus.NOT_FOUND, "There is no such entry.", [problem])


def refuse_impossible(*texts: str) -> None:
    """Refuse what can't be looked up: nothing is there by such a name."""
    if not all(is_storable(text) for text in texts):
        raise no_such_entry()
