"""A small cast, all invented: patients, stations, catalogue, entries."""

from datetime import date, time
from typing import Any

from mwl_admin.models import Patient, Procedure, RequestedProcedure, ScheduledProcedureStep, Station

DAY = date(2026, 5, 4)


def make_patient(**values: Any) -> Patient:
    defaults = {"patient_id": "P-1001", "family_name": "Müller", "given_name": "Änne"}
    return Patient.objects.create(**{**defaults, **values})


def make_station(**values: Any) -> Station:
    return Station.objects.create(**{"ae_title": "CT1", "station_name": "CT room 1", "modality": "CT", **values})


def make_procedure(**values: Any) -> Procedure:
    defaults = {
        "name": "CT thorax",
        "modality": "CT",
        "code_value": "169069000",
        "coding_scheme_designator": "SCT",
        "code_meaning": "CT of thorax",
    }
    return Procedure.objects.create(**{**defaults, **values})


def make_requested(patient: Patient | None = None, **values: Any) -> RequestedProcedure:
    return RequestedProcedure.objects.create(patient=patient or make_patient(), **values)


def make_step(requested: RequestedProcedure | None = None, **values: Any) -> ScheduledProcedureStep:
    defaults = {"modality": "CT", "scheduled_date": DAY, "scheduled_time": time(10, 30)}
    return ScheduledProcedureStep.objects.create(
        requested_procedure=requested or make_requested(), **{**defaults, **values}
    )
