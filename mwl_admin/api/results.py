"""What became of an entry: reasons, what modalities reported through MPPS, and what the image receiver told of."""

from __future__ import annotations

import datetime
import math
from collections.abc import Iterable, Iterator
from typing import Any

from django.db.models import QuerySet
from django.utils import timezone

from mwl_admin.models import (
    PerformedProcedureStep,
    ReceivedStudy,
    RequestedProcedure,
    ScheduledProcedureStep,
    StepStatus,
)
from mwl_admin.models.status import ENDED
from mwl_admin.mpps import report
from mwl_admin.mpps.dataset import DataSet

DOSE = (
    "TotalTimeOfFluoroscopy",
    "TotalNumberOfExposures",
    "DistanceSourceToDetector",
    "DistanceSourceToEntrance",
    "EntranceDose",
    "EntranceDoseInmGy",
    "ImageAndFluoroscopyAreaDoseProduct",
)
"""What PS3.3 §C.4.16 tells of a step's radiation, one number each; in the units of the standard."""
EXPOSURE = ("KVP", "ExposureTime", "XRayTubeCurrentInuA", "CTDIvol")
"""What it tells of one exposure or scan."""
SERIES = ("SeriesInstanceUID", "ProtocolName", "SeriesDescription", "PerformingPhysicianName", "OperatorsName")
CODE = ("CodeValue", "CodingSchemeDesignator", "CodeMeaning")
MAX_REPORTS = 100
"""How many reports of one entry are told, the last ones: each is read whole."""


def results(order: RequestedProcedure, steps: QuerySet[ScheduledProcedureStep]) -> dict[str, Any]:
    """Return what became of those ``steps`` of an entry: by keywords of the dictionary where it has them."""
    rows = list(steps.filter(requested_procedure=order).select_related("downtime_record").order_by("pk"))
    return {
        "AccessionNumber": order.accession_number,
        "StudyInstanceUID": order.study_instance_uid,
        "steps": [_step(step) for step in rows],
        "performed": [_performed(performed, rows) for performed in _reports(rows)],
        "images": [_study(study) for study in order.received_studies.order_by("first_arrival_at", "pk")],
    }


def _step(step: ScheduledProcedureStep) -> dict[str, Any]:
    return _given(
        done_in_downtime=_done_in_downtime(step),
        ScheduledProcedureStepID=step.scheduled_procedure_step_id,
        ScheduledProcedureStepStatus=step.status,
        Modality=step.modality,
        ReasonForCancellation=step.status_reason if step.status in ENDED else "",
    )


def _done_in_downtime(step: ScheduledProcedureStep) -> dict[str, str]:
    """Return the times that staff entered after a downtime; none where the step is not completed by them."""
    record = getattr(step, "downtime_record", None)
    if record is None or step.status != StepStatus.COMPLETED:
        return {}
    start, end = timezone.localtime(record.performed_start_at), timezone.localtime(record.performed_end_at)
    return {
        "PerformedProcedureStepStartDate": _date(start.date()),
        "PerformedProcedureStepStartTime": _time(start.time()),
        "PerformedProcedureStepEndDate": _date(end.date()),
        "PerformedProcedureStepEndTime": _time(end.time()),
        "entered": timezone.localtime(record.updated_at).isoformat(),
    }


def _reports(steps: list[ScheduledProcedureStep]) -> list[PerformedProcedureStep]:
    reports = PerformedProcedureStep.objects.filter(scheduled_procedure_steps__in=steps).distinct()
    last = reports.order_by("-created_at", "-pk").prefetch_related("scheduled_procedure_steps", "disregarded_for")
    return list(last[:MAX_REPORTS])[::-1]


