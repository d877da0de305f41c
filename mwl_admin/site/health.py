"""Whether the site can do its work: for load balancers and container engines, so without a login or patient data."""

import logging

from django.db import DatabaseError, connection
from django.http import HttpRequest, JsonResponse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

logger = logging.getLogger(__name__)


@never_cache
@require_safe
def health(request: HttpRequest) -> JsonResponse:
    """200 when the worklist can be read, else 503."""
    try:
        with connection.cursor() as cursor:
            # The oldest table of the worklist: an empty, not yet migrated database is not healthy.
            cursor.execute("SELECT 1 FROM mwl_admin_sequence LIMIT 1")
            cursor.fetchone()
    except DatabaseError:
        logger.exception("the worklist database does not answer")
        return JsonResponse({"status": "error", "database": "unavailable"}, status=503)
    return JsonResponse({"status": "ok", "database": "ok"})
