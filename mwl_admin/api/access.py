"""The access log of the API: who asked for what kind of thing and how it went, and nothing of patients."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from http import HTTPStatus

from django.http import HttpRequest, HttpResponse

from mwl_admin.web.log_routes import ROUTE, route_of

logger = logging.getLogger(__name__)

PREFIXES = ("/api/", "/dicom-web/")


class AccessLog:
    """Middleware: one line for each request of a program. Paths hold accession numbers, so their pattern is logged."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        if not request.path.startswith(PREFIXES):
            response = self._get_response(request)
            self._note(request, response)
            return response
        started = time.perf_counter()
        response = self._get_response(request)
        self._note(request, response)
        fields = {
            "client": str(getattr(request, "api_client", None) or "-"),
            "address": request.META.get("REMOTE_ADDR", ""),
            "method": request.method,
            "route": route_of(request),
            "status": response.status_code,
            "milliseconds": round((time.perf_counter() - started) * 1000, 1),
        }
        logger.info("api request", extra={"fields": fields})
        return response

    def _note(self, request: HttpRequest, response: HttpResponse) -> None:
        """Note for gunicorn's access log what was asked for; the name of a file that is served is nobody's."""
        is_file = request.resolver_match is None and response.status_code in {HTTPStatus.OK, HTTPStatus.NOT_MODIFIED}
        request.META[ROUTE] = request.path if is_file else route_of(request)
