"""What the image receiver asks and tells (docs/devices.md): outside of the tokens, signed with the shared secret."""

from __future__ import annotations

import datetime
import hashlib
import ipaddress
import json
from http import HTTPStatus
from typing import Any

from django.conf import settings
from django.core.exceptions import RequestDataTooBig
from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from ninja import Router

from gateway_link.signature import Unsigned
from mwl_admin.api.errors import RequestRefused, bad_request
from mwl_admin.api.rehearsal import carry_out
from mwl_admin.devices import observed_calls, registry
from mwl_admin.devices.observed_calls import ObservedCall
from mwl_admin.images import signed
from mwl_admin.models import Enrolment, KeptOut, ServiceName, Station

router = Router(tags=["Receiver"])

MAX_CALLERS = 1000
_DESCRIPTION = {"description": "Signed with HMAC SHA-256; docs/devices.md tells how."}
_REFUSED = {
    403: {"description": "The signature is missing, wrong, too old, or was used before."},
    503: {"description": "PACS_NOTIFY_SECRET is not set."},
}


def _checked(request: HttpRequest) -> bytes:
    """Return the body of a request that the receiver has signed."""
    if not settings.PACS_NOTIFY_SECRET:
        # The receiver tries again later, and finds the secret set.
        raise RequestRefused(HTTPStatus.SERVICE_UNAVAILABLE, "PACS_NOTIFY_SECRET is not set on this side.")
    try:
        body = request.body
        signed.check(request, body)
    except RequestDataTooBig:
        raise RequestRefused(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "The body is too large.") from None
    except Unsigned as error:
        raise RequestRefused(HTTPStatus.FORBIDDEN, str(error)) from error
    return body


@router.get(
    "/api/receiver/devices",
    auth=None,
    summary="List the devices that are known",
    operation_id="devices",
    openapi_extra={
        **_DESCRIPTION,
        "responses": {
            200: {"description": "The devices"},
            304: {"description": "As If-None-Match has them"},
            **_REFUSED,
        },
    },
)
def devices(request: HttpRequest) -> HttpResponse:
    _checked(request)
    body = registry.encoded()
    tag = f'"{hashlib.sha256(body).hexdigest()}"'
    if tag in (part.strip() for part in request.headers.get("If-None-Match", "").split(",")):
        return HttpResponse(status=HTTPStatus.NOT_MODIFIED, headers={"ETag": tag})
    return HttpResponse(body, content_type="application/json", headers={"ETag": tag, "Cache-Control": "no-cache"})


@router.post(
    "/api/receiver/turned-away",
    auth=None,
    summary="Take whom the receiver has turned away, or serves until staff have answered",
    operation_id="turned_away",
    openapi_extra={
        **_DESCRIPTION,
        "requestBody": {"required": True, "content": {"application/json": {"schema": {"type": "object"}}}},
        "responses": {204: {"description": "Taken"}, 400: {"description": "Not a list of callers."}, **_REFUSED},
    },
)
def turned_away(request: HttpRequest, dry_run: bool = False) -> HttpResponse:
    body = _checked(request)
    return carry_out(lambda: _turned_away(body), dry_run=dry_run)


def _turned_away(body: bytes) -> HttpResponse:
    try:
        content = json.loads(body)
    except (ValueError, RecursionError):
        raise bad_request("The body is not JSON.") from None
    found = content.get("callers") if isinstance(content, dict) else None
    if not isinstance(found, list) or len(found) > MAX_CALLERS:
        raise bad_request(f"must be a list of {MAX_CALLERS} callers at most.", "callers")
    try:
        told = [(_call(caller), caller["served"] is True) for caller in found]
    except (KeyError, TypeError, ValueError) as error:
        raise bad_request("holds what is no caller.", "callers") from error
    # Peers call themselves what they like; always in one order, so that two reports take turns.
    told = sorted(
        (pair for pair in told if observed_calls.is_legal(pair[0].ae_title)), key=lambda pair: pair[0].ae_title
    )
    with transaction.atomic():
        observed_calls.note((call for call, served in told if not served), ServiceName.IMAGES)
        _enrol([call for call, served in told if served])
    return HttpResponse(status=HTTPStatus.NO_CONTENT)


def _call(caller: dict[str, Any]) -> ObservedCall:
    at = datetime.datetime.fromisoformat(caller["at"])
    if at.tzinfo is None:
        raise ValueError("a time without its offset")
    attempts = caller["attempts"]
    if not isinstance(attempts, int) or not 0 <= attempts < 2**31:
        raise ValueError("no number of attempts")
    address = str(caller["address"]).partition("%")[0]
    if address:
        address = str(ipaddress.ip_address(address))
    # A clock that is ahead must not keep a caller on top of the list for ever.
    return ObservedCall(
        str(caller["ae_title"]).strip(" "), address, min(at, timezone.now()), str(caller["because"]), attempts
    )


def _enrol(calls: list[ObservedCall]) -> None:
    """Keep those about whom staff have not answered; what the receiver told before an answer reached it is no news."""
    titles = [call.ae_title for call in calls]
    answered = {
        title
        for model in (Station, KeptOut)
        for title in model._base_manager.filter(ae_title__in=titles).values_list("ae_title", flat=True)
    }
    for call in calls:
        if call.ae_title not in answered:
            Enrolment.objects.update_or_create(
                ae_title=call.ae_title,
                service=ServiceName.IMAGES,
                defaults={"address": call.address or None, "last_seen_at": call.at},
            )
