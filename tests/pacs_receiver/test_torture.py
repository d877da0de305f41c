"""What was acknowledged survives: the short form of tests/pacs_receiver/torture.py."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.pacs_receiver import torture
from tests.pacs_receiver.process import ReceiverProcess
from tests.postgres import PostgresServer

KILLS = int(os.environ.get("TORTURE_KILLS", "5"))

pytestmark = [pytest.mark.slow, pytest.mark.timeout(60 + 20 * KILLS)]


@pytest.fixture
def receiver(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[ReceiverProcess]:
    process = ReceiverProcess(tmp_path / "var")
    yield process
    if process.process is not None:
        process.kill()


def test_nothing_acknowledged_is_lost_when_the_receiver_is_killed(receiver: ReceiverProcess, database_url: str) -> None:
    receiver.settings = {"PACS_DATABASE_URL": database_url}
    figures = torture.kill_under_load(receiver, KILLS)
    assert figures.is_flawless, figures


def test_nothing_acknowledged_is_lost_when_a_worker_is_killed(receiver: ReceiverProcess) -> None:
    figures = torture.kill_workers_under_load(receiver, KILLS)
    assert figures.is_flawless, figures


def test_nothing_acknowledged_is_lost_when_the_database_server_is_killed(
    receiver: ReceiverProcess, postgres_server: PostgresServer, postgres_url: str
) -> None:
    receiver.settings = {"PACS_DATABASE_URL": postgres_url}
    figures = torture.kill_database_under_load(receiver, postgres_server, 2)
    assert figures.is_flawless, figures
