"""How long a body somebody may send, decided from the head of the request alone."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from http import HTTPStatus
from typing import Any

from django.conf import settings
from django.contrib.auth import get_user
from django.contrib.sessions.middleware import SessionMiddleware
from django.core.files.uploadhandler import FileUploadHandler, SkipFile
from django.core.handlers.wsgi import WSGIRequest
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import Resolver404, resolve

from mwl_admin.models import APIClient
from mwl_admin.web.http_answers import API_PREFIXES, PROBLEM, problem
from mwl_admin.web.http_limits import API_BODY_BYTES, STRANGERS_BODY_BYTES

IMPORT = "admin:mwl_admin_requestedprocedure_import"


def longest_for(environ: Mapping[str, Any]) -> int:
    """Return how many bytes the sender of this request may send."""
    request = WSGIRequest(dict(environ))
    SessionMiddleware(_no_answer).process_request(request)
    request.user = get_user(request)
    return _longest(request)


class BodyLimit:
    """Middleware: refuses what is too long before anything takes a body apart.

    It stands behind the one that knows who is logged in. Protection against forged requests, which reads forms, comes
    later: it looks at requests when their view is known.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        if not request.user.is_authenticated:
            request.upload_handlers = [_ReadOver(request)]
        length = _length(request)
        if length <= STRANGERS_BODY_BYTES or length <= _longest(request):
            return self._get_response(request)
        status = HTTPStatus.REQUEST_ENTITY_TOO_LARGE
        if request.path_info.startswith(API_PREFIXES):
            return HttpResponse(problem(status, "The body is too long."), status=status, content_type=PROBLEM)
        return render(request, "mwl_admin/too_large.html", status=status)


class _ReadOver(FileUploadHandler):
    """A stranger's files are kept nowhere."""

    def new_file(self, *args: Any, **kwargs: Any) -> None:
        raise SkipFile

    def receive_data_chunk(self, raw_data: bytes, start: int) -> None:
        return

    def file_complete(self, file_size: int) -> None:
        return


def _length(request: HttpRequest) -> int:
    text = request.META.get("CONTENT_LENGTH") or "0"
    return int(text) if text.isdecimal() else 0


def _longest(request: HttpRequest) -> int:
    if request.path_info.startswith(API_PREFIXES):
        return API_BODY_BYTES if _has_token(request) else STRANGERS_BODY_BYTES
    if not request.user.is_authenticated or not request.user.is_staff:
        return STRANGERS_BODY_BYTES
    try:
        name = resolve(request.path_info).view_name
    except Resolver404:
        return STRANGERS_BODY_BYTES
    if name == IMPORT and request.user.has_perm("mwl_admin.add_requestedprocedure"):
        return int(settings.WEB_LIMITS.longest_body)
    return API_BODY_BYTES


def _has_token(request: HttpRequest) -> bool:
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    client = APIClient.by_token(token.strip()) if scheme.lower() == "bearer" else None
    return client is not None and not client.has_expired


def _no_answer(request: HttpRequest) -> HttpResponse:
    return HttpResponse(status=HTTPStatus.NO_CONTENT)
