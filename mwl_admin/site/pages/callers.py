"""Who called and is no station, or was turned away: what staff are shown of it, and what they may answer."""

from __future__ import annotations

import datetime
from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Self
from urllib.parse import urlencode

from django.conf import settings
from django.db.models import Count, Max
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop

from mwl_admin.models import KeptOut, ServiceName, Station, UnknownCaller, WorklistQuery
from mwl_admin.worklist import strangers
from mwl_admin.worklist.jsonmodel import from_json

DAYS = 14
SHOWN = 50

# Why a service turns a caller away (`dicom_listener.access`, `dicom_listener.devices` and what else has a rule), as it
# notes it: what is said here is what staff read.
REJECTIONS = (
    gettext_noop("called AE title is not this one's"),
    gettext_noop("calling AE title is not on the list"),
    gettext_noop("calling AE title belongs to no known device"),
    gettext_noop("device is switched off"),
    gettext_noop("device calls from an address where it is not expected"),
    gettext_noop("certificate is not the one that is bound to the device"),
    gettext_noop("certificate names another than the calling AE title"),
    gettext_noop("address is in no allowed network"),
    gettext_noop("no user identity"),
)


@dataclass(frozen=True, slots=True)
class Stranger:
    """What an AE title did last. ``count`` is of queries, without a ``query`` of calls.

    ``station`` is there when it is one, and was turned away all the same.
    """

    ae_title: str
    address: str
    last: datetime.datetime
    count: int = 0
    query: WorklistQuery | None = None
    rejected_because: str = ""
    service: str = ""
    station: Station | None = None

    @property
    def add(self) -> str:
        """The address of the page that makes a station of it."""
        return add_address(self.ae_title, self.address, self.query)


@dataclass(frozen=True, slots=True)
class CallersToAnswer:
    """All callers that staff may have to answer. ``waiting``: served as before an update, until they do."""

    waiting: list[Stranger] = field(default_factory=list)
    unknown: list[Stranger] = field(default_factory=list)
    turned_away: list[Stranger] = field(default_factory=list)
    kept_out: list[KeptOut] = field(default_factory=list)

    @classmethod
    def now(cls) -> Self:
        """Return those of the last days, the latest first."""
        waiting = _waiting()
        kept_out = list(KeptOut.objects.select_related("kept_out_by"))
        answered = {*(stranger.ae_title for stranger in waiting), *(row.ae_title for row in kept_out)}
        return cls(waiting, _unknown(answered), _turned_away(), kept_out)


def _waiting() -> list[Stranger]:
    found: dict[str, Stranger] = {}
    for row in strangers.waiting(settings.WORKLIST_POLICY):
        stranger = Stranger(row.ae_title, row.address or "", row.last_seen_at, service=str(_service(row.service)))
        other = found.get(row.ae_title)
        if other is not None:
            services = f"{other.service}, {stranger.service}"
            latest = max(other, stranger, key=lambda one: one.last)
            address = latest.address or other.address or stranger.address
            stranger = Stranger(row.ae_title, address, latest.last, service=services)
        found[row.ae_title] = stranger
    return list(found.values())


def _service(name: str) -> str:
    return str(ServiceName(name).label)


def _since() -> datetime.datetime:
    return timezone.now() - datetime.timedelta(days=DAYS)


def _unknown(answered: Collection[str]) -> list[Stranger]:
    """Return callers that belong to no station, and about which nobody has answered or is asked already."""
    known = Station.objects.values("ae_title")
    recent = WorklistQuery.objects.filter(received_at__gte=_since()).exclude(calling_ae_title__in=known)
    queries = recent.exclude(calling_ae_title__in=answered).order_by().values("calling_ae_title")
    asked = queries.annotate(last=Max("pk"), count=Count("pk"))
    counts = {caller["last"]: caller["count"] for caller in asked.order_by("-last")[:SHOWN]}
    worklist = _service(ServiceName.WORKLIST)
    found = {
        (query.calling_ae_title, worklist): Stranger(
            query.calling_ae_title, query.address or "", query.received_at, counts[query.pk], query, service=worklist
        )
        for query in WorklistQuery.objects.filter(pk__in=counts)
    }
    others = UnknownCaller.objects.filter(last_seen_at__gte=_since()).exclude(ae_title__in=known)
    for stranger in map(_caller, others.exclude(ae_title__in=answered)[:SHOWN]):
        key = stranger.ae_title, stranger.service
        # An echo says less than the queries of the same AE title; that it is turned away since is news.
        if key not in found or (stranger.rejected_because and stranger.last > found[key].last):
            found[key] = stranger
    return sorted(found.values(), key=lambda stranger: stranger.last, reverse=True)[:SHOWN]


def _turned_away() -> list[Stranger]:
    """Return stations that were turned away, and neither served nor changed since."""
    known = Station.objects.values("ae_title")
    rejected = UnknownCaller.objects.filter(last_seen_at__gte=_since(), ae_title__in=known).exclude(rejected_because="")
    callers = list(rejected[:SHOWN])
    titles = {caller.ae_title for caller in callers}
    stations = {station.ae_title: station for station in Station.objects.filter(ae_title__in=titles)} if titles else {}
    return [
        _caller(caller, station)
        for caller in callers
        if (station := stations.get(caller.ae_title)) and caller.last_seen_at > _last_good(station, caller.service)
    ]


def _last_good(station: Station, service: str) -> datetime.datetime:
    seen = [station.last_echo_at, station.last_query_at, station.last_mpps_at]
    moments = [moment for moment in seen if moment is not None] if service == ServiceName.WORKLIST else []
    return max([station.updated_at, *moments])


def _caller(caller: UnknownCaller, station: Station | None = None) -> Stranger:
    because = _(caller.rejected_because) if caller.rejected_because else ""
    return Stranger(
        caller.ae_title,
        caller.address or "",
        caller.last_seen_at,
        caller.attempts,
        rejected_because=because,
        service=_service(caller.service),
        station=station,
    )


def add_address(ae_title: str, address: str, query: WorklistQuery | None = None) -> str:
    """Return the address of the page that adds a caller as a station, with what its query tells of it."""
    values = {"ae_title": ae_title, "expected_addresses": address}
    step = from_json(query.keys).first_item(0x00400100) if query and query.keys else None
    modality = step.text(0x00080060) if step else ""
    if modality and modality.isalnum():
        values["modality"] = modality.upper()
    return f"{reverse('admin:mwl_admin_station_add')}?{urlencode(values)}"
