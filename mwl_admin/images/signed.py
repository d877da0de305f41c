"""Signed requests of the receiver (docs/devices.md): each is taken once, whichever process of the site it reaches."""

from __future__ import annotations

import datetime

from django.conf import settings
from django.db import IntegrityError, transaction
from django.http import HttpRequest
from django.utils import timezone

from gateway_link.signature import TOLERANCE_SECONDS, Signed, Unsigned, verify
from mwl_admin.models import UsedNonce


def check(request: HttpRequest, body: bytes = b"") -> None:
    """Check that the receiver has signed this very request, lately, and that it was not taken before.

    :raises Unsigned: when it has not, or was.
    """
    method = request.META["REQUEST_METHOD"]  # HEAD is answered as GET is, and signed as what it is
    _use(verify(settings.PACS_NOTIFY_SECRET, method, request.get_full_path(), request.headers, body))


def _use(signed: Signed) -> None:
    UsedNonce.objects.filter(until__lt=timezone.now()).delete()
    # A little longer than its signature is worth anything.
    until = datetime.datetime.fromtimestamp(signed.timestamp + TOLERANCE_SECONDS + 1, datetime.UTC)
    try:
        with transaction.atomic():
            UsedNonce.objects.create(nonce=signed.nonce, until=until)
    except IntegrityError:
        raise Unsigned("The request was made before.") from None
