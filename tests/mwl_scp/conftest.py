"""The real worklist provider, on a database that the tests fill."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from django.db import IntegrityError, connection, transaction

from mwl_admin.models import (
    Enrolment,
    KeptOut,
    Patient,
    ProtocolCode,
    RequestedProcedure,
    ScheduledProcedureStep,
    Station,
    UnknownCaller,
    WorklistDelivery,
    WorklistQuery,
)
from tests.databases import database
from tests.ports import free_port
from tests.waiting import wait_until

__all__ = ["database"]

ROOT = Path(__file__).parents[2]


@dataclass
class Provider:
    """A running `python -m mwl_scp`."""

    process: subprocess.Popen[bytes]
    port: int
    health_port: int
    log: Path

    ae_title = "MWL_SCP"

    def log_text(self) -> str:
        return self.log.read_text()

    def stop(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(30)


def start_provider(folder: Path, database_url: str, *, host: str = "127.0.0.1", **settings: str) -> Provider:
    """Start the provider, bound to ``host``, and wait until it accepts connections on loopback."""
    port, health_port, log = free_port(), free_port(), folder / "mwl_scp.log"
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith(("MWL_", "PACS_", "DJANGO_"))},
        "DATA_DIR": str(folder / "var"),
        "DATABASE_URL": database_url,
        "MWL_BIND": f"{host}:{port}",
        "MWL_HEALTH_BIND": f"127.0.0.1:{health_port}",
        "PYTHONWARNINGS": "error",
        **settings,
    }
    with log.open("wb") as out:
        process = subprocess.Popen([sys.executable, "-m", "mwl_scp"], cwd=ROOT, env=environment, stdout=out, stderr=out)
    provider = Provider(process, port, health_port, log)

    def listens() -> bool:
        if process.poll() is not None:
            raise RuntimeError(f"mwl_scp ended with status {process.returncode}: {log.read_text()[-2000:]}")
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", port)) == 0

    wait_until(listens, timeout=90, what="mwl_scp listens")
    return provider


@pytest.fixture(scope="module")
def provider(database: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Provider]:
    """A provider with default settings, which all tests of a module share."""
    running = start_provider(tmp_path_factory.mktemp("provider"), database)
    yield running
    assert running.stop() == 0, running.log_text()


@pytest.fixture(autouse=True)
def _empty(request: pytest.FixtureRequest) -> Iterator[None]:
    """Leave an empty worklist behind; the provider sees only what is committed."""
    yield
    if "database" in request.fixturenames:
        wait_until(_emptied, what="the worklist is empty")
        connection.close()


def _emptied() -> bool:
    try:
        with transaction.atomic():
            for model in _MODELS:
                model._base_manager.all().delete()
    except IntegrityError:
        return False  # the provider has just recorded what it delivered
    return True


_MODELS = (
    WorklistDelivery,
    WorklistQuery,
    ScheduledProcedureStep,
    RequestedProcedure,
    Patient,
    ProtocolCode,
    Station,
    UnknownCaller,
    Enrolment,
    KeptOut,
)
