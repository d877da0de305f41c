"""Kinds of data sets that real devices send and that break the rules of their encoding; all made here, synthetic."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable
from dataclasses import dataclass

from pydicom import Dataset

from tests.pacs_receiver.images import EXPLICIT, encode

IMPLICIT, BIG, DEFLATED = "1.2.840.10008.1.2", "1.2.840.10008.1.2.2", "1.2.840.10008.1.2.1.99"
_LONG = ("OB", "OW", "SQ", "UN", "UT")
_SEQUENCE_END = b"\xfe\xff\xdd\xe0\0\0\0\0"

Edit = Callable[[bytes], bytes]


def element(tag: int, vr: str, value: bytes, order: str = "<") -> bytes:
    """One element in explicit VR; its length may be odd."""
    head = struct.pack(order + "HH", tag >> 16, tag & 0xFFFF) + vr.encode()
    if vr in _LONG:
        return head + struct.pack(order + "HL", 0, len(value)) + value
    return head + struct.pack(order + "H", len(value)) + value


def implicit(tag: int, value: bytes) -> bytes:
    """One element in implicit VR."""
    return struct.pack("<HHL", tag >> 16, tag & 0xFFFF, len(value)) + value


def unknown_sequence(order: str, *, content_order: str) -> bytes:
    """A UN of undefined length with one item (PS3.5 §6.2.2), in the private group 0029."""
    item = struct.pack(content_order + "HHL", 0xFFFE, 0xE000, 10)
    inner = struct.pack(content_order + "HHL", 0x0029, 0x1010, 2) + b"ab"
    end = struct.pack(content_order + "HHL", 0xFFFE, 0xE0DD, 0)
    head = struct.pack(order + "HH", 0x0029, 0x1000) + b"UN\0\0\xff\xff\xff\xff"
    return head + item + inner + end


def behind_name(added: bytes) -> Edit:
    """Put ``added`` behind Patient's Name (explicit VR, little endian)."""

    def edit(data: bytes) -> bytes:
        start = data.index(b"\x10\x00\x10\x00PN")
        end = start + 8 + int(struct.unpack_from("<H", data, start + 6)[0])
        return data[:end] + added + data[end:]

    return edit


def before_pixels(added: bytes, head: bytes = b"\xe0\x7f\x10\x00") -> Edit:
    """Put ``added`` between what identifies the image and its pixel data."""

    def edit(data: bytes) -> bytes:
        where = data.index(head)
        return data[:where] + added + data[where:]

    return edit


def at_end(added: bytes) -> Edit:
    return lambda data: data + added


def at_start(added: bytes) -> Edit:
    return lambda data: added + data


@dataclass(frozen=True)
class Kind:
    """``edit`` makes an image of ``transfer_syntax`` odd; ``tag`` is what the log names, None where nothing is odd.

    ``dcmtk`` tells that `dcmsend` can read and send it.
    """

    edit: Edit
    tag: int | None
    transfer_syntax: str = EXPLICIT
    dcmtk: bool = True

    def make(self, ds: Dataset) -> bytes:
        """Give the odd data set of ``ds``."""
        if self.transfer_syntax == DEFLATED:
            deflate = zlib.compressobj(wbits=-zlib.MAX_WBITS)
            return self.edit(deflate.compress(encode(ds)) + deflate.flush())
        return self.edit(encode(ds, self.transfer_syntax))


