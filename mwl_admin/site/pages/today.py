"""The start page: one day's steps, kept fresh, with the next action one click away."""

import datetime
import hashlib
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from django.conf import settings
from django.core.exceptions import ValidationError
from django.db import transaction
from django.db.models import Model
from django.http import HttpRequest, HttpResponse, QueryDict
from django.shortcuts import get_object_or_404
from django.template.loader import render_to_string
from django.urls import reverse
from django.utils import timezone
from django.utils.dateparse import parse_date
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST, require_safe

from mwl_admin.exceptions import TransitionError
from mwl_admin.images import change_delivery
from mwl_admin.models import ScheduledProcedureStep, Station, StepStatus
from mwl_admin.site import read_log
from mwl_admin.site.pages import day as days
from mwl_admin.site.pages.alarms import Alarms
from mwl_admin.site.pages.audit import note_change
from mwl_admin.site.pages.page import by_script, page, render
from mwl_admin.worklist import strangers

REFRESH_SECONDS = 5
_KEPT = ("station", "modality", "status")
_SESSION_KEY = "today_filters"
_PLACE_OF_FINGERPRINT = "place-of-fingerprint"


@page("view_scheduledprocedurestep", "view_patient")
@require_safe
def today(request: HttpRequest) -> HttpResponse:
    """The page. Station, modality and status stay as they were until they are changed; the day does not."""
    filters = _filters(request.GET, request.session.get(_SESSION_KEY, {}))
    kept = {name: getattr(filters, name) for name in _KEPT}
    if request.session.get(_SESSION_KEY, {}) != kept:
        request.session[_SESSION_KEY] = kept
    one_day = datetime.timedelta(days=1)
    context = {
        "filters": filters,
        "stations": Station.objects.modalities(),
        "modalities": list(days.modalities()),
        "statuses": StepStatus.choices,
        "previous": _address("today", filters, day=filters.day - one_day),
        "following": _address("today", filters, day=filters.day + one_day),
        "today_address": _address("today", filters, day=timezone.localdate()),
        "is_today": filters.day == timezone.localdate(),
        "list": _seen(request, _list(request, filters), again=by_script(request)),
        "narrowed": any(kept.values()) or filters.text,
        "clear_address": f"{reverse('today')}?day={filters.day.isoformat()}&station=&modality=&status=",
    }
    return render(request, "today.html", context, title=_("Today"))


@page("view_scheduledprocedurestep", "view_patient")
@require_safe
def today_list(request: HttpRequest) -> HttpResponse:
    """The list alone: nothing (204) when it is what the page already shows."""
    filters = _filters(request.GET, {})
    found = _list(request, filters)
    if request.GET.get("seen") == found.fingerprint:
        return HttpResponse(status=204)
    return HttpResponse(_seen(request, found, again=True))


def _filters(given: QueryDict, kept: dict[str, str]) -> days.Filters:
    values = {name: given.get(name, kept.get(name, "")) for name in _KEPT}
    if values["status"] not in {"", "open", *StepStatus.values}:
        values["status"] = ""
    try:
        day = parse_date(given.get("day", ""))
    except ValueError:
        day = None
    return days.Filters(day or timezone.localdate(), text=given.get("q", "").strip()[:200], **values)


def _address(view: str, filters: days.Filters, **changes: Any) -> str:
    query = QueryDict(mutable=True)
    query.update(filters.query(**changes))
    return f"{reverse(view)}?{query.urlencode()}"


@dataclass(frozen=True, slots=True)
class _List:
    """The list, what it is recognised by, and whom it shows."""

    html: str
    fingerprint: str
    records: Collection[Model]


def _seen(request: HttpRequest, found: _List, *, again: bool) -> str:
    read_log.note_all(request, "today", map(read_log.identifier, found.records), again=again)
    return found.html


