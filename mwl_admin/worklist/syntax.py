"""The transfer syntaxes of identifiers: how an element's header is written and read (PS3.5 section 7, Annex A)."""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass

from mwl_admin.worklist.errors import IdentifierError

IMPLICIT_LITTLE = "1.2.840.10008.1.2"
EXPLICIT_LITTLE = "1.2.840.10008.1.2.1"
DEFLATED_LITTLE = "1.2.840.10008.1.2.1.99"
EXPLICIT_BIG = "1.2.840.10008.1.2.2"

ITEM = 0xFFFEE000
ITEM_END = 0xFFFEE00D
SEQUENCE_END = 0xFFFEE0DD
UNDEFINED = 0xFFFFFFFF

LONG_VRS = frozenset({"OB", "OD", "OF", "OL", "OV", "OW", "SQ", "SV", "UC", "UN", "UR", "UT", "UV"})
"""VRs whose explicit header has a length of four bytes (PS3.5 Table 7.1-1)."""

MAX_INFLATED = 1024 * 1024
"""What a deflated identifier may grow to unless a setting says otherwise, in bytes: no query is that large."""


@dataclass(frozen=True, slots=True)
class Syntax:
    """A transfer syntax, and how elements are put together in it."""

    uid: str
    implicit: bool
    little: bool
    deflated: bool

    @property
    def name(self) -> str:
        """The transfer syntax in as few letters as a comment has room for."""
        if self.deflated:
            return "Deflated VR Little"
        return f"{'Implicit' if self.implicit else 'Explicit'} VR {'Little' if self.little else 'Big'}"

    @property
    def order(self) -> str:
        """The byte order as :mod:`struct` writes it."""
        return "<" if self.little else ">"

    def header(self, tag: int, vr: str, length: int) -> bytes:
        """Return the header of an element."""
        group, element = tag >> 16, tag & 0xFFFF
        if self.implicit:
            return struct.pack(self.order + "HHL", group, element, length)
        if vr in LONG_VRS:
            return struct.pack(self.order + "HH2sHL", group, element, vr.encode(), 0, length)
        return struct.pack(self.order + "HH2sH", group, element, vr.encode(), length)

    def item(self, content: bytes) -> bytes:
        """Return an item of a sequence, with its length defined."""
        return struct.pack(self.order + "HHL", ITEM >> 16, ITEM & 0xFFFF, len(content)) + content

    def wrap(self, data: bytes) -> bytes:
        """Return a complete data set as it is sent."""
        if not self.deflated:
            return data
        compressor = zlib.compressobj(wbits=-zlib.MAX_WBITS)
        deflated = compressor.compress(data) + compressor.flush()
        return deflated + b"\0" * (len(deflated) % 2)

    def unwrap(self, data: bytes, max_inflated: int = MAX_INFLATED) -> bytes:
        """Return a data set as its elements stand in it; raise :class:`IdentifierError` when it does not inflate.

        No more than ``max_inflated`` bytes and one are made of it: a few bytes can stand for very many.
        """
        if not self.deflated:
            return data
        inflater = zlib.decompressobj(wbits=-zlib.MAX_WBITS)
        try:
            inflated = inflater.decompress(data, max_inflated + 1)
        except zlib.error:
            raise IdentifierError("The deflated identifier cannot be inflated") from None
        if len(inflated) > max_inflated:
            raise IdentifierError(f"The identifier is longer than {max_inflated} bytes when inflated")
        return inflated


SYNTAXES = {
    syntax.uid: syntax
    for syntax in (
        Syntax(EXPLICIT_LITTLE, implicit=False, little=True, deflated=False),
        Syntax(IMPLICIT_LITTLE, implicit=True, little=True, deflated=False),
        Syntax(EXPLICIT_BIG, implicit=False, little=False, deflated=False),
        Syntax(DEFLATED_LITTLE, implicit=False, little=True, deflated=True),
    )
}
"""The transfer syntaxes of identifiers by UID, best first."""
