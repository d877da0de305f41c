"""Protocol data units after establishment, as bytes (PS3.8 §9.3), and the exceptions that end an association."""

from __future__ import annotations

from enum import IntEnum
from struct import Struct

HEADER = Struct(">BxL")
"""PDU type and length of what follows."""
PDV_HEADER = Struct(">LBB")
"""Length of what follows, presentation context ID, message control header (PS3.8 §9.3.5.1, §E.2)."""

RELEASE_RESPONSE = b"\x06\x00\x00\x00\x00\x04\x00\x00\x00\x00"
UNLIMITED = 1 << 31
COMMAND = 1
LAST = 2

_P_DATA_WITH_ONE_PDV = Struct(">BxLLBB")


class PduType(IntEnum):
    """PDU types (PS3.8 §9.3)."""

    ASSOCIATE_RQ = 0x01
    ASSOCIATE_AC = 0x02
    ASSOCIATE_RJ = 0x03
    P_DATA = 0x04
    RELEASE_RQ = 0x05
    RELEASE_RP = 0x06
    ABORT = 0x07


PDU_TYPES = frozenset(PduType)
FIXED_LENGTH = frozenset({PduType.RELEASE_RQ, PduType.RELEASE_RP, PduType.ABORT})
"""Types whose length is always 4."""


class AbortReason(IntEnum):
    """Reasons of an A-ABORT whose source is the service provider (PS3.8 §9.3.8)."""

    NOT_SPECIFIED = 0
    UNRECOGNIZED_PDU = 1
    UNEXPECTED_PDU = 2
    UNRECOGNIZED_PARAMETER = 4
    UNEXPECTED_PARAMETER = 5
    INVALID_PARAMETER = 6


class Ending(Exception):
    """The end of an association: raised where it is noticed, handled where the association is run."""


class ProtocolViolation(Ending):
    """The peer broke PS3.8 or PS3.7; answered with an A-ABORT of the service provider."""

    def __init__(self, reason: AbortReason, because: str) -> None:
        super().__init__(because)
        self.reason = reason


class Released(Ending):
    """The peer asked for the release of the association."""


class Aborted(Ending):
    """The peer aborted the association."""


def abort(*, source: int, reason: int) -> bytes:
    """Return an A-ABORT (PS3.8 §9.3.8); source 0 is the service user, 2 the service provider."""
    return bytes((PduType.ABORT, 0, 0, 0, 0, 4, 0, 0, source, reason))


def reject(result: int, source: int, reason: int) -> bytes:
    """Return an A-ASSOCIATE-RJ (PS3.8 §9.3.4)."""
    return bytes((PduType.ASSOCIATE_RJ, 0, 0, 0, 0, 4, 0, result, source, reason))


def p_data(context_id: int, kind: int, data: bytes, max_length: int) -> bytes:
    """Return the P-DATA-TF PDUs, one PDV each, that carry one command set (``kind`` COMMAND) or data set (0).

    None is longer than ``max_length``, the peer's; fragments are of even length (PS3.8 §9.3.5.1).
    """
    room = max((max_length - 6) & ~1, 2)
    if len(data) <= room:
        return _P_DATA_WITH_ONE_PDV.pack(4, len(data) + 6, len(data) + 2, context_id, LAST | kind) + data
    parts: list[bytes] = []
    for begin in range(0, len(data), room):
        part = data[begin : begin + room]
        control = kind | (LAST if begin + room >= len(data) else 0)
        parts += (_P_DATA_WITH_ONE_PDV.pack(4, len(part) + 6, len(part) + 2, context_id, control), part)
    return b"".join(parts)
