"""An entry's side of the worklist: who was given it and when, and who would be, or why not."""

from dataclasses import dataclass
from typing import Any

from django.conf import settings
from django.db.models import Count, Max, Min
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404
from django.utils.translation import gettext as _
from django.views.decorators.http import require_safe
from pydicom.datadict import dictionary_description, tag_for_keyword

from mwl_admin.models import ScheduledProcedureStep, Station, WorklistDelivery, WorklistQuery
from mwl_admin.site import preflight, read_log
from mwl_admin.site.pages.keys import readable
from mwl_admin.site.pages.page import page, render
from mwl_admin.worklist.explain import Explanation, explain_recorded
from mwl_admin.worklist.matching import Condition

QUERIES_ASKED = 30


@dataclass(frozen=True, slots=True)
class StationVerdict:
    """Whether a station's last query would show the step, and which of its keys and rules say no."""

    station: Station
    query: WorklistQuery | None
    delivered: dict[str, Any] | None
    shows: bool = False
    reasons: tuple[str, ...] = ()


@page("view_scheduledprocedurestep", "view_patient")
@require_safe
def step_delivery(request: HttpRequest, pk: int) -> HttpResponse:
    """Tell of one step who got it, and whether the last query of each station of its modality would show it."""
    step = get_object_or_404(ScheduledProcedureStep.objects.select_related("requested_procedure__patient"), pk=pk)
    read_log.note(request, step.requested_procedure.patient, "delivery")
    given = {row["station_ae_title"]: row for row in _deliveries(step)}
    concerned = Station.objects.filter(modality=step.modality) | Station.objects.filter(ae_title__in=given)
    concerned |= Station.objects.filter(scheduled_procedure_steps=step)
    stations = concerned.distinct().order_by("ae_title")[:QUERIES_ASKED]
    known = {station.ae_title for station in stations}
    context = {
        "step": step,
        "verdicts": [_verdict(step, station, given.get(station.ae_title)) for station in stations],
        "strangers": [row for title, row in given.items() if title not in known],
        "warnings": list(dict.fromkeys(preflight.warnings(step))),
    }
    return render(request, "step_delivery.html", context, title=_("Seen by whom?"))


def _deliveries(step: ScheduledProcedureStep) -> Any:
    receipts = WorklistDelivery.objects.filter(step=step).order_by().values("station_ae_title")
    return receipts.annotate(first=Min("delivered_at"), last=Max("delivered_at"), count=Count("pk"))


def _verdict(step: ScheduledProcedureStep, station: Station, delivered: dict[str, Any] | None) -> StationVerdict:
    query = (
        WorklistQuery.objects.filter(calling_ae_title=station.ae_title).filter(keys_cut=False).exclude(keys={}).first()
    )
    if query is None:
        return StationVerdict(station, None, delivered)
    explanation = explain_recorded(query, settings.WORKLIST_POLICY, step=step.pk)
    reasons = tuple(reason(effect.condition) for effect in explanation.effects if effect.ruled_out)
    if explanation.refused:
        reasons = (explanation.refused,)
    return StationVerdict(station, query, delivered, shows=bool(explanation.matches), reasons=reasons)


def reason(condition: Condition) -> str:
    """Return in words what a condition is."""
    if condition.keyword:
        tag = tag_for_keyword(condition.keyword)
        name = dictionary_description(tag) if tag is not None else condition.keyword
        return _("its key %(attribute)s") % {"attribute": name}
    return _(condition.name)


@page("view_worklistquery", "view_scheduledprocedurestep", "view_patient")
@require_safe
def query_explained(request: HttpRequest, pk: int) -> HttpResponse:
    """Explain a recorded query: its keys, what it found, and which key kept out which of the day's entries."""
    query = get_object_or_404(WorklistQuery, pk=pk)
    # A key that is cut would be explained as if the modality had asked for its beginning.
    explained = bool(query.keys) and not query.keys_cut
    explanation = explain_recorded(query, settings.WORKLIST_POLICY) if explained else None
    effects = _effects(explanation) if explanation else []
    delivered = query.deliveries.select_related("step__requested_procedure__patient").order_by("pk")[:50]
    missed = _missed(explanation) if explanation else []
    shown = [step for effect in effects for step in effect["steps"]] + [delivery.step for delivery in delivered]
    shown += [step for step, _reasons in missed]
    read_log.note_all(request, "query explained", map(read_log.identifier, shown))
    context = {
        "query": query,
        "status": f"{query.status:04X}",
        "keys": readable(query.keys, whole="whole" in request.GET),
        "explanation": explanation,
        "effects": effects,
        "missed": missed,
        "more_missed": explanation.entries - explanation.matches - len(explanation.missed) if explanation else 0,
        "station": Station.objects.filter(ae_title=query.calling_ae_title).first(),
        "delivered": delivered,
    }
    return render(request, "query_explained.html", context, title=_("Query"))


def _effects(explanation: Explanation) -> list[dict[str, Any]]:
    wanted = {pk for effect in explanation.effects for pk in effect.alone_pks}
    steps = ScheduledProcedureStep.objects.select_related("requested_procedure__patient").in_bulk(wanted)
    return [
        {
            "reason": reason(effect.condition),
            "ruled_out": effect.ruled_out,
            "alone": effect.alone,
            "steps": [steps[pk] for pk in effect.alone_pks if pk in steps],
        }
        for effect in explanation.effects
    ]


def _missed(explanation: Explanation) -> list[tuple[ScheduledProcedureStep, list[str]]]:
    wanted = [missed.pk for missed in explanation.missed]
    steps = ScheduledProcedureStep.objects.select_related("requested_procedure__patient").in_bulk(wanted)
    return [
        (steps[missed.pk], [reason(condition) for condition in missed.conditions])
        for missed in explanation.missed
        if missed.pk in steps
    ]
