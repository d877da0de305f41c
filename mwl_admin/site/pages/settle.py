"""One click for "I have looked at this": an alarm of the day page goes, and comes back when that is undone."""

from django.db.models import Model
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST

from mwl_admin.models import PerformedProcedureStep, ReceivedStudy, ScheduledProcedureStep, SettledStep
from mwl_admin.site.pages.audit import note_change
from mwl_admin.site.pages.page import page
from mwl_admin.site.pages.today import list_again

SEEN, UNDO = "seen", "undo"
_NEEDED = ("view_scheduledprocedurestep", "view_patient", "view_receivedstudy", "change_receivedstudy")


@page(*_NEEDED)
@require_POST
def settle_study(request: HttpRequest, pk: int, action: str) -> HttpResponse:
    """Note that somebody has looked at a study that does not fit, or take that back, and show the list again.

    ``announced`` is the notice of which the page told: what came since has not been looked at.
    """
    study = get_object_or_404(ReceivedStudy, pk=pk)
    studies = ReceivedStudy.objects.filter(pk=pk)
    undo = reverse("settle_study", args=[pk, UNDO])
    if action == UNDO:
        return _told(request, study, undone=True, changed=studies.reopen())
    seen = request.POST.get("announced", study.announced_at.isoformat())
    if seen != study.announced_at.isoformat():
        text = _("More images have come meanwhile: look again.")
        return list_again(request, {"error": text, "text": text})
    changed = studies.filter(announced_at=study.announced_at).settle(request.user)
    return _told(request, study, undo=undo, changed=changed)


@page(*_NEEDED)
@require_POST
def settle_step(request: HttpRequest, pk: int, action: str) -> HttpResponse:
    """Note that somebody has looked at a step without images, or take that back, and show the list again."""
    step = get_object_or_404(ScheduledProcedureStep, pk=pk)
    if action == UNDO:
        changed, _models = SettledStep.objects.filter(step=step).delete()
        return _told(request, step, undone=True, changed=changed)
    _row, made = SettledStep.objects.get_or_create(step=step, defaults={"settled_by_id": request.user.pk})
    return _told(request, step, undo=reverse("settle_step", args=[pk, UNDO]), changed=made)


@page(*_NEEDED, "view_performedprocedurestep")
@require_POST
def settle_report(request: HttpRequest, pk: int, action: str) -> HttpResponse:
    """Note that somebody has looked at a report that is not about the entry it names, or take that back."""
    report = get_object_or_404(PerformedProcedureStep, pk=pk)
    reports = PerformedProcedureStep.objects.filter(pk=pk)
    if action == UNDO:
        return _told(request, report, undone=True, changed=reports.reopen())
    return _told(request, report, undo=reverse("settle_report", args=[pk, UNDO]), changed=reports.settle(request.user))


def _told(request: HttpRequest, what: Model, *, changed: int, undone: bool = False, undo: str = "") -> HttpResponse:
    text = _("It is to be looked at again.") if undone else _("Noted that you have looked at it.")
    if changed:
        note_change(request, what, _("To be looked at again.") if undone else _("Looked at."))
    return list_again(request, {"text": text, "undo": undo})
