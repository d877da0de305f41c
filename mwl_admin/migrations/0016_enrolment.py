"""Who was served and is no station goes on being served until staff have answered (docs/devices.md, Updates)."""

import datetime
from typing import Any

from django.db import migrations
from django.db.models import Max
from django.utils import timezone

DAYS = 90

Seen = dict[str, tuple[datetime.datetime, str | None]]


def enrol(apps: Any, schema_editor: Any) -> None:
    """Note the AE titles that the worklist provider served lately and that belong to no station."""
    Enrolment, Station = (apps.get_model("mwl_admin", name) for name in ("Enrolment", "Station"))
    found = _seen(apps, timezone.now() - datetime.timedelta(days=DAYS))
    for title in Station.objects.values_list("ae_title", flat=True):
        found.pop(title, None)
    Enrolment.objects.bulk_create(
        Enrolment(service="worklist", ae_title=title, address=address, last_seen_at=moment)
        for title, (moment, address) in found.items()
    )


def _seen(apps: Any, since: datetime.datetime) -> Seen:
    """Return when and where each AE title was served last; the address is None where it is not known."""
    Query, Performed, Caller = (
        apps.get_model("mwl_admin", name) for name in ("WorklistQuery", "PerformedProcedureStep", "UnknownCaller")
    )
    queries = Query.objects.filter(received_at__gte=since).order_by().values("calling_ae_title")
    last = queries.annotate(last=Max("pk")).values("last")
    asked = Query.objects.filter(pk__in=last).values_list("calling_ae_title", "received_at", "address")
    echoed = Caller.objects.filter(last_seen_at__gte=since, rejected_because="")
    reported = Performed.objects.filter(created_at__gte=since).order_by().values_list("calling_ae_title")
    seen: Seen = {}
    for name, moment, address in [
        *asked,
        *echoed.values_list("ae_title", "last_seen_at", "address"),
        *((title, moment, None) for title, moment in reported.annotate(Max("created_at"))),
    ]:
        # Callers named themselves with spaces around, which mean nothing (PS3.5 §6.2).
        title = name.strip(" ")
        latest, at = seen.get(title, (moment, address))
        newer = (moment, address or at) if moment >= latest else (latest, at or address)
        if title:
            seen[title] = newer
    return seen


class Migration(migrations.Migration):
    dependencies = [("mwl_admin", "0015_devices")]

    operations = [migrations.RunPython(enrol, migrations.RunPython.noop)]
