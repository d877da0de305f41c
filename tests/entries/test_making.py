"""One rule makes orders and steps: form, web API, files of rows and the synthetic day give the same defaults."""

from __future__ import annotations

import csv
import datetime
import io
import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.contrib.auth import get_user_model
from django.test import Client
from pytest_django.plugin import DjangoDbBlocker

from mwl_admin.entries import making
from mwl_admin.entries.tables.files import read
from mwl_admin.entries.tables.rows import import_table
from mwl_admin.models import (
    APIClient,
    Patient,
    Procedure,
    ProtocolCode,
    RequestedProcedure,
    ScheduledProcedureStep,
    Sequence,
    Station,
)
from simulator import department
from tests.api.conftest import caller
from tests.factory import make_code, make_procedure, make_station
from tests.mwl_admin.pages import add_entry

DAY = datetime.date(2026, 5, 4)
PROCEDURE = ("CT", "CT thorax", 15, ("Thorax low dose",))
MODELS = (ScheduledProcedureStep, RequestedProcedure, Patient, Procedure, ProtocolCode, Station, APIClient, Sequence)


@pytest.fixture(autouse=True)
def catalogue(database: str, django_db_blocker: DjangoDbBlocker) -> Iterator[Procedure]:
    """One procedure with a usual station and a protocol; nothing else."""
    with django_db_blocker.unblock():
        protocol = make_code(
            code_value="CT01P1", coding_scheme_designator=department.SCHEME, code_meaning="Thorax low dose"
        )
        made = make_procedure(
            code_value="CT01", coding_scheme_designator=department.SCHEME, code_meaning="CT thorax",
            usual_station=make_station(),
        )  # fmt: skip
        made.protocol_codes.add(protocol)
        make_station("CT2")
        yield made
        for model in (*MODELS, get_user_model()):
            model._default_manager.all().delete()


def by_form(station: str = "") -> None:
    browser = Client()
    browser.force_login(get_user_model().objects.create_superuser("anna"))
    step = {"step_scheduled_date": "2026-05-04", "step_scheduled_time": "08:00"}
    if station:
        step["step_stations"] = str(Station.objects.get(ae_title=station).pk)
    patient = {"new_patient_id": "P-1", "new_family_name": "Doe"}
    answer = add_entry(browser, **patient, procedure=Procedure.objects.get().pk, **step)
    assert answer.status_code == 302


def by_api(station: str = "") -> None:
    step: dict[str, Any] = {
        "ScheduledProcedureStepStartDate": "20260504", "ScheduledProcedureStepStartTime": "0800"
    }  # fmt: skip
    if station:
        step["ScheduledStationAETitle"] = [station]
    code = {"CodeValue": "CT01", "CodingSchemeDesignator": department.SCHEME, "CodeMeaning": "CT thorax"}
    entry = {
        "PatientID": "P-1",
        "PatientName": "Doe",
        "RequestedProcedureCodeSequence": [code],
        "ScheduledProcedureStepSequence": [step],
    }
    assert caller().post("/api/worklist/", entry).status_code == 201


def by_import(station: str = "") -> None:
    # A row must say which entry it is; the number is one that could have been made.
    row = {
        "Accession number": "A00000777",
        "Patient ID": "P-1",
        "Family name": "Doe",
        "Procedure": "CT thorax",
        "Date": "2026-05-04",
        "Time": "08:00",
        "Stations": station,
    }
    out = io.StringIO(newline="")
    writer = csv.writer(out)
    writer.writerows((row.keys(), row.values()))
    report = import_table(read(out.getvalue().encode()))
    assert report.applied, [row.problems for row in report.rows]


def by_demo(station: str = "CT1") -> None:
    department.make_day(DAY, [station], 1)


Route = Callable[..., None]
ROUTES: tuple[Route, ...] = (by_form, by_api, by_import, by_demo)


@pytest.fixture
def only_procedure(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the synthetic day's catalogue be the one of these tests."""
    monkeypatch.setattr(department, "CATALOGUE", (PROCEDURE,))
    monkeypatch.setattr(department, "STATIONS", {"CT1": ("CT", "", ""), "CT2": ("CT", "", "")})


def made() -> dict[str, Any]:
    """Return what the entry that is there has of its order and step, where nobody gave it; IDs by their form."""
    step = ScheduledProcedureStep.objects.get()
    order = step.requested_procedure
    return {
        "order": order.requested_procedure_description,
        "code": (order.code_value, order.coding_scheme_designator, order.coding_scheme_version, order.code_meaning),
        "procedure": order.procedure.name if order.procedure else "",
        "modality": step.modality,
        "description": step.scheduled_procedure_step_description,
        "status": step.status,
        "start": (step.scheduled_date, step.scheduled_time),
        "stations": [*step.stations.values_list("ae_title", flat=True)],
        "protocols": [*step.protocol_codes.values_list("code_value", flat=True)],
        "ids": [
            re.sub(r"[0-9]", "9", identifier)
            for identifier in (
                order.accession_number,
                order.requested_procedure_id,
                step.scheduled_procedure_step_id,
                order.study_instance_uid[:5],
            )
        ],
    }


@pytest.mark.usefixtures("only_procedure")
@pytest.mark.parametrize("route", ROUTES)
def test_each_route_gives_an_entry_what_the_catalogue_says(route: Route) -> None:
    route()
    assert made() == {
        "order": "CT thorax",
        "code": ("CT01", department.SCHEME, "", "CT thorax"),
        "procedure": "CT thorax",
        "modality": "CT",
        "description": "CT thorax",
        "status": "SCHEDULED",
        "start": (DAY, datetime.time(8)),
        "stations": ["CT1"],
        "protocols": ["CT01P1"],
        "ids": ["A99999999", "R99999999", "S99999999", "9.99."],
    }


@pytest.mark.usefixtures("only_procedure")
@pytest.mark.parametrize("route", ROUTES)
def test_a_station_that_is_given_stays_alone_whichever_route_gives_it(route: Route) -> None:
    route("CT2")
    assert made()["stations"] == ["CT2"]
    assert (made()["modality"], made()["protocols"]) == ("CT", ["CT01P1"])


@pytest.mark.usefixtures("only_procedure")
@pytest.mark.parametrize("route", ROUTES)
def test_each_route_goes_by_the_one_rule(route: Route, monkeypatch: pytest.MonkeyPatch) -> None:
    other = make_code(code_value="X", coding_scheme_designator="99L", code_meaning="by the rule")
    monkeypatch.setattr(making, "usual_description", lambda procedure: "by the rule")
    monkeypatch.setattr(making, "usual_station", lambda order, modality: None)
    monkeypatch.setattr(making, "usual_protocols", lambda order: ProtocolCode.objects.filter(pk=other.pk))
    route()
    told = made()
    assert (told["order"], told["description"], told["protocols"]) == ("by the rule", "by the rule", ["X"])


@pytest.mark.usefixtures("only_procedure")
@pytest.mark.parametrize("route", ROUTES)
def test_each_route_takes_the_modality_from_the_one_rule(route: Route, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(making, "usual_modality", lambda procedure, stations: "OT")
    route("CT2")
    assert made()["modality"] == "OT"
