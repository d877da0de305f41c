"""The transfer syntaxes, and how elements are put together in those without compression (PS3.5 §7, §10, Annex A)."""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass

from pydicom.uid import UID_dictionary

from dicom_encoding.elements import ITEM, LONG_VRS

IMPLICIT_LITTLE = "1.2.840.10008.1.2"
EXPLICIT_LITTLE = "1.2.840.10008.1.2.1"
DEFLATED_LITTLE = "1.2.840.10008.1.2.1.99"
EXPLICIT_BIG = "1.2.840.10008.1.2.2"

UNCOMPRESSED = frozenset({IMPLICIT_LITTLE, EXPLICIT_LITTLE, EXPLICIT_BIG})
DEFLATED = frozenset({DEFLATED_LITTLE, "1.2.840.10008.1.2.4.95", "1.2.840.10008.1.2.4.205"})
"""Deflated Explicit VR Little Endian and the two JPIP deflate syntaxes: the data set as a whole is deflated.

Deflated Image Frame Compression (1.2.840.10008.1.2.8.1) is none of them: it deflates frames of pixel data (PS3.5 §A.4).
"""

_NOT_BYTES_IN_A_FILE = (
    "1.2.840.10008.1.2.7.",  # SMPTE ST 2110: real-time video, a stream and not a data set (PS3.5 §A.8)
    "1.2.840.10008.1.2.6.",  # MIME and XML encodings, for mail and reports, never for an association
    "1.2.840.10008.1.20",  # Papyrus 3
)


def transfer_syntaxes() -> frozenset[str]:
    """Return every transfer syntax of the standard that a data set can have, retired ones included.

    Those of editions later than pydicom's dictionary are among them once pynetdicom is imported, which adds them.
    """
    return frozenset(
        uid
        for uid, (_, kind, *_) in UID_dictionary.items()
        if kind == "Transfer Syntax" and not uid.startswith(_NOT_BYTES_IN_A_FILE)
    )


class NotDeflated(ValueError):
    """What should be a deflated data set is none."""


class InflatesTooFar(ValueError):
    """A deflated data set grows beyond the limit."""


def is_implicit(uid: str) -> bool:
    """Tell whether a transfer syntax leaves VRs out; all others than one name them (PS3.5 §A.1, §A.4)."""
    return uid == IMPLICIT_LITTLE


def is_big(uid: str) -> bool:
    """Tell whether a transfer syntax is big endian, as one is (PS3.5 §A.3)."""
    return uid == EXPLICIT_BIG


def is_native(uid: str) -> bool:
    """Tell whether pixel data stand in a transfer syntax as they are, without fragments."""
    return uid in UNCOMPRESSED or uid == DEFLATED_LITTLE


@dataclass(frozen=True, slots=True)
class Syntax:
    """A transfer syntax without compressed pixel data, and how elements are put together in it."""

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
        code = vr.encode()
        if code in LONG_VRS:
            return struct.pack(self.order + "HH2sHL", group, element, code, 0, length)
        return struct.pack(self.order + "HH2sH", group, element, code, length)

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

    def unwrap(self, data: bytes, max_inflated: int) -> bytes:
        """Return a data set as its elements stand in it.

        No more than ``max_inflated`` bytes and one are made of it: a few bytes can stand for very many.

        :raises NotDeflated: when it is not deflated.
        :raises InflatesTooFar: when it is longer than ``max_inflated``.
        """
        if not self.deflated:
            return data
        inflater = zlib.decompressobj(wbits=-zlib.MAX_WBITS)
        try:
            inflated = inflater.decompress(data, max_inflated + 1)
        except zlib.error:
            raise NotDeflated("The deflated data set cannot be inflated") from None
        if len(inflated) > max_inflated:
            raise InflatesTooFar(f"The data set is longer than {max_inflated} bytes when inflated")
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
"""The transfer syntaxes of data sets without pixel data by UID, best first."""
