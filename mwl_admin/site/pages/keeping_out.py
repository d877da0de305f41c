"""Staff's answer to a caller that is to stay unknown: it is kept out, until that is taken back."""

from __future__ import annotations

from django.db import transaction
from django.http import HttpRequest, HttpResponse, HttpResponseBadRequest
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST

from mwl_admin.devices.observed_calls import is_legal
from mwl_admin.models import Enrolment, KeptOut, Station
from mwl_admin.site.pages import stations
from mwl_admin.site.pages.audit import note_change
from mwl_admin.site.pages.page import page


@page("view_station", "change_station")
@require_POST
def keep_out(request: HttpRequest) -> HttpResponse:
    """Keep an AE title out of both services, and show the stations again."""
    ae_title = request.POST.get("ae_title", "").strip(" ")
    if not is_legal(ae_title):
        return HttpResponseBadRequest(_("This is no AE title."))
    if Station.objects.filter(ae_title=ae_title).exists():
        return HttpResponseBadRequest(_("This is a station: switch it off on its page."))
    with transaction.atomic():
        row, made = KeptOut.objects.get_or_create(ae_title=ae_title, defaults={"kept_out_by_id": request.user.pk})
        Enrolment.objects.filter(ae_title=ae_title).delete()
        if made:
            note_change(request, row, _("Kept out."))
    return stations.shown(request)


@page("view_station", "change_station")
@require_POST
def stop_keeping_out(request: HttpRequest) -> HttpResponse:
    """Take that back: the AE title is as unknown as any other, and show the stations again."""
    with transaction.atomic():
        for row in KeptOut.objects.filter(ae_title=request.POST.get("ae_title", "").strip(" ")):
            note_change(request, row, _("No longer kept out."))
            row.delete()
    return stations.shown(request)
