"""An update from a version that served strangers stops no department: who was served is noted, and asked about."""

from __future__ import annotations

import datetime
from collections.abc import Iterator
from typing import Any

import pytest
from django.apps.registry import Apps
from django.db import connection
from django.db.migrations.executor import MigrationExecutor
from django.utils import timezone

from mwl_admin.models import Enrolment, PerformedProcedureStep, Station, UnknownCaller, WorklistQuery
from tests.databases import database

__all__ = ["database"]

BEFORE = [("mwl_admin", "0014_first_password")]


def _migrate(targets: list[tuple[str, str]]) -> Apps:
    executor = MigrationExecutor(connection)
    executor.migrate(targets)
    return MigrationExecutor(connection).loader.project_state(targets).apps


def _latest() -> list[tuple[str, str]]:
    return [key for key in MigrationExecutor(connection).loader.graph.leaf_nodes() if key[0] == "mwl_admin"]


@pytest.fixture
def old(database: str) -> Iterator[Apps]:
    """The models of the version before, with their tables."""
    for model in (Enrolment, UnknownCaller, WorklistQuery, PerformedProcedureStep, Station):
        model._base_manager.all().delete()
    yield _migrate(BEFORE)
    _migrate(_latest())


def made(old: Apps, name: str, **values: Any) -> None:
    old.get_model("mwl_admin", name)._default_manager.create(**values)


def ago(days: float) -> datetime.datetime:
    return timezone.now() - datetime.timedelta(days=days)


def query(old: Apps, title: str, days: float, address: str | None = "192.0.2.7") -> None:
    made(old, "WorklistQuery", calling_ae_title=title, received_at=ago(days), address=address, status=0)


def test_who_was_served_lately_and_is_no_station_is_to_be_enrolled(old: Apps) -> None:
    made(old, "Station", ae_title="CT1", modality="CT")
    query(old, "CT1", 1)
    query(old, "CT2", 20, "192.0.2.1")
    query(old, "CT2 ", 2, "192.0.2.2")
    query(old, "LONG_AGO", 91)
    query(old, "JUST_YET", 89)
    made(old, "UnknownCaller", ae_title="ECHO", address="192.0.2.3", last_seen_at=ago(3), attempts=1)
    made(old, "UnknownCaller", ae_title="WRONG", last_seen_at=ago(3), rejected_because="no user identity", attempts=1)
    performed = {"performed_procedure_step_status": "COMPLETED", "data_set": {}}
    made(old, "PerformedProcedureStep", sop_instance_uid="2.25.1", calling_ae_title="MPPS_ONLY", **performed)
    made(old, "PerformedProcedureStep", sop_instance_uid="2.25.2", calling_ae_title="ECHO", **performed)
    made(old, "PerformedProcedureStep", sop_instance_uid="2.25.3", calling_ae_title="", **performed)
    _migrate(_latest())
    rows = Enrolment.objects.order_by("ae_title")
    assert [(row.service, row.ae_title, row.address) for row in rows] == [
        ("worklist", "CT2", "192.0.2.2"),
        ("worklist", "ECHO", "192.0.2.3"),
        ("worklist", "JUST_YET", "192.0.2.7"),
        ("worklist", "MPPS_ONLY", None),
    ]
    assert list(Enrolment.objects.waiting()) == list(rows)


def test_a_fresh_installation_has_nobody_to_ask_about(old: Apps) -> None:
    _migrate(_latest())
    assert not Enrolment.objects.exists()


def test_a_station_that_had_no_modality_is_kept_as_another_device(old: Apps) -> None:
    made(old, "Station", ae_title="CT1", modality="CT")
    made(old, "Station", ae_title="WS1", modality="")
    _migrate(_latest())
    assert dict(Station.objects.values_list("ae_title", "kind")) == {"CT1": "modality", "WS1": "other"}
