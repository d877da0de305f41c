"""Gunicorn's access log: the pattern of an address in place of the address, which may name a patient."""

from __future__ import annotations

from typing import Any

from gunicorn.glogging import Logger

from mwl_admin.log import ROUTE


class AccessLogger(Logger):  # type: ignore[misc]
    """The site's log for gunicorn."""

    def atoms(self, resp: Any, req: Any, environ: dict[str, Any], request_time: Any) -> dict[str, Any]:
        atoms: dict[str, Any] = super().atoms(resp, req, environ, request_time)
        return {**atoms, "U": environ.get(ROUTE, "-")}
