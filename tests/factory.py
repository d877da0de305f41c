"""Rows of the worklist: patients, stations, the catalogue, requested procedures and steps. All of them are invented.

Each function makes one row that is complete with its defaults; a test names what it is about. What several tests know
by name stands in ``tests/cast.py``.
"""

from __future__ import annotations

import datetime
import re
from collections.abc import Iterable, Mapping
from typing import Any

from mwl_admin.models import Patient, Procedure, ProtocolCode, RequestedProcedure, ScheduledProcedureStep, Station

DAY = datetime.date(2026, 5, 4)
TIME = datetime.time(10, 30)


def make_patient(**values: Any) -> Patient:
    """Make Änne Müller, P-1001, or whom the values name."""
    defaults = {"patient_id": "P-1001", "family_name": "Müller", "given_name": "Änne"}
    return Patient.objects.create(**{**defaults, **values})


def make_stranger(**values: Any) -> Patient:
    """Make a patient who differs from all others: Doe, with a number of their own."""
    number = Patient.objects.count() + 1
    return Patient.objects.create(**{"patient_id": f"P{number:04d}", "family_name": "Doe", **values})


def make_station(ae_title: str = "CT1", modality: str = "CT", **values: Any) -> Station:
    """Make a station; `CT1` stands in `CT room 1`, a title of another form has no name."""
    room = re.fullmatch(r"([A-Z]+)(\d+)", ae_title)
    defaults = {"station_name": f"{room[1]} room {room[2]}" if room else ""}
    return Station.objects.create(ae_title=ae_title, modality=modality, **{**defaults, **values})


def make_code(code_value: str = "T1", **values: Any) -> ProtocolCode:
    """Make a protocol code of a private scheme."""
    defaults = {"coding_scheme_designator": "99X", "code_meaning": "Thorax"}
    return ProtocolCode.objects.create(code_value=code_value, **{**defaults, **values})


def make_procedure(**values: Any) -> Procedure:
    """Make an entry of the catalogue: CT thorax."""
    defaults = {
        "name": "CT thorax",
        "modality": "CT",
        "code_value": "169069000",
        "coding_scheme_designator": "SCT",
        "code_meaning": "CT of thorax",
    }
    return Procedure.objects.create(**{**defaults, **values})


def make_requested(patient: Patient | Mapping[str, Any] | None = None, **values: Any) -> RequestedProcedure:
    """Make a requested procedure of ``patient``: a row, the values of a stranger, or Änne Müller when not given."""
    if patient is None:
        patient = make_patient()
    elif not isinstance(patient, Patient):
        patient = make_stranger(**patient)
    return RequestedProcedure.objects.create(patient=patient, **values)


def make_step(
    requested: RequestedProcedure | Mapping[str, Any] | None = None,
    *,
    patient: Patient | Mapping[str, Any] | None = None,
    stations: Iterable[Station] = (),
    protocol_codes: Iterable[ProtocolCode] = (),
    **values: Any,
) -> ScheduledProcedureStep:
    """Make a step of ``requested``: a row, or values of a new one, whose patient is a stranger when not given."""
    if not isinstance(requested, RequestedProcedure):
        requested = make_requested({} if patient is None else patient, **(requested or {}))
    defaults = {"modality": "CT", "scheduled_date": DAY, "scheduled_time": TIME}
    step = ScheduledProcedureStep.objects.create(requested_procedure=requested, **{**defaults, **values})
    step.stations.set(stations)
    step.protocol_codes.set(protocol_codes)
    return step
