"""The image receiver's notices (docs/notifications.md)."""

from __future__ import annotations

import json
from http import HTTPStatus

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from ninja import Router

from mwl_admin.api.asked import bytes_of
from mwl_admin.api.errors import RequestRefused, bad_request
from mwl_admin.api.rehearsal import carry_out
from mwl_admin.images import arrivals

router = Router(tags=["Receiver"])


@router.post(
    "/api/notices/study-complete",
    auth=None,
    summary="Take the image receiver's notice that a study is complete",
    operation_id="study_complete",
    openapi_extra={
        "description": "Signed with HMAC SHA-256; docs/notifications.md tells how.",
        "requestBody": {"required": True, "content": {"application/json": {"schema": {"type": "object"}}}},
        "responses": {
            200: {"description": "Taken, now or before"},
            400: {"description": "The event's ID differs between header and body."},
            403: {"description": "The signature is missing or wrong, or the notice is too old."},
            413: {"description": "Too large."},
            422: {"description": "Not a notice."},
            503: {"description": "PACS_NOTIFY_SECRET is not set."},
        },
    },
)
def study_complete(request: HttpRequest, dry_run: bool = False) -> HttpResponse:
    secret = settings.PACS_NOTIFY_SECRET
    if not secret:
        # The receiver tries again later, and finds the secret set.
        raise RequestRefused(HTTPStatus.SERVICE_UNAVAILABLE, "PACS_NOTIFY_SECRET is not set on this side.")
    body = bytes_of(request)
    try:
        arrivals.verify(body, request.headers, secret, timezone.now())
    except arrivals.NoticeRefused as error:
        raise RequestRefused(HTTPStatus.FORBIDDEN, str(error)) from error
    notice = arrivals.read(body)
    if request.headers.get("X-Gateway-Event-Id", notice.event_id) != notice.event_id:
        raise bad_request("The event's ID differs between header and body.", "id")

    def write() -> HttpResponse:
        taken = arrivals.take(notice)
        answer = {"repeated": taken.repeated, "completed": list(taken.completed)}
        return HttpResponse(json.dumps(answer), content_type="application/json")

    return carry_out(write, dry_run=dry_run)
