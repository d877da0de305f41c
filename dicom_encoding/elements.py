"""The header of one element, item or delimiter, and the VRs there are (PS3.5 §7.1, §7.5, Table 7.1-1)."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from functools import lru_cache

from pydicom.datadict import DicomDictionary, RepeatersDictionary, dictionary_VR

UNDEFINED = 0xFFFFFFFF
"""The length of what ends with a delimiter of its own."""
ITEM_GROUP = 0xFFFE
ITEM, ITEM_END, SEQUENCE_END = 0xFFFEE000, 0xFFFEE00D, 0xFFFEE0DD
SWAPPED = frozenset({0xFEFF00E0, 0xFEFFDDE0})
"""An item and a sequence's end, read in the wrong byte order."""

SHORT_VRS = frozenset(b"AE AS AT CS DA DS DT FD FL IS LO LT PN SH SL SS ST TM UI UL US".split())
"""VRs whose explicit header has a length of two bytes."""
LONG_VRS = frozenset(b"OB OD OF OL OV OW SQ SV UC UN UR UT UV".split())
"""VRs whose explicit header has two reserved bytes and a length of four."""
SHORT_LIMIT = 0xFFFE
"""The longest value, in bytes, that a length of two bytes can tell of: lengths are even."""

TEXT_VRS = frozenset({"LO", "LT", "PN", "SH", "ST", "UC", "UT"})
"""VRs that Specific Character Set (0008,0005) governs (PS3.5 §6.1.2.3)."""
WHOLE_VRS = frozenset({"LT", "ST", "UR", "UT"})
"""VRs of text with one value, in which a backslash is text (PS3.5 §6.2)."""


class Order:
    """Reads numbers in one byte order."""

    __slots__ = ("explicit", "implicit", "long")

    def __init__(self, mark: str) -> None:
        self.explicit: Callable[..., tuple[int, int, bytes, int]] = struct.Struct(mark + "HH2sH").unpack_from
        self.implicit: Callable[..., tuple[int, int, int]] = struct.Struct(mark + "HHL").unpack_from
        self.long: Callable[..., tuple[int]] = struct.Struct(mark + "L").unpack_from


LITTLE, BIG = Order("<"), Order(">")


def tag_name(tag: int) -> str:
    """Write a tag as the standard does, e.g. `(0040,0100)`."""
    return f"({tag >> 16:04X},{tag & 0xFFFF:04X})"


@lru_cache(maxsize=4096)
def standard_vr(tag: int) -> str:
    """Return the dictionary's VR; `UN` for private and unknown tags."""
    try:
        return str(dictionary_VR(tag))[:2]  # "US or SS" is either
    except KeyError:
        return "UN"


def has_long_form(vr: bytes, length: int) -> bool | None:
    """Tell whether an element with a VR that is none has a length of 32 bits; None when these bytes are no VR at all.

    A VR of a later edition is made of capital letters, two reserved bytes and 32 bits (PS3.5 §7.1.2); ``length`` is
    what stands in the reserved bytes. Others, as ``??``, are read with 16 bits, as DCMTK does.
    """
    if vr.isalpha() and vr.isupper():
        return length == 0
    return False if vr == b"\0\0" or all(0x20 <= byte < 0x7F for byte in vr) else None


def is_later_vr(vr: bytes) -> bool:
    """Tell whether these bytes may be a VR of a later edition of the standard."""
    return vr.isalpha() and vr.isupper()


def _sequence_tags() -> Iterator[int]:
    for tag, (vr, *_) in DicomDictionary.items():
        if vr == "SQ":
            yield tag
    for mask, (vr, *_) in RepeatersDictionary.items():
        if vr == "SQ":  # 50xx
            yield from (int(mask[:2] + f"{number:02X}" + mask[4:], 16) for number in range(0, 256, 2))


SEQUENCE_TAGS = frozenset(_sequence_tags())
"""Tags of sequences: in implicit VR, and in a UN of a device that does not know them, the dictionary tells."""
