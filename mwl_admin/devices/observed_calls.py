"""Callers that are to be shown to staff: strangers, and whoever was turned away, by either service."""

from __future__ import annotations

import datetime
from collections.abc import Iterable
from dataclasses import dataclass

from django.db import transaction
from django.db.models import F
from django.utils import timezone

from dicom_encoding import ae_titles
from mwl_admin.models import ServiceName, UnknownCaller

KEPT = 500
"""Callers of one service: whoever calls under ever new names fills no table."""
KEPT_FOR = datetime.timedelta(days=14)


@dataclass(frozen=True, slots=True)
class ObservedCall:
    """What one AE title last did. ``because`` is why it was rejected, empty when it echoed."""

    ae_title: str
    address: str
    at: datetime.datetime
    because: str = ""
    attempts: int = 1


def is_legal(ae_title: str) -> bool:
    """Tell whether this can be an AE title: peers call themselves what they like."""
    return ae_titles.is_legal(ae_title)


@transaction.atomic
def note(calls: Iterable[ObservedCall], service: ServiceName = ServiceName.WORKLIST) -> None:
    """Keep calls, which come in the order of their AE titles, so that two who write take turns; forget old ones."""
    found = list(calls)
    for call in found:
        _note(call, service)
    if not found:
        return
    callers = UnknownCaller.objects.filter(service=service)
    callers.filter(last_seen_at__lt=timezone.now() - KEPT_FOR).delete()
    surplus = list(callers.order_by("-last_seen_at").values_list("pk", flat=True)[KEPT : KEPT * 2])
    if surplus:
        UnknownCaller.objects.filter(pk__in=surplus).delete()


def _note(call: ObservedCall, service: ServiceName) -> None:
    values = {
        "address": call.address.partition("%")[0] or None,
        "last_seen_at": call.at,
        "rejected_because": call.because[:64],
    }
    who = {"ae_title": call.ae_title, "service": service}
    if not UnknownCaller.objects.filter(**who).update(**values, attempts=F("attempts") + call.attempts):
        UnknownCaller.objects.get_or_create(**who, defaults={**values, "attempts": call.attempts})
