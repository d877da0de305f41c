"""Where steps were done, when that is not where they were planned."""

from __future__ import annotations

from collections.abc import Iterable

from django.db.models import Exists, OuterRef
from django.utils.translation import gettext as _

from mwl_admin.models import PerformedProcedureStep, ScheduledProcedureStep, StepStatus

_Report = PerformedProcedureStep.scheduled_procedure_steps.through
_TakenBack = PerformedProcedureStep.disregarded_for.through
_BEGUN = frozenset({StepStatus.STARTED, StepStatus.COMPLETED, StepStatus.DISCONTINUED})


def done_elsewhere(steps: Iterable[ScheduledProcedureStep]) -> dict[int, str]:
    """Return, by the keys of those steps that other stations reported than they were planned on, who did them.

    Steps that are kept for no station are done where they should be, whoever does them. Asks the database once.
    """
    planned = {
        step.pk: (step, titles)
        for step in steps
        if step.status in _BEGUN and (titles := {station.ae_title for station in step.stations.all()})
    }
    done: dict[int, list[str]] = {}
    for pk, performed_station, calling in _reports(planned) if planned else ():
        titles = planned[pk][1]
        if performed_station not in titles and calling not in titles:
            done.setdefault(pk, []).append(performed_station or calling)
    return {pk: _text(planned[pk][0], stations) for pk, stations in done.items()}


def _reports(pks: Iterable[int]) -> Iterable[tuple[int, str, str]]:
    """Yield what counts for the steps: step, station and calling AE title of each report, in their order."""
    taken_back = _TakenBack.objects.filter(
        scheduledprocedurestep=OuterRef("scheduledprocedurestep"),
        performedprocedurestep=OuterRef("performedprocedurestep"),
    )
    counted = _Report.objects.filter(~Exists(taken_back), scheduledprocedurestep__in=list(pks))
    return counted.order_by("performedprocedurestep").values_list(
        "scheduledprocedurestep",
        "performedprocedurestep__performed_station_ae_title",
        "performedprocedurestep__calling_ae_title",
    )


def _text(step: ScheduledProcedureStep, stations: Iterable[str]) -> str:
    names = ", ".join(dict.fromkeys(stations))
    if step.status == StepStatus.STARTED:
        return _("started on %(stations)s") % {"stations": names}
    return _("done on %(stations)s") % {"stations": names}
