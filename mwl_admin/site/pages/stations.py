"""The state of each modality at a glance, and what it would get."""

import datetime
import io
import time
from dataclasses import dataclass
from typing import Any

from django.conf import settings
from django.db.models import OuterRef, QuerySet, Subquery
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST, require_safe
from pydicom import Dataset
from pydicom.filereader import read_dataset

from dicom_encoding.syntaxes import EXPLICIT_LITTLE
from mwl_admin.devices.echo import echo
from mwl_admin.models import PerformedProcedureStep, ReceivedStudy, Station, WorklistQuery
from mwl_admin.site import read_log
from mwl_admin.site.pages import callers
from mwl_admin.site.pages.keys import readable
from mwl_admin.site.pages.page import page, render
from mwl_admin.worklist.identifier import Identifier
from mwl_admin.worklist.jsonmodel import from_json
from mwl_admin.worklist.query import prepare
from mwl_admin.worklist.query_errors import QueryError

STUDIES_LOOKED_AT = 300
SHOWN = 200


@page("view_station")
@require_safe
def stations(request: HttpRequest) -> HttpResponse:
    """All stations, and those that call without being known, or are turned away."""
    return shown(request)


def shown(request: HttpRequest) -> HttpResponse:
    """Return the page as it is now."""
    context = {
        "stations": _with_last(Station.objects.order_by("ae_title")),
        "callers": callers.CallersToAnswer.now(),
        "images": last_images(),
    }
    return render(request, "stations.html", context, title=_("Stations"))


def _with_last(found: QuerySet[Station]) -> QuerySet[Any]:
    queries = WorklistQuery.objects.filter(calling_ae_title=OuterRef("ae_title")).order_by("-received_at")
    performed = PerformedProcedureStep.objects.filter(performed_station_ae_title=OuterRef("ae_title"))
    columns = {
        "query_pk": "pk",
        "query_at": "received_at",
        "query_address": "address",
        "query_milliseconds": "milliseconds",
        "query_matches": "matches",
        "query_status": "status",
    }
    return found.annotate(
        **{name: Subquery(queries.values(column)[:1]) for name, column in columns.items()},
        performed_pk=Subquery(performed.order_by("-created_at").values("pk")[:1]),
    )


def last_images() -> dict[str, ReceivedStudy]:
    """Return the study with the latest images by the AE title that sent them, as far as the receiver told lately."""
    found: dict[str, ReceivedStudy] = {}
    for study in ReceivedStudy.objects.order_by("-last_arrival_at")[:STUDIES_LOOKED_AT]:
        for sender in study.senders:
            found.setdefault(sender, study)
    return found


@dataclass(frozen=True, slots=True)
class Answered:
    """What a query gets: data sets as they would be sent, and how."""

    responses: list[Dataset]
    milliseconds: float
    truncated: bool
    warn: bool
    refused: str = ""


def ask(identifier: Identifier, ae_title: str, address: str = "") -> Answered:
    """Ask the worklist as a station would; nothing of it is recorded."""
    started = time.perf_counter()
    try:
        query = prepare(identifier, ae_title, EXPLICIT_LITTLE, settings.WORKLIST_POLICY, address=address)
        encoded = [match.identifier for match in query.run()]
    except QueryError as error:
        return Answered([], 0, truncated=False, warn=False, refused=error.comment)
    milliseconds = (time.perf_counter() - started) * 1000
    responses = [read_dataset(io.BytesIO(data), False, True) for data in encoded[:SHOWN]]
    return Answered(responses, milliseconds, query.truncated, query.warn)


def usual_keys(station: Station, day: datetime.date) -> dict[str, Any]:
    """Return the keys, as DICOM JSON, that most modalities send: their own steps of the day."""
    empty = {
        "00080050": "SH", "00080090": "PN", "00081110": "SQ", "00100010": "PN", "00100020": "LO", "00100030": "DA",
        "00100040": "CS", "00101030": "DS", "0020000D": "UI", "00321032": "PN", "00321060": "LO", "00401001": "SH",
        "00401003": "SH",
    }  # fmt: skip
    step = {"00400003": "TM", "00400006": "PN", "00400007": "LO", "00400008": "SQ", "00400009": "SH", "00400010": "SH"}
    item: dict[str, Any] = {tag: {"vr": vr} for tag, vr in step.items()}
    item |= {
        "00080060": {"vr": "CS", "Value": [station.modality]},
        "00400001": {"vr": "AE", "Value": [station.ae_title]},
        "00400002": {"vr": "DA", "Value": [f"{day:%Y%m%d}"]},
    }
    keys: dict[str, Any] = {tag: {"vr": vr} for tag, vr in empty.items()}
    return keys | {"00400100": {"vr": "SQ", "Value": [item]}}


@page("view_station", "view_scheduledprocedurestep", "view_patient")
@require_safe
def query_as_station(request: HttpRequest, pk: int) -> HttpResponse:
    """Show exactly what a station would get: for its last query, or for the usual one."""
    station = get_object_or_404(Station, pk=pk)
    last = (
        WorklistQuery.objects.filter(calling_ae_title=station.ae_title).filter(keys_cut=False).exclude(keys={}).first()
    )
    usual = "usual" in request.GET or last is None
    keys = usual_keys(station, timezone.localdate()) if usual or last is None else last.keys
    address = "" if usual or last is None else last.address or ""
    answered = ask(from_json(keys), station.ae_title, address)
    patients = (str(response.get("PatientID", "")) for response in answered.responses)
    read_log.note_all(request, "query as station", patients)
    context = {
        "station": station,
        "last": last,
        "usual": usual,
        "answered": answered,
        "responses": [(summary(response), str(response)) for response in answered.responses],
        "keys": readable(keys, whole="whole" in request.GET),
    }
    return render(
        request, "query_as_station.html", context, title=_("Query as %(station)s") % {"station": station.ae_title}
    )


def summary(response: Dataset) -> dict[str, str]:
    """Return what people look for in a response."""
    step = response.ScheduledProcedureStepSequence[0] if "ScheduledProcedureStepSequence" in response else Dataset()
    return {
        "name": str(response.get("PatientName", "")),
        "patient_id": str(response.get("PatientID", "")),
        "accession_number": str(response.get("AccessionNumber", "")),
        "start": f"{step.get('ScheduledProcedureStepStartDate', '')} {step.get('ScheduledProcedureStepStartTime', '')}",
        "description": str(step.get("ScheduledProcedureStepDescription", "")),
        "station": str(step.get("ScheduledStationAETitle", "")),
    }


@page("view_station")
@require_POST
def echo_station(request: HttpRequest, pk: int) -> HttpResponse:
    """Send C-ECHO to the station itself, and show whether and how fast it answers."""
    station = get_object_or_404(Station, pk=pk)
    return render(request, "echo.html", {"station": station, "echoed": echo(station)})
