"""Downtimes: the list to print before one, and what was done in one to be entered after it."""

import datetime
from typing import Any

from django import forms
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.urls import reverse
from django.utils import timezone
from django.utils.dateparse import parse_date
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.http import require_http_methods, require_safe

from mwl_admin.exceptions import TransitionError
from mwl_admin.models import ScheduledProcedureStep
from mwl_admin.site import read_log
from mwl_admin.site.downtime import entering, listing
from mwl_admin.site.pages.audit import note_change
from mwl_admin.site.pages.page import page, render

_FORMAT = "%Y-%m-%dT%H:%M"


@page("view_scheduledprocedurestep", "view_patient")
@require_safe
def downtime_list(request: HttpRequest) -> HttpResponse:
    """Show a day and the next as they are printed for a downtime."""
    try:
        day = parse_date(request.GET.get("day", ""))
    except ValueError:
        day = None
    shown = listing.two_days(day or timezone.localdate())
    read_log.note_all(request, "downtime list", (read_log.identifier(step) for day in shown for step in day.steps))
    context = {"days": shown, "made_at": timezone.now()}
    return render(request, "downtime.html", context, title=_("List for a downtime"))


class TimesForm(forms.Form):
    """When it was really done, by the department's clock."""

    start = forms.DateTimeField(
        label=gettext_lazy("Started"),
        input_formats=[_FORMAT],
        widget=forms.DateTimeInput({"type": "datetime-local"}, _FORMAT),
    )
    end = forms.DateTimeField(
        label=gettext_lazy("Ended"),
        input_formats=[_FORMAT],
        widget=forms.DateTimeInput({"type": "datetime-local"}, _FORMAT),
    )

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or {}
        for field, error in entering.problems(cleaned.get("start"), cleaned.get("end")):
            self.add_error(field, error)
        return cleaned


@page("change_scheduledprocedurestep", "view_patient")
@require_http_methods(["GET", "HEAD", "POST"])
def done_in_downtime(request: HttpRequest, pk: int) -> HttpResponse:
    """Ask when a step was really done, complete it, and keep these times."""
    step = get_object_or_404(
        ScheduledProcedureStep.objects.select_related("requested_procedure__patient", "downtime_record"), pk=pk
    )
    form = TimesForm(request.POST if request.method == "POST" else None, initial=_initial(step))
    refusal = entering.refusal(step)
    if request.method == "POST" and not refusal and form.is_valid():
        try:
            entering.enter(step, form.cleaned_data["start"], form.cleaned_data["end"], request.user)
        except TransitionError as error:
            refusal = str(error)
        else:
            note_change(request, step, _("Done in a downtime: its times were entered."))
            messages.success(request, f"{step.requested_procedure.patient.display_name}: {step.get_status_display()}")
            return redirect(f"{reverse('today')}?day={step.scheduled_date.isoformat()}")
    read_log.note_all(request, "done in a downtime", [read_log.identifier(step)], again=True)
    context = {"form": form, "step": step, "error": refusal}
    return render(request, "done_in_downtime.html", context, title=_("Done in a downtime"))


def _initial(step: ScheduledProcedureStep) -> dict[str, datetime.datetime | None]:
    record = getattr(step, "downtime_record", None)
    if record is not None:
        return {"start": record.performed_start_at, "end": record.performed_end_at}
    return {"start": timezone.make_aware(datetime.datetime.combine(step.scheduled_date, step.scheduled_time))}
