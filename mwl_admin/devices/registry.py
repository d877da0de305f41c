"""The site's registry of devices, as the receiver takes it (docs/devices.md), and what staff's answers change in it."""

from __future__ import annotations

import json
from typing import Any

from django.db import transaction

from mwl_admin.images import receiver_commands
from mwl_admin.models import Enrolment, KeptOut, Station


def encoded() -> bytes:
    """Return the registry as it is sent: the same bytes as long as nothing changes that the receiver knows of."""
    refused = KeptOut.objects.exclude(ae_title__in=Station.objects.values("ae_title"))
    content = {
        "devices": [_device(station) for station in Station.objects.order_by("ae_title")],
        "refused": list(refused.order_by("ae_title").values_list("ae_title", flat=True)),
    }
    return json.dumps(content, ensure_ascii=False, separators=(",", ":")).encode()


def _device(station: Station) -> dict[str, Any]:
    host, port = station.answers_at
    return {
        "ae_title": station.ae_title,
        "name": station.station_name,
        "kind": station.kind,
        "modality": station.modality,
        "enabled": station.enabled,
        "addresses": station.expected_addresses.split(),
        "host": host,
        "port": port,
        "rights": station.rights,
        "certificates": station.certificates.split(),
    }


def station_saved(instance: Station, **_: object) -> None:
    """Tell the receiver, and end what waited for this station's AE title: its enrolment, and that it was kept out."""
    for waiting in (Enrolment, KeptOut):
        waiting._base_manager.filter(ae_title=instance.ae_title).delete()
    _tell()


def changed(**_: object) -> None:
    """Tell the receiver that the registry has changed."""
    _tell()


def _tell() -> None:
    transaction.on_commit(receiver_commands.refresh_devices)
