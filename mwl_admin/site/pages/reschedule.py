"""Moving steps to another day, time or station: one from the day page, or many from the list."""

import datetime
from typing import Any

from django import forms
from django.contrib import messages
from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext
from django.views.decorators.http import require_http_methods

from mwl_admin.models import ScheduledProcedureStep, Station
from mwl_admin.models.status import WAITING
from mwl_admin.site import read_log
from mwl_admin.site.pages.audit import note_change
from mwl_admin.site.pages.page import page, render
from mwl_admin.site.preflight import warn

AT_ONCE = 500


class RescheduleForm(forms.Form):
    """Where to. What is left empty stays as it is."""

    date = forms.DateField(label=gettext_lazy("New date"), required=False)
    time = forms.TimeField(label=gettext_lazy("New time"), required=False)
    later = forms.IntegerField(
        label=gettext_lazy("Or later by (minutes)"),
        required=False,
        min_value=-1440,
        max_value=1440,
        help_text=gettext_lazy("For several steps at once: each keeps its distance. Negative is earlier."),
    )
    station = forms.ModelChoiceField(
        label=gettext_lazy("Station"),
        queryset=Station.objects.modalities().filter(enabled=True),
        required=False,
        empty_label=gettext_lazy("as before"),
    )

    def __init__(self, *args: Any, steps: list[ScheduledProcedureStep], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._modalities = {step.modality for step in steps}
        if len(self._modalities) == 1:
            stations = Station.objects.filter(enabled=True, modality__in=self._modalities)
            self.fields["station"].queryset = stations  # type: ignore[attr-defined]
        if len(steps) == 1:
            del self.fields["later"]
        for name in ("date", "time"):
            self.fields[name].widget.attrs["autocomplete"] = "off"

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or {}
        if not any(cleaned.get(name) for name in ("date", "time", "later", "station")):
            raise forms.ValidationError(_("Say where to: a date, a time or a station."))
        if cleaned.get("time") and cleaned.get("later"):
            self.add_error("later", _("Either a time or later by minutes, not both."))
        return cleaned


@page("change_scheduledprocedurestep", "view_patient")
@require_http_methods(["GET", "HEAD", "POST"])
def reschedule(request: HttpRequest) -> HttpResponse:
    """Ask where to, and move the steps; those that have started meanwhile, or were changed, are left alone and told."""
    given = request.POST if request.method == "POST" else request.GET
    keys = [int(text) for text in given.getlist("step") if text.isdecimal() and len(text) < 16][:AT_ONCE]
    steps = list(
        ScheduledProcedureStep.objects.filter(pk__in=keys)
        .select_related("requested_procedure__patient")
        .prefetch_related("stations")
    )
    movable = [step for step in steps if step.status in WAITING]
    if not movable:
        messages.warning(request, _("None of these steps can be rescheduled: they have started or ended."))
        return redirect("today")
    initial = (
        {"date": movable[0].scheduled_date, "time": movable[0].scheduled_time.strftime("%H:%M")}
        if len(movable) == 1
        else {}
    )
    form = RescheduleForm(request.POST if request.method == "POST" else None, steps=movable, initial=initial)
    if request.method == "POST" and form.is_valid():
        _move_all(request, movable, form.cleaned_data)
        day = form.cleaned_data.get("date") or movable[0].scheduled_date
        return redirect(f"{reverse('today')}?day={day.isoformat()}")
    read_log.note_all(request, "reschedule", map(read_log.identifier, movable))
    context = {"form": form, "steps": movable, "left": [step for step in steps if step not in movable]}
    return render(request, "reschedule.html", context, title=_("Reschedule"))


def _move_all(request: HttpRequest, steps: list[ScheduledProcedureStep], to: dict[str, Any]) -> None:
    moved = 0
    for step in steps:
        try:
            seen = int(request.POST.get(f"version-{step.pk}", ""))
        except ValueError:
            seen = -1
        with transaction.atomic():
            current = ScheduledProcedureStep.objects.select_for_update(of=("self",)).get(pk=step.pk)
            if current.version != seen or current.status not in WAITING:
                text = _("%(step)s was changed meanwhile and has not been moved. Look at it again.")
                messages.warning(request, text % {"step": step.requested_procedure.patient.display_name})
                continue
            _move(current, to)
            when = {"date": f"{current.scheduled_date:%Y-%m-%d}", "time": f"{current.scheduled_time:%H:%M}"}
            note_change(request, current, _("Rescheduled to %(date)s %(time)s.") % when)
        moved += 1
        warn(request, current)
    if moved:
        text = ngettext("%(n)d step rescheduled.", "%(n)d steps rescheduled.", moved)
        messages.success(request, text % {"n": moved})


def _move(step: ScheduledProcedureStep, to: dict[str, Any]) -> None:
    start = datetime.datetime.combine(to.get("date") or step.scheduled_date, to.get("time") or step.scheduled_time)
    start += datetime.timedelta(minutes=to.get("later") or 0)
    step.scheduled_date, step.scheduled_time = start.date(), start.time()
    step.save()
    if to.get("station"):
        step.stations.set([to["station"]])


def address(steps: list[int]) -> str:
    """Return the address of the page for these steps."""
    return f"{reverse('reschedule')}?" + "&".join(f"step={pk}" for pk in steps[:AT_ONCE])
