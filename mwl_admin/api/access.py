"""The access log of the API: who asked for what kind of thing and how it went, and nothing of patients."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

from django.http import HttpRequest, HttpResponse

logger = logging.getLogger(__name__)

PREFIXES = ("/api/", "/dicom-web/")


class AccessLog:
    """Middleware: one line for each request of a program. Paths hold accession numbers, so their pattern is logged."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        if not request.path.startswith(PREFIXES):
            return self._get_response(request)
        started = time.perf_counter()
        response = self._get_response(request)
        match = request.resolver_match
        fields = {
            "client": str(getattr(request, "api_client", None) or "-"),
            "address": request.META.get("REMOTE_ADDR", ""),
            "method": request.method,
            "route": match.route if match else "-",
            "status": response.status_code,
            "milliseconds": round((time.perf_counter() - started) * 1000, 1),
        }
        text = " ".join(f"{name}={value}" for name, value in fields.items())
        logger.info("api request %s", text, extra={"fields": fields})
        return response
