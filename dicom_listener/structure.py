"""The structure of an encoded data set (PS3.5 §7): checked before anything recursive reads what a peer sent."""

from __future__ import annotations

from struct import Struct

IMPLICIT_VR_LITTLE_ENDIAN = "1.2.840.10008.1.2"
EXPLICIT_VR_BIG_ENDIAN = "1.2.840.10008.1.2.2"
DEFLATED = frozenset(
    {"1.2.840.10008.1.2.1.99", "1.2.840.10008.1.2.8.1", "1.2.840.10008.1.2.4.95", "1.2.840.10008.1.2.4.205"}
)

_ITEM, _ITEM_END, _SEQUENCE_END = 0xFFFEE000, 0xFFFEE00D, 0xFFFEE0DD
_UNDEFINED = 0xFFFFFFFF
_LONG_VRS = frozenset({b"OB", b"OD", b"OF", b"OL", b"OV", b"OW", b"SQ", b"SV", b"UC", b"UN", b"UR", b"UT", b"UV"})


class MalformedDataSet(Exception):
    """A data set whose structure does not hold; the text says why and holds nothing of its content."""


class NestedTooDeep(MalformedDataSet):
    """Its sequences nest deeper than the limit."""


def check_nesting(data: bytes, transfer_syntax: str, limit: int) -> None:
    """Raise :class:`MalformedDataSet` when sequences nest deeper than ``limit`` or an element does not fit.

    Deflated data sets are not looked into: who inflates them looks then.
    """
    if not data or transfer_syntax in DEFLATED:
        return
    _Walk(data, transfer_syntax).run(limit)


class _Walk:
    """Goes through the element headers once, with a stack of its own instead of recursion."""

    def __init__(self, data: bytes, transfer_syntax: str) -> None:
        order = ">" if transfer_syntax == EXPLICIT_VR_BIG_ENDIAN else "<"
        self._data = data
        self._tag = Struct(order + "HH")
        self._short = Struct(order + "H")
        self._long = Struct(order + "L")
        self._implicit = transfer_syntax == IMPLICIT_VR_LITTLE_ENDIAN
        self._position = 0

    def run(self, limit: int) -> None:
        ends: list[int | None] = []  # of the sequences and items that are open; None: an own delimiter ends it
        while self._position < len(self._data):
            while ends and ends[-1] is not None and self._position >= ends[-1]:
                ends.pop()
            tag, length, is_sequence = self._header()
            if tag in (_ITEM_END, _SEQUENCE_END):
                if not ends:
                    raise MalformedDataSet("Delimiter outside a sequence")
                ends.pop()
            elif tag == _ITEM or is_sequence:
                if len(ends) >= 2 * limit:
                    raise NestedTooDeep(f"Sequences are nested more than {limit} deep")
                ends.append(None if length == _UNDEFINED else self._end_of(length, ends))
            else:
                self._position = self._end_of(length, ends)

    def _end_of(self, length: int, ends: list[int | None]) -> int:
        end = self._position + length
        enclosing = next((known for known in reversed(ends) if known is not None), len(self._data))
        if end > enclosing:
            raise MalformedDataSet("An element is longer than what holds it")
        return end

    def _read(self, struct: Struct) -> tuple[int, ...]:
        if self._position + struct.size > len(self._data):
            raise MalformedDataSet("The data set ends within an element's header")
        values = struct.unpack_from(self._data, self._position)
        self._position += struct.size
        return values

    def _header(self) -> tuple[int, int, bool]:
        group, element = self._read(self._tag)
        tag = group << 16 | element
        if self._implicit or group == 0xFFFE:
            (length,) = self._read(self._long)
            return tag, length, length == _UNDEFINED
        vr = self._data[self._position : self._position + 2]
        self._position += 2
        if vr not in _LONG_VRS:
            (length,) = self._read(self._short)
            return tag, length, False
        self._position += 2
        (length,) = self._read(self._long)
        return tag, length, vr == b"SQ" or length == _UNDEFINED
