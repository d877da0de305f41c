"""What has changed of the entries since a client asked last: each change once, deletions too, none missed."""

from __future__ import annotations

import json
from http import HTTPStatus
from typing import Annotated, Any

from django.http import HttpRequest, HttpResponse
from ninja import Query, Router

from mwl_admin.api import dates, schema
from mwl_admin.api.asked import in_form, reach_of
from mwl_admin.api.entries import shown
from mwl_admin.api.errors import RequestRefused, bad_request
from mwl_admin.api.reach import Reach
from mwl_admin.api.tokens import Scope, Token
from mwl_admin.changes.feed import Changes, Feed, UnknownCursor, one_moment
from mwl_admin.entries.problems import Problem
from mwl_admin.models import RequestedProcedure

router = Router(tags=["Entries"])

CHANGES = "/api/changes"
MAX_CHANGES = 500


@router.get(
    CHANGES,
    auth=Token(Scope.READ),
    summary="Follow the changes of entries",
    operation_id="follow_changes",
    openapi_extra={
        "responses": schema.responses({200: "What has changed"}, 400, 410, content=schema.changes()),
    },
)
def follow_changes(
    request: HttpRequest,
    cursor: Annotated[str, Query(description="the one of the answer before")] = "",
    updated_since: Annotated[str, Query(description=f"to begin at; {dates.MOMENT}")] = "",
    limit: int = 100,
) -> HttpResponse:
    """Without a cursor all entries come first. Go on with the cursor of each answer, for ever."""
    if not 1 <= limit <= MAX_CHANGES:
        raise bad_request(f"must be from 1 to {MAX_CHANGES}.", "limit")
    if cursor and updated_since:
        raise bad_request("stands beside a cursor, which says already where to go on.", "updated_since")
    reach = reach_of(request)
    with one_moment():
        feed = Feed()
        if updated_since:
            cursor = feed.since(dates.moment(updated_since, "updated_since"))
        changes = _read(feed, cursor or feed.beginning(), limit)
        content = _content(request, reach, changes)
    response = HttpResponse(json.dumps(content, ensure_ascii=False).encode(), content_type="application/json")
    response["Cache-Control"] = "no-store"
    return response


def _read(feed: Feed, cursor: str, limit: int) -> Changes:
    try:
        return feed.read(cursor, limit)
    except ValueError as error:
        raise bad_request("is none that was given out.", "cursor") from error
    except UnknownCursor as error:
        text = "Changes after this cursor are no longer known: read the list, and follow it from there."
        raise RequestRefused(HTTPStatus.GONE, text, [Problem("cursor", text, "gone")]) from error


def _content(request: HttpRequest, reach: Reach, changes: Changes) -> dict[str, Any]:
    orders = reach.orders().filter(pk__in=changes.entries).order_by("pk")
    changed, _ = in_form(request, shown(orders, reach.seen))
    return {
        "changed": changed,
        "deleted": sorted(_left(reach, changes)),
        "cursor": changes.cursor,
        "more": changes.more,
    }


def _left(reach: Reach, changes: Changes) -> set[str]:
    """Return the numbers under which there is nothing to be seen any more; a station is told of those that were its."""
    entries = RequestedProcedure.objects.order_by().filter(pk__in=changes.entries)
    if reach.limited:
        unseen = entries.exclude(pk__in=reach.orders().values("pk"))
    else:
        unseen = entries.filter(scheduled_procedure_steps=None)
    left = [*changes.gone, *unseen.values_list("pk", "accession_number")]
    known = reach.were_own(pk for pk, _ in left) if reach.limited else {pk for pk, _ in left}
    return {number for pk, number in left if number and pk in known}