KINDS = {
    "a VR of question marks": Kind(before_pixels(element(0x00290010, "??", b"ACME")), 0x00290010),
    "a VR of lower case": Kind(before_pixels(element(0x00290010, "lo", b"ACME")), 0x00290010),
    "a VR of NULs": Kind(before_pixels(element(0x00290010, "\0\0", b"ACME")), 0x00290010),
    "a VR of NULs before the name": Kind(
        lambda data: data.replace(b"\x10\x00\x10\x00PN", element(0x00090010, "\0\0", b"ACME") + b"\x10\x00\x10\x00PN"),
        0x00090010,
    ),
    "a VR of a later edition, short": Kind(before_pixels(element(0x00290010, "ZZ", b"ACME")), 0x00290010, dcmtk=False),
    "a VR of a later edition, long": Kind(
        before_pixels(struct.pack("<HH", 0x0029, 0x0010) + b"ZZ\0\0\x04\0\0\0ACME"), 0x00290010
    ),
    "rubbish instead of a VR behind the head": Kind(
        before_pixels(struct.pack("<HH", 0x0029, 0x0010) + b"\x81\x02\x04\0ACME"), 0x00290010, dcmtk=False
    ),
    "an implicit element behind the head": Kind(before_pixels(implicit(0x00290010, b"ACME")), 0x00290010, dcmtk=False),
    "a NUL after it": Kind(at_end(b"\0"), 0, dcmtk=False),
    "seven NULs after it": Kind(at_end(bytes(7)), 0, dcmtk=False),
    "eight NULs after it": Kind(at_end(bytes(8)), 0, dcmtk=False),
    "a block of NULs after it": Kind(at_end(bytes(3333)), 0, dcmtk=False),
    "NULs after it, implicit": Kind(at_end(bytes(100)), 0, IMPLICIT, dcmtk=False),
    "NULs after a deflated one": Kind(at_end(bytes(100)), 0x7FE00010, DEFLATED, dcmtk=False),
    "bytes behind NULs": Kind(at_end(bytes(16) + b"end."), 0, dcmtk=False),
    "a command element": Kind(at_start(element(0x00000002, "UI", b"1.2\0")), 0x00000002, dcmtk=False),
    "its file meta information": Kind(
        at_start(element(0x00020002, "UI", b"1.2\0") + element(0x00020010, "UI", b"1.2.840.10008.1.2\0")),
        0x00020002,
        dcmtk=False,
    ),
    "its file meta information, implicit": Kind(
        at_start(element(0x00020002, "UI", b"1.2\0") + element(0x00020003, "UI", b"1.3\0")),
        0x00020002,
        IMPLICIT,
        dcmtk=False,
    ),
    "the name twice": Kind(behind_name(element(0x00100010, "PN", "Prüfer^Anna".encode())), 0x00100010),
    "another name": Kind(behind_name(element(0x00100010, "PN", b"Probe^Paul")), 0x00100010, dcmtk=False),
    "the name again at the end": Kind(at_end(element(0x00100010, "PN", b"Probe^Paul")), 0x00100010, dcmtk=False),
    "the SOP Instance UID twice": Kind(
        lambda data: (
            data[: data.index(b"\x08\x00\x20\x00DA")] + _uid_of(data) + data[data.index(b"\x08\x00\x20\x00DA") :]
        ),
        0x00080018,
    ),
    "elements out of order": Kind(at_end(element(0x00090010, "LO", b"ACME")), 0x00090010),
    "an odd length": Kind(before_pixels(element(0x00290010, "LO", b"ACM")), 0x00290010, dcmtk=False),
    "a stray delimiter": Kind(before_pixels(_SEQUENCE_END), 0xFFFEE0DD, dcmtk=False),
    "a stray item": Kind(before_pixels(b"\xfe\xff\x00\xe0\0\0\0\0"), 0xFFFEE000, dcmtk=False),
    "an element where an item belongs": Kind(
        before_pixels(
            struct.pack("<HH", 0x0029, 0x1000) + b"SQ\0\0\xff\xff\xff\xff" + element(0x00290010, "LO", b"ACME")
        ),
        0x00290010,
        dcmtk=False,
    ),
    "a text of undefined length": Kind(
        before_pixels(struct.pack("<HH", 0x0029, 0x1000) + b"UT\0\0\xff\xff\xff\xff" + _SEQUENCE_END),
        0x00291000,
        dcmtk=False,
    ),
    "a UN of undefined length, big endian throughout": Kind(
        before_pixels(unknown_sequence(">", content_order=">"), b"\x7f\xe0\x00\x10"), 0xFEFF00E0, BIG, dcmtk=False
    ),
    # what the standard allows, though few expect it
    "a UN of undefined length in a big-endian data set": Kind(
        before_pixels(unknown_sequence(">", content_order="<"), b"\x7f\xe0\x00\x10"), None, BIG, dcmtk=False
    ),
    "a UN of undefined length": Kind(before_pixels(unknown_sequence("<", content_order="<")), None),
    "trailing padding": Kind(at_end(element(0xFFFCFFFC, "OB", bytes(100))), None),
}


def _uid_of(data: bytes) -> bytes:
    start = data.index(b"\x08\x00\x18\x00UI")
    return data[start : start + 8 + int(struct.unpack_from("<H", data, start + 6)[0])]


CONTRADICTIONS = {
    "two SOP Instance UIDs": at_end(element(0x00080018, "UI", b"1.2.3.4\0")),
    "two SOP Class UIDs": at_end(element(0x00080016, "UI", b"1.2.840.10008.5.1.4.1.1.4\0")),
    "two Study Instance UIDs": at_end(element(0x0020000D, "UI", b"1.2.3.4\0")),
    "two Series Instance UIDs": at_end(element(0x0020000E, "UI", b"1.2.3.4\0")),
    "two Patient IDs": behind_name(element(0x00100020, "LO", b"P-2 ")),
    "the other Study Instance UID first": at_start(element(0x0020000D, "UI", b"1.2.3.4\0")),
    "a VR that is none in an identifying element": lambda data: data.replace(
        b"\x20\x00\x0d\x00UI", b"\x20\x00\x0d\x00\x81\x82"
    ),
    "cut within its pixel data, with an oddity before": lambda data: before_pixels(element(0x00290010, "??", b"AB"))(
        data
    )[:-1],
    "cut within a sequence": at_end(struct.pack("<HH", 0x0029, 0x1000) + b"SQ\0\0\xff\xff\xff\xff"),
}
"""What stays refused: nobody can know whose image it is, or whether it is whole."""
