"""Entries that a station has named in a report which is not about them, as it is said beside their status."""

from __future__ import annotations

from collections.abc import Iterable

from django.utils.translation import gettext as _

from mwl_admin.models import PerformedProcedureStep, ScheduledProcedureStep
from mwl_admin.models.performed import Doubt


def doubts(steps: Iterable[ScheduledProcedureStep]) -> dict[int, str]:
    """Return, by the keys of those steps that unsettled reports are in doubt for, what is to be said of them.

    Asks the database once.
    """
    through = PerformedProcedureStep.doubted_steps.through
    found = through.objects.filter(
        scheduledprocedurestep__in=[step.pk for step in steps],
        performedprocedurestep__in=PerformedProcedureStep.objects.to_be_looked_at().order_by().values("pk"),
    ).order_by("performedprocedurestep")
    told: dict[int, list[str]] = {}
    for pk, doubt, performed_station, calling in found.values_list(
        "scheduledprocedurestep",
        "performedprocedurestep__doubt",
        "performedprocedurestep__performed_station_ae_title",
        "performedprocedurestep__calling_ae_title",
    ):
        told.setdefault(pk, []).append(_text(doubt, performed_station or calling))
    return {pk: ", ".join(dict.fromkeys(texts)) for pk, texts in told.items()}


def _text(doubt: str, station: str) -> str:
    if doubt == Doubt.WRONG_ENTRY:
        return _("chosen by mistake on %(station)s") % {"station": station}
    return _("reported for another patient by %(station)s") % {"station": station}
