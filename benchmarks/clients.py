"""Clients: DCMTK's `dcmsend` for bulk, and one that plays prepared bytes where the client's own time would show."""

from __future__ import annotations

import os
import socket
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from struct import Struct

from pynetdicom.pdu import A_ASSOCIATE_RQ
from pynetdicom.pdu_primitives import A_ASSOCIATE, ImplementationClassUIDNotification, MaximumLengthNotification
from pynetdicom.presentation import build_context

RELEASE = b"\x05\x00\x00\x00\x00\x04\x00\x00\x00\x00"
ECHO_COMMAND_FIELD = 0x0030
STORE_COMMAND_FIELD = 0x0001
VERIFICATION = "1.2.840.10008.1.1"
_P_DATA = Struct(">BxLLBB")
_ELEMENT = Struct("<HHL")


def dcmsend(port: int, folders: list[Path]) -> float:
    """Send each folder over an association of its own, all at once; return seconds until the last has ended.

    :raises RuntimeError: when an instance was not stored.
    """
    started = time.perf_counter()
    running = [
        subprocess.Popen(
            ["dcmsend", "--scan-directories", "-aec", "ANY", "127.0.0.1", str(port), str(folder)],
            env={**os.environ, "TCP_NODELAY": "1"},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        for folder in folders
    ]
    outputs = [process.communicate(timeout=600)[0] for process in running]
    seconds = time.perf_counter() - started
    for process, output in zip(running, outputs, strict=True):
        if process.returncode:
            raise RuntimeError(f"dcmsend failed: {output.decode(errors='replace')[-500:]}")
    return seconds


def association_request(abstract_syntax: str) -> bytes:
    """Return an A-ASSOCIATE-RQ with one context (ID 1): the abstract syntax in Explicit VR Little Endian."""
    request = A_ASSOCIATE()
    request.application_context_name = "1.2.840.10008.3.1.1.1"
    request.calling_ae_title = "BENCH"
    request.called_ae_title = "ANY"
    implementation = ImplementationClassUIDNotification()
    implementation.implementation_class_uid = "2.25.1"
    request.user_information = [MaximumLengthNotification(), implementation]
    context = build_context(abstract_syntax, ["1.2.840.10008.1.2.1"])
    context.context_id = 1
    request.presentation_context_definition_list = [context]
    pdu = A_ASSOCIATE_RQ()
    pdu.from_primitive(request)
    return pdu.encode()


def command_pdu(field: int, sop_class: str, instance: str = "", *, has_data: bool = False) -> bytes:
    """Return a request's command set as one P-DATA-TF."""

    def element(tag: int, value: bytes) -> bytes:
        return _ELEMENT.pack(0, tag, len(value)) + value

    def uid(value: str) -> bytes:
        return value.encode() + b"\0" * (len(value) % 2)

    def us(value: int) -> bytes:
        return value.to_bytes(2, "little")

    body = element(0x0002, uid(sop_class)) + element(0x0100, us(field)) + element(0x0110, us(1))
    if has_data:
        body += element(0x0700, us(0))
    body += element(0x0800, us(1 if has_data else 0x0101))
    if instance:
        body += element(0x1000, uid(instance))
    return p_data(_ELEMENT.pack(0, 0, 4) + len(body).to_bytes(4, "little") + body, 3)


def p_data(fragment: bytes, control: int) -> bytes:
    """Return a P-DATA-TF with one PDV in context 1; ``control`` is its message control header."""
    return _P_DATA.pack(4, len(fragment) + 6, len(fragment) + 2, 1, control) + fragment


class Peer:
    """A connection that plays prepared bytes and reads whole PDUs."""

    def __init__(self, port: int, *, nodelay: bool = True) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), 60)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, int(nodelay))

    def send(self, data: bytes) -> None:
        self.socket.sendall(data)

    def pdu(self) -> bytes:
        """Return the next PDU, header included."""
        header = self._exactly(6)
        return header + self._exactly(int.from_bytes(header[2:], "big"))

    def _exactly(self, count: int) -> bytes:
        data = bytearray()
        while len(data) < count:
            piece = self.socket.recv(count - len(data))
            if not piece:
                raise RuntimeError("the server closed the connection")
            data += piece
        return bytes(data)

    def associate(self, request: bytes) -> None:
        self.send(request)
        answer = self.pdu()
        if answer[0] != 2:
            raise RuntimeError(f"no association: PDU type {answer[0]}")

    def release(self) -> None:
        self.send(RELEASE)
        if self.pdu()[0] != 6:
            raise RuntimeError("no release")
        self.socket.close()

    def expect_success(self) -> None:
        """Read a response, whose status (0000,0900) must be success.

        :raises RuntimeError: when it is another.
        """
        body = self.pdu()[12:]
        if b"\x00\x00\x00\x09\x02\x00\x00\x00\x00\x00" not in body:
            raise RuntimeError("the response is no success")


def timed(repeat: int, action: Callable[[int], None]) -> float:
    """Return seconds of ``repeat`` calls."""
    started = time.perf_counter()
    for number in range(repeat):
        action(number)
    return time.perf_counter() - started
