"""A peer that sends any bytes and shows the PDUs that come back, built from PS3.8 §9.3 without the code under test."""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterable, Mapping, Sequence
from types import TracebackType
from typing import NamedTuple, Self

VERIFICATION = "1.2.840.10008.1.1"
CT_IMAGE_STORAGE = "1.2.840.10008.5.1.4.1.1.2"
WORKLIST_FIND = "1.2.840.10008.5.1.4.31"
STORAGE_COMMITMENT = "1.2.840.10008.1.20.1"
STORAGE_COMMITMENT_INSTANCE = "1.2.840.10008.1.20.1.1"
IMPLICIT = "1.2.840.10008.1.2"
EXPLICIT = "1.2.840.10008.1.2.1"
APPLICATION_CONTEXT = "1.2.840.10008.3.1.1.1"

COMMAND, LAST = 1, 2
ABORT_BY_USER = b"\x07\x00\x00\x00\x00\x04\x00\x00\x00\x00"
RELEASE_RQ = b"\x05\x00\x00\x00\x00\x04\x00\x00\x00\x00"
RELEASE_RP = b"\x06\x00\x00\x00\x00\x04\x00\x00\x00\x00"

Value = int | str | bytes | tuple[int, ...]


class Pdu(NamedTuple):
    """One PDU: its type and what follows the length."""

    kind: int
    body: bytes

    @property
    def abort(self) -> tuple[int, int]:
        """Source and reason of an A-ABORT."""
        assert self.kind == 7, f"not an A-ABORT: {self}"
        return self.body[2], self.body[3]

    @property
    def rejection(self) -> tuple[int, int, int]:
        """Result, source and reason of an A-ASSOCIATE-RJ."""
        assert self.kind == 3, f"not an A-ASSOCIATE-RJ: {self}"
        return self.body[1], self.body[2], self.body[3]


class Message(NamedTuple):
    """One DIMSE message: context ID, command elements by tag, data set, and the longest PDU it came in."""

    context_id: int
    command: dict[int, bytes]
    data: bytes | None
    longest_pdu: int

    def number(self, element: int) -> int:
        return int.from_bytes(self.command[element], "little")

    def text(self, element: int) -> str:
        return self.command[element].decode().rstrip("\0 ")

    @property
    def field(self) -> int:
        return self.number(0x0100)

    @property
    def status(self) -> int:
        return self.number(0x0900)

    @property
    def responds_to(self) -> int:
        return self.number(0x0120)

    @property
    def comment(self) -> str:
        return self.text(0x0902) if 0x0902 in self.command else ""


# -- PDUs


def pdu(kind: int, body: bytes) -> bytes:
    return struct.pack(">BxL", kind, len(body)) + body


def item(kind: int, value: bytes) -> bytes:
    """Return an item or sub-item of an association PDU."""
    return struct.pack(">BxH", kind, len(value)) + value


def context_item(context_id: int, abstract_syntax: str, transfer_syntaxes: Sequence[str] = (IMPLICIT,)) -> bytes:
    syntaxes = b"".join(item(0x40, uid.encode()) for uid in transfer_syntaxes)
    return item(0x20, bytes((context_id, 0, 0, 0)) + item(0x30, abstract_syntax.encode()) + syntaxes)


def maximum_length(value: int) -> bytes:
    return item(0x51, struct.pack(">L", value))


def role_selection(sop_class: str, scu: int, scp: int) -> bytes:
    return item(0x54, struct.pack(">H", len(sop_class)) + sop_class.encode() + bytes((scu, scp)))


def user_identity(kind: int, primary: bytes, secondary: bytes = b"", *, response: bool = False) -> bytes:
    fields = struct.pack(">BBH", kind, response, len(primary)) + primary
    return item(0x58, fields + struct.pack(">H", len(secondary)) + secondary)


CONTEXTS = (
    context_item(1, VERIFICATION),
    context_item(3, CT_IMAGE_STORAGE, (EXPLICIT, IMPLICIT)),
    context_item(5, WORKLIST_FIND),
    context_item(7, STORAGE_COMMITMENT),
)
"""What the toy service accepts: C-ECHO on 1, C-STORE on 3, C-FIND on 5, N-ACTION on 7."""


