"""Encoded elements, sequences and items, put together by hand: what no toolkit writes, and what real devices do."""

from __future__ import annotations

import struct

IMPLICIT, EXPLICIT, BIG = "1.2.840.10008.1.2", "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.2"
UNDEFINED = 0xFFFFFFFF
LONG = frozenset({"OB", "OD", "OF", "OL", "OV", "OW", "SQ", "SV", "UC", "UN", "UR", "UT", "UV", "ZZ"})
"""VRs with a length of 32 bits (PS3.5 Table 7.1-1), and ``ZZ``, which stands for those of later editions."""


def head(tag: int, vr: str, length: int, syntax: str = EXPLICIT) -> bytes:
    order = ">" if syntax == BIG else "<"
    start = struct.pack(order + "HH", tag >> 16, tag & 0xFFFF)
    if syntax == IMPLICIT or tag >> 16 == 0xFFFE:
        return start + struct.pack(order + "L", length)
    if vr in LONG:
        return start + vr.encode() + struct.pack(order + "HL", 0, length)
    return start + vr.encode() + struct.pack(order + "H", length)


def element(tag: int, vr: str, value: bytes, syntax: str = EXPLICIT) -> bytes:
    return head(tag, vr, len(value), syntax) + value


def item(content: bytes, syntax: str = EXPLICIT, *, undefined: bool = False) -> bytes:
    if not undefined:
        return head(0xFFFEE000, "", len(content), syntax) + content
    return head(0xFFFEE000, "", UNDEFINED, syntax) + content + head(0xFFFEE00D, "", 0, syntax)


def sequence(
    tag: int, *items: bytes, syntax: str = EXPLICIT, vr: str = "SQ", undefined: bool = False, inner: str = ""
) -> bytes:
    """``inner`` is the transfer syntax of the content where it is another (PS3.5 §6.2.2)."""
    content = b"".join(items)
    if not undefined:
        return head(tag, vr, len(content), syntax) + content
    return head(tag, vr, UNDEFINED, syntax) + content + head(0xFFFEE0DD, "", 0, inner or syntax)


def private_unknown(syntax: str = EXPLICIT) -> bytes:
    """A private UN of undefined length: its content is in implicit VR, little endian (PS3.5 §6.2.2, note)."""
    inside = item(element(0x00291010, "", b"ab", IMPLICIT), IMPLICIT, undefined=True)
    return sequence(0x00291000, inside, syntax=syntax, vr="UN", undefined=True, inner=IMPLICIT)


def nested(depth: int, syntax: str = EXPLICIT, *, undefined: bool = False, tag: int = 0x00400275) -> bytes:
    """Sequences in sequences, ``depth`` of them: Request Attributes Sequence unless told otherwise."""
    data = b""
    for _ in range(depth):
        data = sequence(tag, item(data, syntax, undefined=undefined), syntax=syntax, undefined=undefined)
    return data
