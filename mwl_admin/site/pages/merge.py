"""Merging two patient records: pick the other one, see what moves, confirm."""

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.http import require_http_methods

from mwl_admin.entries import finding
from mwl_admin.exceptions import StaleError
from mwl_admin.models import Patient, RequestedProcedure
from mwl_admin.patients.merging import differences, merge
from mwl_admin.site import read_log
from mwl_admin.site.pages.audit import note_change
from mwl_admin.site.pages.page import page, render
from mwl_admin.site.similar import probable_duplicates


@page("merge_patient", "view_patient")
@require_http_methods(["GET", "HEAD", "POST"])
def merge_patients(request: HttpRequest, pk: int) -> HttpResponse:
    """Merge another record into the one with this key, which stays."""
    kept = get_object_or_404(Patient, pk=pk)
    other = _other(request, kept)
    if other is None:
        return _choose(request, kept)
    if request.method == "POST":
        return _merge(request, kept, other)
    entries = list(
        RequestedProcedure.objects.filter(patient=other).prefetch_related("scheduled_procedure_steps").order_by("-pk")
    )
    read_log.note_all(request, "merge", map(read_log.identifier, (kept, other)))
    context = {"kept": kept, "other": other, "differences": differences(kept, other), "entries": entries}
    return render(request, "merge_preview.html", context, title=_("Merge records"))


def _other(request: HttpRequest, kept: Patient) -> Patient | None:
    given = (request.POST if request.method == "POST" else request.GET).get("other", "")
    if not given.isdecimal() or len(given) > 16 or int(given) == kept.pk:
        return None
    return Patient.objects.filter(pk=int(given)).first()


def _choose(request: HttpRequest, kept: Patient) -> HttpResponse:
    text = request.GET.get("q", "").strip()
    if text:
        found = list(Patient.objects.filter(finding.patients(text)).exclude(pk=kept.pk)[:30])
    else:
        found = probable_duplicates(kept.family_name, kept.given_name, kept.patient_birth_date)
    read_log.note_all(request, "merge", map(read_log.identifier, (kept, *found)))
    context = {"kept": kept, "text": text, "found": [patient for patient in found if patient.pk != kept.pk]}
    return render(request, "merge_choose.html", context, title=_("Merge records"))


def _merge(request: HttpRequest, kept: Patient, other: Patient) -> HttpResponse:
    try:
        seen = (int(request.POST["kept_version"]), int(request.POST["other_version"]))
        moved = merge(kept, other, seen=seen, entries_seen=int(request.POST["entries"]))
    except (StaleError, KeyError, ValueError):
        messages.error(request, _("One of the records was changed meanwhile. Nothing has been merged: look again."))
        return redirect(f"{request.path}?other={other.pk}")
    note = ngettext(
        "Merged with patient ID %(id)s: %(n)d entry moved.",
        "Merged with patient ID %(id)s: %(n)d entries moved.",
        moved,
    )
    note_change(request, kept, note % {"id": other.patient_id, "n": moved})
    text = ngettext("Merged: %(n)d entry moved.", "Merged: %(n)d entries moved.", moved) % {"n": moved}
    messages.success(request, text)
    return redirect("admin:mwl_admin_patient_change", kept.pk)
