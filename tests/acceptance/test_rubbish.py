"""Rubbish on a port gets an answer or a clean end of the connection, and the process lives on with all its workers."""

from __future__ import annotations

import random
import socket
from collections.abc import Callable

import pytest

from tests.processes import Process, Processes

_dice = random.Random(20261124)
ASSOCIATE_RQ = b"\x01\x00"

RUBBISH = {
    "nothing at all": b"",
    "one byte": b"\x01",
    "zeros": bytes(4096),
    "random bytes": _dice.randbytes(8192),
    "an HTTP request": b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "a TLS hello": bytes.fromhex("16030100a5010000a10303") + _dice.randbytes(154),
    "an A-ASSOCIATE-RQ of random bytes": ASSOCIATE_RQ + (1000).to_bytes(4, "big") + _dice.randbytes(1000),
    "an A-ASSOCIATE-RQ that says it is 4 GB": ASSOCIATE_RQ + b"\xff\xff\xff\xff" + bytes(4096),
    "an A-ASSOCIATE-RQ of length 0": ASSOCIATE_RQ + bytes(4),
    "half an A-ASSOCIATE-RQ": ASSOCIATE_RQ + (200).to_bytes(4, "big") + bytes(50),
    "P-DATA before any association": b"\x04\x00\x00\x00\x00\x0a" + bytes(10),
    "A-RELEASE-RQ before any association": b"\x05\x00\x00\x00\x00\x04\x00\x00\x00\x00",
    "A-ABORT before any association": b"\x07\x00\x00\x00\x00\x04\x00\x00\x00\x00",
    "a PDU type that does not exist": b"\x63\x00\x00\x00\x00\x04\x00\x00\x00\x00",
    "a worklist's XML": b'<?xml version="1.0"?><worklist/>' * 50,
}


def send(port: int, rubbish: bytes) -> bytes:
    """Send, say that nothing more comes, return what came back until the peer closed the connection."""
    with socket.create_connection(("127.0.0.1", port), timeout=15) as connection:
        answer = b""
        try:
            connection.sendall(rubbish)
            connection.shutdown(socket.SHUT_WR)
            while part := connection.recv(65536):
                answer += part
        except (ConnectionResetError, BrokenPipeError):
            pass  # as clean an end as any, once there is nothing to talk about
        return answer


# what a stranger sends never reaches a database: one kind is enough
pytestmark = pytest.mark.parametrize("processes", ["sqlite"], indirect=True, scope="module")


def members(process: Process) -> set[int]:
    return {member.pid for member in process.family()}


@pytest.mark.parametrize("rubbish", RUBBISH.values(), ids=RUBBISH.keys())
@pytest.mark.parametrize("name", ["mwl_scp", "pacs_receiver"])
def test_a_dicom_port_ends_the_connection_and_lives_on(processes: Processes, name: str, rubbish: bytes) -> None:
    process: Process = getattr(processes, name)
    port = {"mwl_scp": processes.mwl_port, "pacs_receiver": processes.pacs_port}[name]
    before = members(process)
    answer = send(port, rubbish)
    assert answer[:1] in {b"", b"\x03", b"\x07"}, "neither silence nor A-ASSOCIATE-RJ nor A-ABORT"
    assert b"Traceback" not in answer
    assert process.is_healthy()
    assert members(process) == before


@pytest.mark.parametrize("rubbish", RUBBISH.values(), ids=RUBBISH.keys())
def test_the_web_port_answers_or_ends_the_connection_and_lives_on(processes: Processes, rubbish: bytes) -> None:
    before = members(processes.mwl_admin)
    answer = send(processes.web_port, rubbish)
    assert answer == b"" or answer.startswith(b"HTTP/1.")
    assert b"Traceback" not in answer
    assert processes.mwl_admin.is_healthy()
    assert members(processes.mwl_admin) == before


Health = Callable[[Processes], str]


@pytest.mark.parametrize("port_of", [lambda p: p.mwl_health_url, lambda p: p.pacs_health_url], ids=["mwl", "pacs"])
def test_a_health_port_lives_on_too(processes: Processes, port_of: Health) -> None:
    port = int(port_of(processes).rpartition(":")[2])
    for rubbish in RUBBISH.values():
        answer = send(port, rubbish)
        assert b"Traceback" not in answer
    assert processes.mwl_scp.is_healthy()
    assert processes.pacs_receiver.is_healthy()
