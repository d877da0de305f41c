"""What a modality's data set says, for the columns of its row and for the people who read it."""

from __future__ import annotations

import datetime
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from django.core.exceptions import ValidationError
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from mwl_admin import validators
from mwl_admin.mpps.dataset import DataSet, name_text
from mwl_admin.mpps.mpps_attributes import tag

_TIME = re.compile(r"(\d{2}):?(\d{2})?:?(\d{2})?(?:\.(\d{1,6}))?")
_DATE = re.compile(r"(\d{4})[.]?(\d{2})[.]?(\d{2})")  # with dots: as ACR-NEMA wrote it, and old devices still do

_DOSE = (
    ("TotalTimeOfFluoroscopy", _("Total time of fluoroscopy"), "s"),
    ("TotalNumberOfExposures", _("Exposures"), ""),
    ("ImageAndFluoroscopyAreaDoseProduct", _("Dose area product"), "dGy·cm²"),
    ("EntranceDoseInmGy", _("Entrance dose"), "mGy"),
    ("EntranceDose", _("Entrance dose"), "dGy"),
    ("ExposedArea", _("Exposed area"), "mm"),
    ("DistanceSourceToDetector", _("Distance source to detector"), "mm"),
    ("DistanceSourceToEntrance", _("Distance source to entrance"), "mm"),
    ("CommentsOnRadiationDose", _("Comments"), ""),
)
_EXPOSURE = (
    ("KVP", "kV"),
    ("ExposureTime", "ms"),
    ("XRayTubeCurrentInuA", "µA"),
    ("CTDIvol", "mGy CTDIvol"),
)


def element(ds: DataSet, keyword: str) -> dict[str, Any] | None:
    """Return an element, or None when it is absent."""
    found: dict[str, Any] | None = ds.get(f"{tag(keyword):08X}")
    return found


def text(ds: DataSet, keyword: str) -> str:
    """Return an element's value as text, several values separated by backslashes; empty when it has none."""
    values = (element(ds, keyword) or {}).get("Value", [])
    parts = (name_text(value) if isinstance(value, dict) else "" if value is None else str(value) for value in values)
    return "\\".join(parts).strip()


def items(ds: DataSet, keyword: str) -> list[DataSet]:
    """Return the items of a sequence that hold anything."""
    found = element(ds, keyword) or {}
    return [item for item in found.get("Value", []) if item] if found.get("vr") == "SQ" else []


def date(ds: DataSet, keyword: str) -> datetime.date | None:
    """Return a date; None when there is none, or none that can be read."""
    match = _DATE.fullmatch(text(ds, keyword))
    try:
        return datetime.date(*map(int, match.groups())) if match else None
    except ValueError:
        return None


def time(ds: DataSet, keyword: str) -> datetime.time | None:
    """Return a time; None when there is none, or none that can be read."""
    match = _TIME.fullmatch(text(ds, keyword))
    if match is None:
        return None
    hour, minute, second, fraction = match.groups(default="0")
    try:
        # A leap second is told as the last one before it.
        return datetime.time(int(hour), int(minute), min(int(second), 59), int(fraction.ljust(6, "0")))
    except ValueError:
        return None


def code(item: DataSet) -> str:
    """Return a coded entry as people read it: its meaning, or else its value."""
    value = text(item, "CodeValue") or text(item, "LongCodeValue") or text(item, "URNCodeValue")
    scheme = text(item, "CodingSchemeDesignator")
    written = " ".join(filter(None, (value, scheme)))
    meaning = text(item, "CodeMeaning")
    return f"{meaning} ({written})" if meaning and written else meaning or written


def codes(ds: DataSet, keyword: str) -> str:
    """Return all coded entries of a sequence."""
    return ", ".join(filter(None, (code(item) for item in items(ds, keyword))))


@dataclass(frozen=True, slots=True)
class Series:
    """A performed series (PS3.3 §C.4.15). ``instances``: images and other composite instances."""

    series_instance_uid: str
    protocol: str
    description: str
    performing_physician: str
    operators: str
    instances: int
    retrieve_ae_title: str


def series(ds: DataSet) -> list[Series]:
    """Return the series that were reported."""
    return [
        Series(
            series_instance_uid=text(item, "SeriesInstanceUID"),
            protocol=text(item, "ProtocolName"),
            description=text(item, "SeriesDescription"),
            performing_physician=text(item, "PerformingPhysicianName"),
            operators=text(item, "OperatorsName"),
            instances=len(items(item, "ReferencedImageSequence"))
            + len(items(item, "ReferencedNonImageCompositeSOPInstanceSequence")),
            retrieve_ae_title=text(item, "RetrieveAETitle"),
        )
        for item in items(ds, "PerformedSeriesSequence")
    ]


def protocol(ds: DataSet) -> str:
    """Return the protocols: names from the series, or else the codes."""
    names = dict.fromkeys(entry.protocol for entry in series(ds) if entry.protocol)
    return ", ".join(names) or codes(ds, "PerformedProtocolCodeSequence")


def dose(ds: DataSet) -> Iterator[tuple[str, str]]:
    """Yield what was reported of the radiation dose, as name and value with its unit (PS3.3 §C.4.16)."""
    for keyword, name, unit in _DOSE:
        value = text(ds, keyword).replace("\\", " × ")
        if value:
            yield str(name), f"{value} {unit}".rstrip()
    for number, exposure in enumerate(items(ds, "ExposureDoseSequence"), start=1):
        parts = [f"{value} {unit}" for keyword, unit in _EXPOSURE if (value := text(exposure, keyword))]
        if parts:
            yield gettext("Exposure %(number)d") % {"number": number}, ", ".join(parts)


def columns(ds: DataSet) -> dict[str, Any]:
    """Return what the row of a performed procedure step keeps beside the data set. A value no column takes is empty."""
    step = next(iter(items(ds, "ScheduledStepAttributesSequence")), {})
    reported = series(ds)
    return {
        "performed_procedure_step_status": text(ds, "PerformedProcedureStepStatus"),
        "performed_procedure_step_id": _legal(validators.validate_short_string, text(ds, "PerformedProcedureStepID")),
        "performed_station_ae_title": legal_ae_title(text(ds, "PerformedStationAETitle")),
        "modality": _legal(validators.validate_code_string, text(ds, "Modality")),
        "study_instance_uid": _legal(validators.validate_uid_of_device, text(step, "StudyInstanceUID")),
        "accession_number": _legal(validators.validate_short_string, text(step, "AccessionNumber")),
        "patient_id": _legal(validators.validate_long_string, text(ds, "PatientID")),
        "patient_name": _legal(validators.validate_person_name, text(ds, "PatientName")),
        "performed_start_date": date(ds, "PerformedProcedureStepStartDate"),
        "performed_start_time": time(ds, "PerformedProcedureStepStartTime"),
        "performed_end_date": date(ds, "PerformedProcedureStepEndDate"),
        "performed_end_time": time(ds, "PerformedProcedureStepEndTime"),
        "protocol": printable(protocol(ds))[:255],
        "series_count": len(reported),
        "instance_count": sum(entry.instances for entry in reported),
    }


def legal_ae_title(value: str) -> str:
    """Return an AE title, or nothing when it is none: peers call themselves what they like."""
    return _legal(validators.validate_ae_title, value)


def printable(value: str) -> str:
    return "".join(sign if sign.isprintable() else " " for sign in value)


def _legal(check: validators.Validator, value: str) -> str:
    # The whole value stays in the data set; a column that is searched holds a value of its VR or none.
    try:
        check(value)
    except ValidationError:
        return ""
    return value
