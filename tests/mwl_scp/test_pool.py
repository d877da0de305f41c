"""Connections to PostgreSQL: warm from one association to the next, held only while a query runs."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import psycopg
import pytest
from pynetdicom.sop_class import ModalityWorklistInformationFind  # type: ignore[attr-defined]

from tests.mwl_scp.conftest import ROOT, Provider, start_provider
from tests.mwl_scp.scu import association, find
from tests.pace import Stopwatch
from tests.postgres import PostgresServer
from tests.security.associations import TEMPORARY_CONGESTION, asked
from tests.waiting import wait_until
from tests.worklist.queries import identifier

ASSOCIATIONS = 30
"""More than the pool has connections."""


@pytest.fixture
def provider(postgres_url: str, tmp_path: Path) -> Iterator[Provider]:
    environment = {**os.environ, "DATABASE_URL": postgres_url, "DATA_DIR": str(tmp_path / "var")}
    subprocess.run([sys.executable, "manage.py", "migrate", "-v", "0"], cwd=ROOT, env=environment, check=True)
    running = start_provider(tmp_path, postgres_url, MWL_RECORD_QUERIES="0")
    yield running
    assert running.stop() == 0, running.log_text()


def backends(url: str) -> set[int]:
    """The server's processes that serve the database, but for the one that is asked."""
    with psycopg.connect(url) as connection:
        rows = connection.execute(
            "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
            " AND backend_type = 'client backend'"
        ).fetchall()
    return {pid for (pid,) in rows}


def test_associations_one_after_the_other_share_a_connection(provider: Provider, postgres_url: str) -> None:
    assert find(provider.port, identifier(PatientName="")).final == 0
    first = backends(postgres_url)
    for _ in range(5):
        assert find(provider.port, identifier(PatientName="")).final == 0
    assert first <= backends(postgres_url)
    assert len(backends(postgres_url)) < 5


def test_an_association_that_is_idle_holds_no_connection(provider: Provider, postgres_url: str) -> None:
    with ExitStack() as stack:
        for number in range(ASSOCIATIONS):
            opened = stack.enter_context(association(provider.port, calling=f"CT{number}"))
            statuses = [
                status.Status
                for status, _ in opened.send_c_find(identifier(PatientName=""), ModalityWorklistInformationFind)
            ]
            assert statuses == [0]
        assert len(backends(postgres_url)) < ASSOCIATIONS / 2


def test_while_the_database_is_away_associations_go_on_and_new_ones_are_told_to_try_again(
    provider: Provider, postgres_server: PostgresServer
) -> None:
    with association(provider.port) as opened:
        postgres_server.stop()
        try:
            watch = Stopwatch()
            for _ in range(20):
                assert opened.send_c_echo().Status == 0
            assert watch.is_below(10)
            wait_until(lambda: "callers could not be recorded" in provider.log_text(), what="the outage is told")
            asked_now = opened.send_c_find(identifier(PatientName=""), ModalityWorklistInformationFind)
            assert [status.Status for status, _ in asked_now] == [0xA700]
            assert asked(provider.port, "CT1") == TEMPORARY_CONGESTION
        finally:
            postgres_server.start()
    wait_until(lambda: asked(provider.port, "CT1") is None, timeout=60, what="associations are accepted again")
    assert find(provider.port, identifier(PatientName="")).final == 0
