"""Identifiers full of rubbish: an answer each time, no text of ours in it, and the worker lives on."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO

import psutil
import pytest
from pynetdicom.association import Association
from pynetdicom.dimse_primitives import C_FIND

from dicom_encoding.syntaxes import EXPLICIT_LITTLE, IMPLICIT_LITTLE
from mwl_admin.models import WorklistQuery
from tests.factory import make_step
from tests.mwl_scp.conftest import Provider
from tests.mwl_scp.scu import association, find
from tests.waiting import wait_until
from tests.worklist.queries import encoded, identifier

MODALITY_WORKLIST = "1.2.840.10008.5.1.4.31"
ALLOWED = {0x0000, 0xA700, 0xA900, 0xC000, 0xC001}


def rubbish(syntax: str, count: int) -> Iterator[bytes]:
    chance = random.Random(42)
    whole = encoded(
        identifier(
            step={"Modality": "CT", "ScheduledProcedureStepStartDate": "20260504-", "ScheduledStationAETitle": "CT1"},
            PatientName="D*",
            StudyInstanceUID="1.2.3",
            SpecificCharacterSet="ISO_IR 100",
        ),
        syntax,
    )
    for number in range(count):
        if number % 4 == 0:
            yield chance.randbytes(chance.randrange(1, 200))
            continue
        data = bytearray(whole)
        for _ in range(chance.randrange(1, 6)):
            data[chance.randrange(len(data))] = chance.randrange(256)
        yield bytes(data[: chance.randrange(1, len(data) + 1)] if number % 4 == 1 else data)


@pytest.mark.parametrize("syntax", [IMPLICIT_LITTLE, EXPLICIT_LITTLE])
def test_each_damaged_identifier_gets_an_answer(provider: Provider, syntax: str) -> None:
    make_step()
    workers = {child.pid for child in psutil.Process(provider.process.pid).children()}
    seen: set[int] = set()
    with association(provider.port, transfer_syntax=syntax) as opened, paused(opened):
        context = next(one for one in opened.accepted_contexts if one.abstract_syntax == MODALITY_WORKLIST)
        for number, data in enumerate(rubbish(syntax, 200)):
            status, comment = ask(opened, context.context_id or 0, number + 1, data)
            seen.add(status)
            assert status in ALLOWED
            for word in ("Error", "Traceback", "Exception", "sqlite", "psycopg", "SELECT"):
                assert word not in comment or comment == "Internal error"
    assert len(seen) > 1
    assert {child.pid for child in psutil.Process(provider.process.pid).children()} == workers
    assert "operation failed" not in provider.log_text()
    assert find(provider.port, identifier(step={"Modality": "CT"})).statuses == [0xFF00, 0x0000]


@contextmanager
def paused(opened: Association) -> Iterator[None]:
    """Keep pynetdicom's own thread from taking the answers, as its own operations do while they wait."""
    opened._reactor_checkpoint.clear()
    wait_until(lambda: opened._is_paused, what="pynetdicom's thread has paused")
    try:
        yield
    finally:
        opened._reactor_checkpoint.set()


def ask(opened: Association, context_id: int, message_id: int, data: bytes) -> tuple[int, str]:
    """Send one C-FIND with these bytes and return the final status and its comment."""
    request = C_FIND()
    request.MessageID = message_id
    request.AffectedSOPClassUID = MODALITY_WORKLIST
    request.Priority = 2
    request.Identifier = BytesIO(data)
    opened.dimse.send_msg(request, context_id)
    while True:
        _, response = opened.dimse.get_msg(block=True)
        assert response is not None, "no answer"
        if response.Status not in {0xFF00, 0xFF01}:
            return int(response.Status or 0), str(response.ErrorComment or "")


def test_an_association_leaves_no_connection_to_the_database_behind(provider: Provider) -> None:
    make_step()
    worker = max(psutil.Process(provider.process.pid).children(), key=lambda child: child.num_threads())

    def open_things() -> int:
        return len(worker.open_files()) + len(worker.net_connections())

    find(provider.port, identifier(step={}))
    wait_until(WorklistQuery.objects.exists, what="the recorder has its own connection")
    before = wait_until(open_things)
    for _ in range(20):
        find(provider.port, identifier(step={}))
    wait_until(lambda: open_things() <= before, what="what associations opened is closed")
