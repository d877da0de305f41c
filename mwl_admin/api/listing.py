"""The list of entries, in pages."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Annotated, Any
from urllib.parse import urlencode

from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from ninja import Query, Router

from mwl_admin.api import dates, schema
from mwl_admin.api.asked import WORKLIST, in_form, reach_of
from mwl_admin.api.entries import shown
from mwl_admin.api.errors import bad_request
from mwl_admin.api.following import CHANGES
from mwl_admin.api.reach import Reach
from mwl_admin.api.tokens import Scope, Token
from mwl_admin.changes.feed import Feed, one_moment
from mwl_admin.entries.jsonform import is_storable
from mwl_admin.models import RequestedProcedure, StepStatus
from mwl_admin.validators import LO_LENGTH

router = Router(tags=["Entries"])

MAX_ENTRIES = 500


@router.get(
    WORKLIST,
    auth=Token(Scope.READ),
    summary="List entries",
    operation_id="list_entries",
    openapi_extra={
        "responses": schema.listed(
            schema.responses(
                {200: "Entries, the one made last first"},
                400,
                content={"type": "array", "items": {"$ref": "#/components/schemas/ShownEntry"}},
            )
        ),
    },
)
def list_entries(  # noqa: PLR0917 - each is a query parameter
    request: HttpRequest,
    date: Annotated[str, Query(description=dates.DAYS)] = "",
    patient_id: str = "",
    status: StepStatus | None = None,
    updated_since: Annotated[str, Query(description=dates.MOMENT)] = "",
    limit: int = 100,
    offset: int = 0,
) -> HttpResponse:
    """Entries with a step on certain days, of a patient, with a step of a status, or changed since a moment."""
    if not 1 <= limit <= MAX_ENTRIES:
        raise bad_request(f"must be from 1 to {MAX_ENTRIES}.", "limit")
    if not 0 <= offset < 10**9:
        raise bad_request("must not be negative.", "offset")
    if not is_storable(patient_id):
        raise bad_request("holds a character that can't be stored.", "patient_id")
    if len(patient_id) > LO_LENGTH:
        raise bad_request(f"is longer than {LO_LENGTH} characters.", "patient_id")
    reach = reach_of(request)
    with one_moment():
        feed = Feed()
        orders = _with_steps(reach, dates.days(date, "date") if date else (None, None), status)
        if patient_id:
            orders = orders.filter(patient__patient_id=patient_id)
        if updated_since:
            place = feed.since(dates.moment(updated_since, "updated_since"))
            orders = orders.filter(pk__in=feed.changed(place).values("entry_id"))
        total = orders.count()
        data_sets, kind = in_form(request, shown(orders.order_by("-pk")[offset : offset + limit], reach.seen))
        cursor = feed.end()
    response = HttpResponse(json.dumps(data_sets, ensure_ascii=False).encode(), content_type=kind)
    response["Cache-Control"] = "no-store"
    response["X-Total-Count"] = str(total)
    response["Link"] = ", ".join(_links(request, total, limit, offset, cursor))
    return response


def _with_steps(reach: Reach, days: dates.Days, status: StepStatus | None) -> QuerySet[RequestedProcedure]:
    """Return the entries that have a step that is seen, on these days and of this status."""
    first, last = days
    wanted: dict[str, Any] = {"scheduled_date__gte": first, "scheduled_date__lte": last, "status": status}
    steps = reach.steps().filter(**{name: value for name, value in wanted.items() if value is not None})
    return RequestedProcedure.objects.filter(pk__in=steps.values("requested_procedure"))


def _links(request: HttpRequest, total: int, limit: int, offset: int, cursor: str) -> Iterator[str]:
    """Yield the pages around this one (RFC 8288), and where to go on from here (RFC 5989)."""
    last = max(total - 1, 0) // limit * limit
    places = {"first": 0, "prev": max(offset - limit, 0), "next": offset + limit, "last": last}
    if not offset:
        del places["prev"]
    if offset + limit >= total:
        del places["next"]
    for relation, place in places.items():
        query = {**request.GET.dict(), "limit": str(limit), "offset": str(place)}
        yield f'<{WORKLIST}?{urlencode(query)}>; rel="{relation}"'
    yield f'<{CHANGES}?{urlencode({"cursor": cursor})}>; rel="monitor"'