def association_request(
    *,
    called: bytes = b"TOY",
    calling: bytes = b"RAW",
    version: int = 1,
    application_context: bytes | None = APPLICATION_CONTEXT.encode(),
    contexts: Iterable[bytes] = CONTEXTS,
    user_items: Iterable[bytes] | None = None,
    more_items: bytes = b"",
) -> bytes:
    """Return an A-ASSOCIATE-RQ; ``None`` leaves an item out."""
    fixed = struct.pack(">HH16s16s32x", version, 0, called.ljust(16), calling.ljust(16))
    application = b"" if application_context is None else item(0x10, application_context)
    if user_items is None:
        user_items = (maximum_length(16384), item(0x52, b"1.2.3.4"), item(0x55, b"RAW_1"))
    information = item(0x50, b"".join(user_items))
    return pdu(1, fixed + application + b"".join(contexts) + more_items + information)


def pdv(context_id: int, control: int, data: bytes) -> bytes:
    return struct.pack(">LBB", len(data) + 2, context_id, control) + data


def p_data(*pdvs: bytes) -> bytes:
    return pdu(4, b"".join(pdvs))


# -- command sets and data sets


def element(tag: int, value: Value) -> bytes:
    """Return an element in implicit VR little endian: an int is US, a string UI or text, a tuple a list of tags."""
    if isinstance(value, int):
        value = struct.pack("<H", value)
    elif isinstance(value, str):
        value = value.encode()
        value += b"\0" * (len(value) % 2)
    elif isinstance(value, tuple):
        value = b"".join(struct.pack("<HH", part >> 16, part & 0xFFFF) for part in value)
    return struct.pack("<HHL", tag >> 16, tag & 0xFFFF, len(value)) + value


def command_set(elements: Mapping[int, Value]) -> bytes:
    body = b"".join(element(tag, value) for tag, value in sorted(elements.items()))
    return element(0, struct.pack("<L", len(body))) + body


def echo(message_id: int = 1) -> bytes:
    return command_set({0x0002: VERIFICATION, 0x0100: 0x0030, 0x0110: message_id, 0x0800: 0x0101})


def store(message_id: int = 1, instance: str = "1.2.3.4.5", sop_class: str = CT_IMAGE_STORAGE) -> bytes:
    return command_set({0x0002: sop_class, 0x0100: 1, 0x0110: message_id, 0x0700: 0, 0x0800: 1, 0x1000: instance})


def find(message_id: int = 1) -> bytes:
    return command_set({0x0002: WORKLIST_FIND, 0x0100: 0x0020, 0x0110: message_id, 0x0700: 0, 0x0800: 1})


def cancel(message_id: int) -> bytes:
    return command_set({0x0100: 0x0FFF, 0x0120: message_id, 0x0800: 0x0101})


def action(message_id: int = 1) -> bytes:
    return command_set(
        {
            0x0003: STORAGE_COMMITMENT,
            0x0100: 0x0130,
            0x0110: message_id,
            0x0800: 1,
            0x1001: STORAGE_COMMITMENT_INSTANCE,
            0x1008: 1,
        }
    )


def event_response(message_id: int, status: int = 0) -> bytes:
    return command_set(
        {
            0x0002: STORAGE_COMMITMENT,
            0x0100: 0x8100,
            0x0120: message_id,
            0x0800: 0x0101,
            0x0900: status,
            0x1000: STORAGE_COMMITMENT_INSTANCE,
            0x1002: 1,
        }
    )


def identifier(order: str) -> bytes:
    """Return a data set whose Patient ID tells the toy service what to do."""
    return element(0x00100020, order + " " * (len(order) % 2))


def parse_command(data: bytes) -> dict[int, bytes]:
    elements: dict[int, bytes] = {}
    position = 0
    while position < len(data):
        group, number, length = struct.unpack_from("<HHL", data, position)
        assert group == 0, "a command set holds group 0000 only"
        elements[number] = data[position + 8 : position + 8 + length]
        position += 8 + length
    assert int.from_bytes(elements[0], "little") == len(data) - 12, "the group length is right"
    return elements


