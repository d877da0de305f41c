"""Gunicorn's access log: the pattern of an address in place of the address, which may name a patient."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from gunicorn.glogging import Logger

from mwl_admin.web.log_routes import ROUTE


class AccessLogger(Logger):  # type: ignore[misc]
    """The site's log for gunicorn."""

    def access(self, resp: Any, req: Any, environ: dict[str, Any], request_time: timedelta) -> None:
        """Log an answer, without what staff search for and the referring page: both are patient data."""
        fields = {
            "address": environ.get("REMOTE_ADDR", "-"),
            "method": environ.get("REQUEST_METHOD"),
            "route": environ.get(ROUTE, "-"),
            "status": int(str(resp.status).partition(" ")[0]),
            "bytes": resp.sent,
            "milliseconds": round(request_time.total_seconds() * 1000),
        }
        self.access_log.info("request answered", extra={"fields": fields})
