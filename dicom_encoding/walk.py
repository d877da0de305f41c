"""The walk over an encoded data set (PS3.5 §7): where elements begin and end, what holds what, and whether it fits.

One walk for all that read data sets by their structure, so that what one takes the others take. It needs no whole data
set, no recursion, and no memory that a length from the network decides. A reader is a subclass: it overrides the
methods under "what a reader is told".
"""

from __future__ import annotations

from collections.abc import Container
from enum import Enum, auto

from dicom_encoding.elements import (
    BIG,
    ITEM,
    ITEM_END,
    ITEM_GROUP,
    LITTLE,
    LONG_VRS,
    SEQUENCE_END,
    SEQUENCE_TAGS,
    SHORT_VRS,
    SWAPPED,
    UNDEFINED,
    Order,
    has_long_form,
    is_later_vr,
)
from dicom_encoding.faults import Fault, MalformedDataSet, NestedTooDeep
from dicom_encoding.syntaxes import is_big, is_implicit, is_native

HIGHEST_NESTING = 128
"""The highest limit of nesting that a setting may give: what reads items within items by recursion bears it."""
ANY_NESTING = 1 << 27
"""A limit beyond what fits into the four gigabytes that a length can tell of."""
VALUE_LIMIT = 1024
"""Bytes of a wanted value that are kept; every VR of identifiers and names is shorter."""

_FRAGMENTED = frozenset({b"OB", b"OW"})
_FILE_META_GROUP = 0x0002
_META_VRS = frozenset({b"AE", b"OB", b"SH", b"UI", b"UL"})
"""File meta information is in explicit VR, little endian, whatever the data set is in (PS3.10 §7.1)."""
_NULS = bytes(8)
_NO_BOUND = 1 << 62
_LEVEL_BYTES = 16
"""What a level of nesting takes at least: the headers of a sequence in implicit VR, and of an item."""
_REFUSED = frozenset({Fault.ODD_VR, Fault.CLOSES_NOTHING, Fault.FRAGMENTS})
"""What could be stepped over, but more likely means that the data set is no data set in this transfer syntax."""


class Kind(Enum):
    """What is open."""

    SEQUENCE = auto()
    ITEM = auto()
    FRAGMENTS = auto()


_Frame = tuple[Kind, bool, Order, int, int]
"""What is open; whether VRs are explicit, and the byte order, behind it; its end, -1 with a delimiter; outer bound."""


