"""The Part 10 header that stands before a stored data set (PS3.10 §7.1)."""

from __future__ import annotations

import struct
from functools import lru_cache

PREAMBLE = bytes(128) + b"DICM"
_VERSION = b"\x02\x00\x01\x00OB\x00\x00\x02\x00\x00\x00\x00\x01"


def header(
    *,
    sop_class: str,
    sop_instance: str,
    transfer_syntax: str,
    source_ae: str,
    implementation_uid: str,
    implementation_version: str,
) -> bytes:
    """Encode preamble, prefix and file meta information for one instance; all arguments are legal values already."""
    tail = _after_instance(transfer_syntax, source_ae, implementation_uid, implementation_version)
    body = _VERSION + _uid(0x0002, sop_class) + _uid(0x0003, sop_instance) + tail
    return PREAMBLE + struct.pack("<HH2sHL", 0x0002, 0x0000, b"UL", 4, len(body)) + body


@lru_cache(maxsize=1024)
def _after_instance(
    transfer_syntax: str, source_ae: str, implementation_uid: str, implementation_version: str
) -> bytes:
    return (
        _uid(0x0010, transfer_syntax)
        + _uid(0x0012, implementation_uid)
        + _element(0x0013, b"SH", implementation_version.encode("ascii"), b" ")
        + _element(0x0016, b"AE", source_ae.strip().encode("ascii", "replace")[:16], b" ")
    )


def _uid(element: int, uid: str) -> bytes:
    return _element(element, b"UI", uid.encode("ascii"), b"\0")


def _element(element: int, vr: bytes, value: bytes, padding: bytes) -> bytes:
    if len(value) % 2:
        value += padding
    return struct.pack("<HH2sH", 0x0002, element, vr, len(value)) + value


class NotPart10(ValueError):
    """The file does not begin with a Part 10 header"""


def parse(head: bytes) -> tuple[dict[int, str], int]:
    """Read the file meta information at the start of ``head``, a few KB of a file that this package wrote.

    Returns its values by element number (group 0002) and the offset at which the data set begins.

    :raises NotPart10: when the header is damaged.
    """
    if head[128:132] != b"DICM" or len(head) < 144 or head[132:140] != b"\x02\x00\x00\x00UL\x04\x00":
        raise NotPart10
    end = 144 + int(struct.unpack_from("<L", head, 140)[0])
    if end > len(head):
        raise NotPart10
    values: dict[int, str] = {}
    position = 144
    while position < end:
        try:
            group, element, vr, length = struct.unpack_from("<HH2sH", head, position)
            position += 8
            if vr in (b"OB", b"UN"):
                length = struct.unpack_from("<L", head, position)[0]
                position += 4
        except struct.error as error:
            raise NotPart10 from error
        if group != 0x0002 or position + length > end:
            raise NotPart10
        values[element] = head[position : position + length].rstrip(b"\0 ").decode("ascii", "replace")
        position += length
    return values, end
