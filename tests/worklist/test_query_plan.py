"""A query is one statement that an index serves, on either database, however long the list is."""

from __future__ import annotations

import pytest
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext

from benchmarks.worklist_data import fill
from dicom_encoding.syntaxes import EXPLICIT_LITTLE
from mwl_admin.models import ScheduledProcedureStep
from mwl_admin.worklist.directory import Directory
from mwl_admin.worklist.identifier import Identifier
from mwl_admin.worklist.policy import Policy
from mwl_admin.worklist.query import prepare
from tests.factory import DAY
from tests.worklist.queries import NOON, identifier, parsed, query

ENTRIES = 60_000
STEP = ScheduledProcedureStep._meta.db_table

Keys = tuple[dict[str, str], dict[str, str]]


@pytest.fixture(scope="module")
def long_list(database: str) -> None:
    fill(ENTRIES, DAY)
    with connection.cursor() as cursor:
        # PostgreSQL's autovacuum would do this within a minute; SQLite never has statistics.
        if connection.vendor == "postgresql":
            cursor.execute("ANALYZE")


def plan_of(keys: dict[str, str], step: dict[str, str], caller: str = "WORKSTATION") -> str:
    asked = query(identifier(step=step, **keys), caller=caller)
    return asked.rows()[: asked.maximum + 1].explain()


QUERIES: dict[str, Keys] = {
    "one day": ({}, {"ScheduledProcedureStepStartDate": "20260504"}),
    "one day, one modality": ({}, {"ScheduledProcedureStepStartDate": "20260504", "Modality": "CT"}),
    "one day, one station": ({}, {"ScheduledProcedureStepStartDate": "20260504", "ScheduledStationAETitle": "CT1"}),
    "days": ({}, {"ScheduledProcedureStepStartDate": "20260503-20260505"}),
    "one span": (
        {},
        {
            "ScheduledProcedureStepStartDate": "20260503-20260505",
            "ScheduledProcedureStepStartTime": "1200-0900",
        },
    ),
    "patient ID": ({"PatientID": "P777"}, {}),
    "accession number": ({"AccessionNumber": "A777"}, {}),
    "requested procedure ID": ({"RequestedProcedureID": "R777"}, {}),
    "study": ({"StudyInstanceUID": "2.25.1000000000000000000777"}, {}),
    "step ID": ({}, {"ScheduledProcedureStepID": "S777"}),
    "name": ({"PatientName": "DOE777^JANE777"}, {}),
    "beginning of a name": ({"PatientName": "DOE777^JANE77*"}, {}),
    "name on a day": ({"PatientName": "D*"}, {"ScheduledProcedureStepStartDate": "20260504"}),
}


@pytest.mark.parametrize("keys", QUERIES.values(), ids=QUERIES.keys())
def test_an_index_leads_to_the_entries(long_list: None, keys: Keys) -> None:
    plan = plan_of(*keys)
    if connection.vendor == "sqlite":
        assert f"SCAN {STEP}" not in plan
        assert "SCAN mwl_admin_patient" not in plan
        assert "SCAN mwl_admin_requestedprocedure" not in plan
    else:
        assert "Seq Scan on mwl_admin_scheduledprocedurestep " not in plan
        assert "Seq Scan on mwl_admin_patient" not in plan
        assert "Seq Scan on mwl_admin_requestedprocedure" not in plan


@pytest.mark.parametrize("keys", [({}, {}), ({}, {"Modality": "CT"})], ids=["everything", "a modality"])
def test_an_undated_query_streams_along_the_order_of_the_list(long_list: None, keys: Keys) -> None:
    plan = plan_of(*keys)
    if connection.vendor == "sqlite":
        assert f"SCAN {STEP} USING INDEX step_start" in plan
        assert "TEMP B-TREE" not in plan
    else:
        assert "step_start" in plan
        assert "Seq Scan on mwl_admin_scheduledprocedurestep " not in plan


def test_a_query_is_one_statement_beside_the_list_of_stations(long_list: None) -> None:
    asked = parsed(identifier(step={"ScheduledProcedureStepStartDate": "20260504"}, PatientName="D*"), EXPLICIT_LITTLE)
    with CaptureQueriesContext(connection) as captured:
        found = list(prepare(asked, "CT1", EXPLICIT_LITTLE, Policy(), now=NOON).run())
    statements = [one["sql"] for one in captured if one["sql"].startswith(("SELECT", "DECLARE"))]
    assert len(found) == 50
    assert len(statements) == 2
    assert statements[0].startswith('SELECT "mwl_admin_station"')


def test_rows_are_read_as_they_are_sent(long_list: None) -> None:
    run = prepare(Identifier(), "X", EXPLICIT_LITTLE, Policy(maximum_matches=ENTRIES), now=NOON).run()
    next(run)
    run.close()
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")
        assert cursor.fetchone() == (1,)
    # Nothing is left open by a list that was not read to its end: neither a cursor nor a transaction.
    assert not connection.in_atomic_block
    with transaction.atomic():
        assert len(Directory.read().stations) == 1