def pdvs_of(body: bytes) -> list[tuple[int, int, bytes]]:
    """Return context ID, message control header and fragment of each PDV of a P-DATA-TF."""
    found = []
    position = 0
    while position < len(body):
        length, context_id, control = struct.unpack_from(">LBB", body, position)
        found.append((context_id, control, body[position + 6 : position + 4 + length]))
        position += 4 + length
    assert position == len(body), "PDVs fill their PDU"
    return found


class RawPeer:
    """A connection on which a test says what it likes. Every read has a deadline; an end shows as ``EOFError``."""

    def __init__(self, sock: socket.socket, timeout: float = 60) -> None:
        self.sock = sock
        self.sock.settimeout(timeout)

    @classmethod
    def connect(cls, port: int, timeout: float = 60) -> RawPeer:
        sock = socket.create_connection(("127.0.0.1", port), timeout)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return cls(sock, timeout)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.sock.close()

    # -- bytes and PDUs

    def send(self, *parts: bytes) -> None:
        self.sock.sendall(b"".join(parts))

    def _exactly(self, count: int) -> bytes:
        data = b""
        while len(data) < count:
            try:
                part = self.sock.recv(count - len(data))
            except ConnectionResetError:
                part = b""
            if not part:
                raise EOFError
            data += part
        return data

    def read_pdu(self) -> Pdu:
        kind, length = struct.unpack(">BxL", self._exactly(6))
        return Pdu(kind, self._exactly(length))

    def is_ended(self) -> bool:
        """Wait for the peer to close, or for the time limit; nothing more may come before."""
        try:
            return self.sock.recv(1) == b""
        except ConnectionResetError:
            return True

    def ends_with(self) -> bytes:
        """Wait for the end; what came before."""
        data = b""
        try:
            while part := self.sock.recv(65536):
                data += part
        except ConnectionResetError:
            return data
        return data

    def reset(self) -> None:
        """Close so that the peer gets a reset instead of an orderly end."""
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.sock.close()

    # -- conversations

    def associate(self, request: bytes | None = None) -> Pdu:
        """Open an association; the A-ASSOCIATE-AC."""
        try:
            self.send(request or association_request())
            answer = self.read_pdu()
            assert answer.kind == 2, f"not accepted: {answer}"
        except BaseException:
            self.sock.close()
            raise
        return answer

    def release(self) -> None:
        """Release the association and see it end."""
        self.send(RELEASE_RQ)
        assert self.read_pdu() == Pdu(6, bytes(4))
        self.sock.close()

    def send_message(self, context_id: int, command: bytes, data: bytes | None = None) -> None:
        parts = [p_data(pdv(context_id, COMMAND | LAST, command))]
        if data is not None:
            fragments = [data[begin : begin + 16000] for begin in range(0, len(data), 16000)] or [b""]
            for number, fragment in enumerate(fragments, start=1):
                parts.append(p_data(pdv(context_id, LAST if number == len(fragments) else 0, fragment)))
        self.send(*parts)

    def read_message(self) -> Message:
        command, data = b"", b""
        context_id = longest = 0
        parsed: dict[int, bytes] | None = None
        while True:
            answer = self.read_pdu()
            assert answer.kind == 4, f"not a P-DATA-TF: {answer}"
            longest = max(longest, len(answer.body))
            for context_id, control, fragment in pdvs_of(answer.body):
                if control & COMMAND:
                    command += fragment
                else:
                    data += fragment
                if control & LAST and control & COMMAND:
                    parsed = parse_command(command)
                    if parsed[0x0800] == b"\x01\x01":
                        return Message(context_id, parsed, None, longest)
                elif control & LAST:
                    assert parsed is not None
                    return Message(context_id, parsed, data, longest)

    def echo(self, message_id: int = 1) -> None:
        """C-ECHO on context 1."""
        self.send_message(1, echo(message_id))
        answer = self.read_message()
        assert (answer.field, answer.status, answer.responds_to) == (0x8030, 0, message_id)

    def store(self, data: bytes, message_id: int = 1, instance: str = "1.2.3.4.5") -> Message:
        """C-STORE on context 3; the response."""
        self.send_message(3, store(message_id, instance), data)
        return self.read_message()
