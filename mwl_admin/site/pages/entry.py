"""What helps while an entry is typed: duplicates, what the catalogue says, free times."""

import datetime

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import get_object_or_404
from django.utils import timezone
from django.utils.dateparse import parse_date
from django.utils.formats import get_format
from django.views.decorators.http import require_safe

from mwl_admin.entries import making
from mwl_admin.models import Procedure, Station
from mwl_admin.site import read_log, slots
from mwl_admin.site.pages.page import page, render
from mwl_admin.site.similar import probable_duplicates

STATIONS_OFFERED = 4


def parse_typed_date(text: str) -> datetime.date | None:
    """Return a date in any of the forms that the site takes, or None."""
    for form in [*get_format("DATE_INPUT_FORMATS"), "%Y-%m-%d"]:
        try:
            return datetime.datetime.strptime(text.strip(), form).date()  # noqa: DTZ007 - a date has no zone
        except ValueError:
            continue
    return None


@page("view_patient")
@require_safe
def similar_patients(request: HttpRequest) -> HttpResponse:
    """Show whom the person being entered may be already."""
    found = probable_duplicates(
        request.GET.get("family_name", ""),
        request.GET.get("given_name", ""),
        parse_typed_date(request.GET.get("birth_date", "")),
        request.GET.get("patient_id", ""),
    )
    read_log.note_all(request, "probable duplicates", map(read_log.identifier, found), again=True)
    return render(request, "similar.html", {"patients": found})


@page("view_procedure")
@require_safe
def procedure(request: HttpRequest, pk: int) -> HttpResponse:
    """Tell what the catalogue fills in."""
    found = get_object_or_404(Procedure.objects.select_related("usual_station"), pk=pk)
    station = found.usual_station
    return JsonResponse(
        {
            "description": making.usual_description(found),
            "modality": found.modality,
            "minutes": found.usual_minutes,
            "station": {"id": station.pk, "text": str(station)} if station else None,
        }
    )


@page("view_station", "view_scheduledprocedurestep")
@require_safe
def free_slots(request: HttpRequest) -> HttpResponse:
    """Show free times of the stations that were picked, or of those of the modality."""
    number = _number(request.GET.get("procedure"))
    chosen = Procedure.objects.filter(pk=number).first() if number is not None else None
    day = parse_typed_date(request.GET.get("date", "")) or parse_date(request.GET.get("date", "")[:10] or "-")
    picked = [number for text in request.GET.getlist("station") if (number := _number(text)) is not None]
    modality = request.GET.get("modality", "").strip().upper() or (chosen.modality if chosen else "")
    stations = Station.objects.modalities().filter(enabled=True)
    stations = stations.filter(pk__in=picked) if picked else stations.filter(modality=modality)
    minutes = chosen.usual_minutes if chosen else slots.DEFAULT_MINUTES
    now = timezone.localtime().replace(tzinfo=None)
    offered = (
        [(station, slots.free(station, day, minutes, now)) for station in stations[:STATIONS_OFFERED]] if day else []
    )
    return render(request, "slots.html", {"offered": offered, "minutes": minutes, "day": day})


def _number(text: str | None) -> int | None:
    return int(text) if text and text.isdecimal() and len(text) < 16 else None