def _list(request: HttpRequest, filters: days.Filters) -> _List:
    now = timezone.localtime().replace(tzinfo=None)
    everything = days.steps_of(filters)
    elsewhere = days.steps_of_other_days(filters)
    alarms = Alarms.seen_by(request.user)
    shown = days.with_status(everything, filters.status)
    unmatched = days.unmatched(filters.day) if request.user.has_perm("mwl_admin.view_performedprocedurestep") else []
    unmatched = [performed for performed in unmatched if performed not in alarms.reports]
    context = {
        "filters": filters,
        "alarms": alarms,
        "waiting": sorted({row.ae_title for row in strangers.waiting(settings.WORKLIST_POLICY)}),
        "groups": days.grouped(shown, now, alarms.mixed_up),
        "counts": [
            (value, label, count, _address("today", filters, status=value))
            for value, label, count in days.status_counts(step.status for step in everything)
        ],
        "total": len(everything),
        "all_address": _address("today", filters, status=""),
        "late_changes": change_delivery.late(),
        "elsewhere": days.rows(elsewhere, now, alarms.mixed_up),
        "too_many": len(elsewhere) == days.FOUND_ELSEWHERE,
        "unmatched": unmatched,
        "labels": days.action_labels(),
        "may_change": request.user.has_perm("mwl_admin.change_scheduledprocedurestep"),
        "may_add": request.user.has_perm("mwl_admin.add_requestedprocedure"),
        "may_edit_entry": request.user.has_perm("mwl_admin.view_requestedprocedure"),
        "is_today": filters.day == timezone.localdate(),
        "refresh_seconds": REFRESH_SECONDS,
        "query": _address("today_list", filters),
    }
    html = render_to_string("mwl_admin/today_list.html", context, request)
    fingerprint = hashlib.sha256(html.encode()).hexdigest()[:20]
    records = [*shown, *elsewhere, *unmatched, *alarms.records]
    return _List(html.replace(_PLACE_OF_FINGERPRINT, fingerprint), fingerprint, records)


def list_again(request: HttpRequest, notice: dict[str, Any]) -> HttpResponse:
    """Return the list as it was narrowed on the page from which something was asked, and what became of that."""
    shown = _filters(QueryDict(request.headers.get("X-Page-Query", "")), request.session.get(_SESSION_KEY, {}))
    html = _seen(request, _list(request, shown), again=True)
    return HttpResponse(html + render_to_string("mwl_admin/notice.html", notice, request))


@page("change_scheduledprocedurestep")
@require_POST
def change_status(request: HttpRequest, pk: int, target: str) -> HttpResponse:
    """Move a step to a status, or take the last change back (``undo``), and show the list again."""
    step = get_object_or_404(ScheduledProcedureStep.objects.select_related("requested_procedure__patient"), pk=pk)
    reason = request.POST.get("reason", "").strip()
    refusal = ""
    if reason:
        try:
            step._meta.get_field("status_reason").clean(reason, step)
        except ValidationError as error:
            refusal = " ".join(error.messages)
    try:
        if not refusal:
            _change(request, step, target, reason)
    except TransitionError as error:
        refusal = str(error)
    undo = reverse("change_status", args=[step.pk, "undo"]) if not refusal and step.previous_status else ""
    text = f"{step.requested_procedure.patient.display_name}: {refusal or step.get_status_display()}"
    return list_again(request, {"error": refusal, "text": text, "undo": undo})


def _change(request: HttpRequest, step: ScheduledProcedureStep, target: str, reason: str) -> None:
    with transaction.atomic():
        if target == "undo":
            step.undo()
        elif target in StepStatus.values and target != StepStatus.SCHEDULED:
            step.transition(StepStatus(target))
            if reason or step.status_reason:
                step.status_reason = reason
                ScheduledProcedureStep.objects.filter(pk=step.pk).update(status_reason=reason)
        else:
            raise TransitionError(_("There is no such status."))
        note_change(request, step, days.status_note(step, reason))


@page("change_scheduledprocedurestep")
@require_safe
def end_dialog(request: HttpRequest, pk: int, target: str) -> HttpResponse:
    """Ask why a step is cancelled or discontinued."""
    step = get_object_or_404(ScheduledProcedureStep.objects.select_related("requested_procedure__patient"), pk=pk)
    read_log.note_all(request, "today", [read_log.identifier(step)], again=True)
    label = days.action_labels().get(target, "")
    return render(request, "end_dialog.html", {"step": step, "target": target, "label": label})