class Walk:
    """Goes over one data set, whole (:meth:`run`) or in pieces (:meth:`feed`, then :meth:`finish`).

    A deflated data set is given inflated.

    :raises MalformedDataSet: by every method, where the walk can't go on.
    :raises NestedTooDeep: by every method, where more than ``max_nesting`` sequences are open.
    """

    every = False
    """Whether all elements are handed to :meth:`element`; only a whole data set has all of each value."""
    skims = False
    """Whether sequences and items of known length are stepped over as soon as they are too short to nest too deep."""
    wanted: Container[int] = frozenset()
    """Tags whose values, at the top level, are handed to :meth:`value`, cut after :data:`VALUE_LIMIT` bytes."""

    def __init__(self, transfer_syntax: str, max_nesting: int) -> None:
        self._max_nesting = max_nesting
        self._is_native = is_native(transfer_syntax)
        self._is_big = is_big(transfer_syntax)
        self._explicit = not is_implicit(transfer_syntax)
        self._order = BIG if self._is_big else LITTLE
        self._frames: list[_Frame] = []
        self._depth = 0  # sequences among the frames
        self._level = _LEVEL_BYTES if self.skims else 0
        self._heavy = max_nesting * self._level  # the length from which a sequence is gone into
        self._bound = _NO_BOUND  # where the innermost end that is known is, in the data set
        self._begin = 0  # where the piece that is parsed begins in the data set
        self._total = 0
        self._skip = 0
        self._carry = b""
        self._padding = False
        self._reached = 0
        self._elements = 0

    # what a reader is told

    def element(self, tag: int, vr: bytes, value: bytes) -> None:
        """An element that is no sequence; ``vr`` is empty in implicit VR."""

    def value(self, tag: int, value: bytes, offset: int) -> None:
        """A wanted element."""

    def opened(self, tag: int, offset: int) -> None:
        """A sequence begins."""

    def closed(self) -> None:
        """The innermost sequence ends."""

    def item_began(self) -> None:
        """An item of the innermost sequence begins."""

    def item_ended(self) -> None:
        """The innermost item ends."""

    def fragments(self, tag: int, vr: bytes) -> None:
        """An element whose value comes in fragments (PS3.5 §A.4)."""

    def misplaced(self, tag: int, reached: int, offset: int) -> None:
        """An element at the top level comes behind ``reached``, which is no lower (PS3.5 §7.1)."""

    def note(self, fault: Fault, tag: int, offset: int) -> None:
        """A fault that can be stepped over.

        :raises MalformedDataSet: for those that are not.
        """
        if fault in _REFUSED:
            raise MalformedDataSet(fault, tag, offset)

    # the walk

    def run(self, data: bytes) -> None:
        """Go over a whole data set."""
        self._bound = self._total = len(data)
        self._advance(data, self._parse(data))
        self.finish()

    def feed(self, fragment: memoryview) -> None:
        """Go over the next bytes of a data set."""
        size, skip = len(fragment), self._skip
        self._total += size
        if skip >= size:
            self._skip = skip - size
            return
        data = fragment[skip:] if skip else fragment
        self._skip = 0
        if self._carry:
            data = memoryview(self._carry + bytes(data))
            self._carry = b""
        self._begin = self._total - len(data)
        self._advance(data, self._pad(data, 0) if self._padding else self._parse(data))

    def finish(self) -> None:
        """The data set has ended."""
        if self._frames and not self._skip and not self._carry:
            self._begin = self._total
            self._parse(b"")  # closes what ends here
        if self._frames:
            raise MalformedDataSet(Fault.ENDS_IN_SEQUENCE, self._reached, self._total)
        if self._skip or any(self._carry):
            raise MalformedDataSet(Fault.ENDS_IN_ELEMENT, self._reached, self._total)
        if self._carry:
            self.note(Fault.NULS, 0, self._total - len(self._carry))

    def _advance(self, data: bytes | memoryview, position: int) -> None:
        if position < len(data):
            self._carry = bytes(data[position:])
        else:
            self._skip = position - len(data)

    def _parse(self, data: bytes | memoryview) -> int:  # noqa: PLR0912, PLR0915 - one loop: it runs for each element
        """Step over whole elements; return where the first incomplete one begins, or where a value ends beyond."""
        position = count = tag = at = 0
        begin, end, bound = self._begin, len(data), self._bound - self._begin
        stop, heavy = (bound if bound < end else end) - 8, self._heavy
        reached, explicit, order, frames = self._reached, self._explicit, self._order, self._frames
        every, wanted = self.every, self.wanted
        while True:
            if position > stop:
                if position > bound:
                    raise MalformedDataSet(Fault.TOO_LONG, tag, begin + at)
                if position < bound and end - position < 8:
                    break
                if not frames:  # the end of a whole data set
                    break
                self._close(position)
                explicit, order, bound = self._explicit, self._order, self._bound - begin
                stop, heavy = (bound if bound < end else end) - 8, self._heavy
                continue
            count += 1
            if explicit:
                group, number, vr, length = order.explicit(data, position)
            else:
                group, number, length = order.implicit(data, position)
                vr = b""
            tag = group << 16 | number
            if frames or group == ITEM_GROUP:
                if group == ITEM_GROUP or frames[-1][0] is not Kind.ITEM:
                    position = self._delimiter(tag, order.long(data, position + 4)[0], position)
                    explicit, order, bound = self._explicit, self._order, self._bound - begin
                    stop, heavy = (bound if bound < end else end) - 8, self._heavy
                    continue
            elif group < 0x0004:
                if self._is_padding(data, tag, position):
                    position = end
                    break
                if group == _FILE_META_GROUP and bytes(data[position + 4 : position + 6]) in _META_VRS:
                    _, _, vr, length = LITTLE.explicit(data, position)
            start = position + 8
            if vr and vr not in SHORT_VRS and (vr in LONG_VRS or self._has_long_form(vr, length, tag, position)):
                if end - position < 12:
                    break
                length = order.long(data, start)[0]
                start = position + 12
            if not frames:
                if tag <= reached:
                    self.misplaced(tag, reached, begin + position)
                if tag in wanted and length != UNDEFINED:
                    kept = length if length < VALUE_LIMIT else VALUE_LIMIT
                    if end - start < kept:
                        break
                    self.value(tag, bytes(data[start : start + kept]), begin + position)
                reached = tag
            if length >= heavy:
                after = start + length
                is_open = True
                if length == UNDEFINED:
                    self._open(vr, tag, position)
                elif after > bound:
                    raise MalformedDataSet(Fault.TOO_LONG, tag, begin + position)
                elif vr == b"SQ" or ((not vr or vr == b"UN") and tag in SEQUENCE_TAGS):
                    self._enter(vr, tag, begin + position, begin + after)
                else:
                    is_open = False
                    if every:
                        self.element(tag, vr, bytes(data[start:after]))
                if is_open:
                    position = start
                    explicit, order, bound = self._explicit, self._order, self._bound - begin
                    stop, heavy = (bound if bound < end else end) - 8, self._heavy
                    continue
            if length & 1:
                self.note(Fault.ODD_LENGTH, tag, begin + position)
            at = position
            position = start + length
        self._reached = reached
        self._elements += count
        return position

    def _has_long_form(self, vr: bytes, length: int, tag: int, position: int) -> bool:
        is_long = has_long_form(vr, length)
        if is_long is None:
            raise MalformedDataSet(Fault.NO_VR, tag, self._begin + position)
        self.note(Fault.LATER_VR if is_later_vr(vr) else Fault.ODD_VR, tag, self._begin + position)
        return is_long

    def _is_padding(self, data: bytes | memoryview, tag: int, position: int) -> bool:
        if data[position : position + 8] == _NULS:
            self._pad(data, position)
            return True
        self.note(Fault.META, tag, self._begin + position)
        return False

    def _pad(self, data: bytes | memoryview, position: int) -> int:
        """NULs from here on, as of devices that pad to a block; return the end."""
        if bytes(data[position:]).strip(b"\0"):
            raise MalformedDataSet(Fault.BEHIND_NULS, 0, self._begin + position)
        if not self._padding:
            self.note(Fault.NULS, 0, self._begin + position)
        self._padding = True
        return len(data)

    def _open(self, vr: bytes, tag: int, position: int) -> None:
        """An element of undefined length begins (PS3.5 §7.5, §A.4)."""
        if not self._explicit or vr in (b"SQ", b"UN"):
            self._enter(vr, tag, self._begin + position, -1)
        elif vr in _FRAGMENTED:
            if self._is_native:
                self.note(Fault.FRAGMENTS, tag, self._begin + position)
            self._frames.append((Kind.FRAGMENTS, self._explicit, self._order, -1, self._bound))
            self.fragments(tag, vr)
        else:
            raise MalformedDataSet(Fault.UNDEFINED_VALUE, tag, self._begin + position)

    def _enter(self, vr: bytes, tag: int, offset: int, end: int) -> None:
        """A sequence begins at ``offset`` and ends at ``end``, or with its delimiter."""
        if self._depth >= self._max_nesting:
            raise NestedTooDeep(self._max_nesting, tag, offset)
        self._depth += 1
        self._heavy -= self._level
        self._frames.append((Kind.SEQUENCE, self._explicit, self._order, end, self._bound))
        if end >= 0:
            self._bound = end
        if vr == b"UN":
            # PS3.5 §6.2.2, note: its content is in implicit VR, little endian, whatever the data set is in
            self._explicit, self._order = False, LITTLE
        self.opened(tag, offset)

    def _close(self, position: int) -> None:
        """What is open has reached its end, or the end of what holds it."""
        if self._begin + position < self._bound:
            raise MalformedDataSet(Fault.TOO_LONG, self._reached, self._begin + position)
        if self._frames[-1][3] < 0:
            raise MalformedDataSet(Fault.NO_END, self._reached, self._begin + position)
        self._leave()

    def _leave(self) -> None:
        kind, self._explicit, self._order, _, self._bound = self._frames.pop()
        if kind is Kind.ITEM:
            self.item_ended()
        elif kind is Kind.SEQUENCE:
            self._depth -= 1
            self._heavy += self._level
            self.closed()

    def _leave_all(self) -> int:
        """Leave everything that is open; return where the outermost ends, -1 when nothing tells."""
        if not self._frames:
            return -1
        _, self._explicit, self._order, end, self._bound = self._frames[0]
        self._frames.clear()
        self._depth = 0
        self._heavy = self._max_nesting * self._level
        return end

    def _delimiter(self, tag: int, length: int, position: int) -> int:
        """Step over an item's start, an item's end or a sequence's end (PS3.5 §7.5); return the position behind it."""
        within = self._frames[-1][0] if self._frames else None
        if tag in SWAPPED and within is Kind.SEQUENCE and self._is_big and self._order is LITTLE:
            # not what §6.2.2 says, but what a device does that swaps all it writes
            self.note(Fault.SWAPPED_UN, tag, self._begin + position)
            self._order = BIG
            return position
        if tag >> 16 != ITEM_GROUP:
            raise MalformedDataSet(Fault.NO_ITEM, tag, self._begin + position)
        after = position + 8
        if self._begin + after > self._bound:
            raise MalformedDataSet(Fault.TOO_LONG, tag, self._begin + position)
        if tag == ITEM and within in (Kind.SEQUENCE, Kind.FRAGMENTS):
            return self._item(within, length, after)
        if length != 0 or tag not in (ITEM_END, SEQUENCE_END):
            raise MalformedDataSet(Fault.LONG_DELIMITER, tag, self._begin + position)
        if within is None:
            self.note(Fault.CLOSES_NOTHING, tag, self._begin + position)
            return after
        if (tag == ITEM_END) != (within is Kind.ITEM) or self._frames[-1][3] >= 0:
            raise MalformedDataSet(Fault.CLOSES_ANOTHER, tag, self._begin + position)
        self._leave()
        return after

    def _item(self, within: Kind | None, length: int, start: int) -> int:
        """Begin an item, or step over a fragment."""
        offset = self._begin + start
        if length != UNDEFINED and offset + length > self._bound:
            raise MalformedDataSet(Fault.TOO_LONG, ITEM, offset - 8)
        if within is Kind.FRAGMENTS:
            if length == UNDEFINED:
                raise MalformedDataSet(Fault.UNDEFINED_FRAGMENT, ITEM, offset - 8)
            return start + length
        end = -1
        if length != UNDEFINED:
            if length + 8 < self._heavy + self._level:  # the innermost sequence may be empty, and takes 8
                return start + length
            end = offset + length
        self._frames.append((Kind.ITEM, self._explicit, self._order, end, self._bound))
        if end >= 0:
            self._bound = end
        self.item_began()
        return start


def check_nesting(data: bytes, transfer_syntax: str, max_nesting: int) -> None:
    """Look whether sequences nest no deeper than ``max_nesting``, and whether each element fits.

    ``data`` is not deflated: who inflates it looks then.

    :raises MalformedDataSet: when one does not.
    """
    Walk(transfer_syntax, max_nesting).run(data)