def _performed(performed: PerformedProcedureStep, steps: list[ScheduledProcedureStep]) -> dict[str, Any]:
    # Read here and forgotten: many at once would fill the memory.
    ds: DataSet = PerformedProcedureStep.objects.values_list("data_set", flat=True).get(pk=performed.pk)
    seen = {step.pk for step in steps}
    return _given(
        SOPInstanceUID=performed.sop_instance_uid,
        PerformedProcedureStepStatus=performed.performed_procedure_step_status,
        PerformedProcedureStepID=performed.performed_procedure_step_id,
        PerformedStationAETitle=performed.performed_station_ae_title,
        Modality=performed.modality,
        PerformedProcedureStepStartDate=_date(performed.performed_start_date),
        PerformedProcedureStepStartTime=_time(performed.performed_start_time),
        PerformedProcedureStepEndDate=_date(performed.performed_end_date),
        PerformedProcedureStepEndTime=_time(performed.performed_end_time),
        PerformedProcedureStepDescription=report.text(ds, "PerformedProcedureStepDescription"),
        CommentsOnThePerformedProcedureStep=report.text(ds, "CommentsOnThePerformedProcedureStep"),
        PerformedProcedureStepDiscontinuationReasonCodeSequence=[
            _texts(item, CODE) for item in report.items(ds, "PerformedProcedureStepDiscontinuationReasonCodeSequence")
        ],
        PerformedSeriesSequence=list(_series(ds)),
        dose=_dose(ds),
        steps=_ids(performed.scheduled_procedure_steps.all(), seen),
        disregarded_for=_ids(performed.disregarded_for.all(), seen),
    )


def _ids(steps: Iterable[ScheduledProcedureStep], seen: set[int]) -> list[str]:
    return sorted(step.scheduled_procedure_step_id for step in steps if step.pk in seen)


def _series(ds: DataSet) -> Iterator[dict[str, Any]]:
    for item, series in zip(report.items(ds, "PerformedSeriesSequence"), report.series(ds), strict=True):
        told = _texts(item, (*SERIES, "RetrieveAETitle"))
        yield {**told, "NumberOfSeriesRelatedInstances": series.instances}


def _dose(ds: DataSet) -> dict[str, Any]:
    exposures = [_numbers(item, EXPOSURE) for item in report.items(ds, "ExposureDoseSequence")]
    return {
        **_numbers(ds, DOSE),
        **_given(
            ExposedArea=[
                number for value in report.text(ds, "ExposedArea").split("\\") if (number := _number(value)) is not None
            ],
            CommentsOnRadiationDose=report.text(ds, "CommentsOnRadiationDose"),
            ExposureDoseSequence=exposures,
        ),
    }


def _study(study: ReceivedStudy) -> dict[str, Any]:
    return {
        "StudyInstanceUID": study.study_instance_uid,
        "ModalitiesInStudy": [str(modality) for modality in study.modalities],
        "NumberOfStudyRelatedSeries": study.series_count,
        "NumberOfStudyRelatedInstances": study.instance_count,
        "senders": [str(title) for title in study.senders],
        "first_arrival": timezone.localtime(study.first_arrival_at).isoformat(),
        "last_arrival": timezone.localtime(study.last_arrival_at).isoformat(),
        "announced": timezone.localtime(study.announced_at).isoformat(),
        "of_another_patient": ReceivedStudy.objects.filter(pk=study.pk).mixed_up().exists(),
    }


def _given(**values: Any) -> dict[str, Any]:
    """Return what says anything."""
    return {name: value for name, value in values.items() if value not in ("", None, [], {})}


def _texts(ds: DataSet, keywords: Iterable[str]) -> dict[str, Any]:
    return _given(**{keyword: report.text(ds, keyword) for keyword in keywords})


def _numbers(ds: DataSet, keywords: Iterable[str]) -> dict[str, int | float]:
    found = {keyword: _number(report.text(ds, keyword)) for keyword in keywords}
    return {keyword: number for keyword, number in found.items() if number is not None}


def _number(value: Any) -> int | float | None:
    """Return a number; None for what is none, which stays in the report that the site shows."""
    try:
        number = float(str(value))
    except ValueError:
        return None
    if not math.isfinite(number):
        return None
    return int(number) if number.is_integer() else number


def _date(value: datetime.date | None) -> str:
    return f"{value:%Y%m%d}" if value and value.year >= 1000 else ""


def _time(value: datetime.time | None) -> str:
    return f"{value:%H%M%S}" if value else ""
