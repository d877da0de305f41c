"""Images that came before their entry was made: an emergency is examined first and entered afterwards."""

from __future__ import annotations

from typing import Any

from mwl_admin.models import ReceivedStudy, RequestedProcedure


def link_studies(instance: RequestedProcedure, raw: bool = False, **_: Any) -> None:
    """Give an entry that is made, or numbered anew, the studies that have been waiting for it."""
    if not raw:
        ReceivedStudy.objects.find_entries(instance)
