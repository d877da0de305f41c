"""How the header of one element, item or delimiter is read (PS3.5 §7.1, §7.5)."""

from __future__ import annotations

import struct
from collections.abc import Callable

UNDEFINED = 0xFFFFFFFF
ITEM_GROUP = 0xFFFE
ITEM, ITEM_END, SEQUENCE_END = 0xFFFEE000, 0xFFFEE00D, 0xFFFEE0DD
SWAPPED = frozenset({0xFEFF00E0, 0xFEFFDDE0})
"""An item and a sequence's end, read in the wrong byte order."""


class Astray(Exception):
    """The walk can't go on behind ``position``: nothing says where the next element begins"""

    def __init__(self, what: str, tag: int, position: int) -> None:
        super().__init__(what)
        self.tag = tag
        self.position = position


class Order:
    """Reads numbers in one byte order."""

    __slots__ = ("explicit", "implicit", "long")

    def __init__(self, mark: str) -> None:
        self.explicit: Callable[..., tuple[int, int, bytes, int]] = struct.Struct(mark + "HH2sH").unpack_from
        self.implicit: Callable[..., tuple[int, int, int]] = struct.Struct(mark + "HHL").unpack_from
        self.long: Callable[..., tuple[int]] = struct.Struct(mark + "L").unpack_from


LITTLE, BIG = Order("<"), Order(">")
