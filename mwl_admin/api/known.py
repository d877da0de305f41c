"""Parameters that an operation does not know are refused: a misspelt filter must not become a list of everything."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Collection
from functools import wraps
from http import HTTPStatus
from typing import Any

from django.http import HttpRequest, HttpResponse

from mwl_admin.api.errors import RequestRefused
from mwl_admin.entries.problems import Problem

View = Callable[..., HttpResponse]

PREFIX = "/api/"
"""DICOMweb has a rule of its own: what is not known is ignored, with a warning (PS3.18 §8.3.4)."""


def known_parameters(view: View) -> View:
    """Refuse query parameters that are not among those of the view."""
    named = set(inspect.signature(view).parameters)

    @wraps(view)
    def checked(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        in_path = request.resolver_match.kwargs if request.resolver_match else {}
        refuse_unknown(request, named - set(in_path))
        return view(request, *args, **kwargs)

    return checked


def refuse_unknown(request: HttpRequest, known: Collection[str]) -> None:
    """Refuse parameters other than those known, and those that stand twice; all are named.

    :raises Refused: 400.
    """
    if not request.path.startswith(PREFIX):
        return
    problems = [Problem(name[:128], "is no parameter here.", "unknown") for name in request.GET if name not in known]
    problems += [
        Problem(name, "stands twice.", "twice") for name, values in request.GET.lists() if name in known and values[1:]
    ]
    if problems:
        raise RequestRefused(HTTPStatus.BAD_REQUEST, "A query parameter is wrong.", problems)
