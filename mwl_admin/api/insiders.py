"""The API's own description: for those who are logged in or have a token."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

from django.contrib.auth.views import redirect_to_login
from django.http import HttpRequest, HttpResponse
from django.urls import reverse

from mwl_admin.api import errors
from mwl_admin.api.errors import RequestRefused
from mwl_admin.api.known import refuse_unknown
from mwl_admin.api.tokens import Token

View = Callable[..., HttpResponse]


def insiders_only(view: View) -> View:
    """Show a view to people who are logged in and to clients with a token; send browsers to the login page."""

    @wraps(view)
    def guarded(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        try:
            refuse_unknown(request, ())
            inside = _is_staff(request) or Token(None)(request) is not None
        except RequestRefused as error:
            return errors.response(error)
        if inside:
            response = view(request, *args, **kwargs)
            response["Cache-Control"] = "no-store"
            return response
        if "Authorization" not in request.headers and _is_browser(request):
            return redirect_to_login(request.get_full_path(), reverse("admin:login"))
        return errors.response(errors.unauthorized())

    return guarded


def _is_staff(request: HttpRequest) -> bool:
    return bool(request.user.is_active and request.user.is_staff)


def _is_browser(request: HttpRequest) -> bool:
    # A program that takes anything says */*; a browser names HTML.
    return "text/html" in request.headers.get("Accept", "")
