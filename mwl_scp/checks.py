"""What `/health` asks beside the listener itself."""

from __future__ import annotations

from django.db import connection

from mwl_admin.models import ScheduledProcedureStep


def database() -> str:
    """Read from the worklist; raises when it cannot be read."""
    try:
        ScheduledProcedureStep.objects.order_by().values_list("pk").first()
    finally:
        connection.close()
    return "the worklist can be read"
