"""How a request is refused: one form of answer (RFC 9457), made in one place."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from http import HTTPStatus

from django.http import HttpResponse

from mwl_admin.entries.problems import ConflictError, EntryError, Problem, UnknownEntryError, UnknownPatientError

CONTENT_TYPE = "application/problem+json"


class RequestRefused(Exception):
    """A request is refused with a status, a text for the client's developer, and headers."""

    def __init__(
        self,
        status: HTTPStatus,
        detail: str,
        problems: Iterable[Problem] = (),
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self.problems = tuple(problems)
        self.headers = dict(headers or {})


def bad_request(detail: str, attribute: str = "") -> RequestRefused:
    """Return the refusal of a request that is wrong in itself."""
    problems = [Problem(attribute, detail)] if attribute else []
    return RequestRefused(HTTPStatus.BAD_REQUEST, detail, problems)


def unauthorized(detail: str = "A token is needed: Authorization: Bearer gw_…") -> RequestRefused:
    """Return the refusal of a request whose sender is not known (RFC 6750 section 3)."""
    return RequestRefused(HTTPStatus.UNAUTHORIZED, detail, headers={"WWW-Authenticate": "Bearer"})


def of_entry(error: EntryError) -> RequestRefused:
    """Return the refusal of an entry."""
    if isinstance(error, UnknownEntryError):
        return RequestRefused(HTTPStatus.NOT_FOUND, "There is no such entry.", error.problems)
    if isinstance(error, UnknownPatientError):
        return RequestRefused(HTTPStatus.NOT_FOUND, "There is no such patient.", error.problems)
    if isinstance(error, ConflictError):
        return RequestRefused(HTTPStatus.CONFLICT, "The entry contradicts what the worklist holds.", error.problems)
    return RequestRefused(HTTPStatus.UNPROCESSABLE_ENTITY, "The entry can't be taken as it is.", error.problems)


def _told(problem: Problem) -> dict[str, str]:
    told = {"attribute": problem.attribute, "message": problem.message, "code": problem.code}
    return told | ({"known": problem.known} if problem.known else {})


def response(refused: RequestRefused) -> HttpResponse:
    """Return the answer to a refused request."""
    body = {
        "title": refused.status.phrase,
        "status": int(refused.status),
        "detail": refused.detail,
        "problems": [_told(problem) for problem in refused.problems],
    }
    return HttpResponse(
        json.dumps(body, ensure_ascii=False),
        status=int(refused.status),
        content_type=CONTENT_TYPE,
        headers=refused.headers,
    )
