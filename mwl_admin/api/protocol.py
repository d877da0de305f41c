"""HTTP as programs expect it (RFC 9110), for all that is under the API's addresses, whichever view answers."""

from __future__ import annotations

from collections.abc import Callable
from http import HTTPStatus

from django.http import HttpRequest, HttpResponse

from mwl_admin.web.http_answers import API_PREFIXES, PROBLEM, problem

_WITHOUT_BODY = {HTTPStatus.NO_CONTENT, HTTPStatus.NOT_MODIFIED}
_DETAILS = {
    HTTPStatus.NOT_FOUND: "There is nothing at this address.",
    HTTPStatus.METHOD_NOT_ALLOWED: "This address does not know the method; Allow names those that it does.",
}


class Protocol:
    """Middleware: an address with a slash at its end is the same one, HEAD is GET, and refusals are problem details."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        if not request.path_info.startswith(API_PREFIXES):
            return self._get_response(request)
        request.path_info = _without_last_slash(request)
        method = request.method
        if method == "HEAD":
            request.method = "GET"
        response = self._get_response(request)
        request.method = method
        _refuse_in_words(response)
        if response.status_code in _WITHOUT_BODY:
            response.content = b""
            for name in ("Content-Type", "Content-Length"):
                response.headers.pop(name, None)
        elif method == "HEAD":
            response.headers["Content-Length"] = str(len(response.content))
            response.content = b""
        return response


def _without_last_slash(request: HttpRequest) -> str:
    """Return the path without a slash that ends it; one that was written as %2F is part of an accession number."""
    path = request.path_info
    asked: str = request.META.get("RAW_URI", "").partition("?")[0]
    return path if asked.lower().endswith("%2f") else path.removesuffix("/")


def _refuse_in_words(response: HttpResponse) -> None:
    allowed = response.headers.get("Allow", "")
    if "GET" in allowed and "HEAD" not in allowed:
        response.headers["Allow"] = f"{allowed}, HEAD"
    if response.status_code < HTTPStatus.BAD_REQUEST or response.headers.get("Content-Type") == PROBLEM:
        return
    status = HTTPStatus(response.status_code)
    response.content = problem(status, _DETAILS.get(status, status.phrase))
    response.headers["Content-Type"] = PROBLEM
    response.headers["Content-Length"] = str(len(response.content))
