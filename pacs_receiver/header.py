"""A walk over a data set while it streams past: the attributes that the index needs, and whether it ends where it says.

No length from the network is trusted: nothing is allocated by it, and the data set must reach exactly as far as its
lengths and delimiters claim (PS3.5 §7). What else devices get wrong is stepped over and noted (:mod:`.oddities`).
"""

from __future__ import annotations

import zlib
from enum import Enum

from pacs_receiver.attributes import WANTED
from pacs_receiver.element_headers import (
    BIG,
    ITEM,
    ITEM_END,
    ITEM_GROUP,
    LITTLE,
    SEQUENCE_END,
    SWAPPED,
    UNDEFINED,
    Astray,
    Order,
)
from pacs_receiver.oddities import (
    LONG_VRS,
    SHORT_VRS,
    Malformed,
    Oddities,
    Oddity,
    disagree,
    has_long_form,
    is_identified,
    says_nothing,
)

IMPLICIT_LITTLE = "1.2.840.10008.1.2"
EXPLICIT_BIG = "1.2.840.10008.1.2.2"
DEFLATED = frozenset({"1.2.840.10008.1.2.1.99", "1.2.840.10008.1.2.4.95", "1.2.840.10008.1.2.4.205"})
"""Deflated Explicit VR Little Endian and the two JPIP deflate syntaxes: the data set as a whole is deflated."""

VALUE_LIMIT = 1024
"""Bytes of a wanted value that are kept; every indexed VR is far shorter."""
DEPTH_LIMIT = 128
INFLATED_LIMIT = 256 << 20
"""Bytes to which a deflated data set is inflated to see whether it is whole; what comes behind them is kept unseen."""
_INFLATE_STEP = 1 << 20
_TRAILER_LIMIT = 9
_LAST_WANTED = max(WANTED)
_ELEMENTS_LIMIT = 500_000
"""Elements of a deflated data set that are looked at: a kilobyte of it may hold a hundred thousand."""

_FRAGMENTED = frozenset({b"OB", b"OW"})
_FILE_META_GROUP = 0x0002
_META_VRS = frozenset({b"AE", b"OB", b"SH", b"UI", b"UL"})
"""File meta information is in explicit VR, little endian, whatever the data set is in (PS3.10 §7.1)."""
_NULS = bytes(8)


class _Frame(Enum):
    SEQUENCE = "sequence"
    ITEM = "item"
    FRAGMENTS = "fragments"


class Scan:
    """Follows one data set. ``values`` fills with the encoded values of the wanted top-level attributes."""

    def __init__(
        self,
        transfer_syntax: str,
        *,
        inflated_limit: int = INFLATED_LIMIT,
        refuse_odd: bool = False,
        is_stored: bool = False,
    ) -> None:
        """``inflated_limit`` bounds what is inflated. A data set whose indexed attributes lie beyond is refused, unless
        it ``is_stored`` already: what was taken by other settings is never lost by these.
        """
        self.values: dict[int, bytes] = {}
        self._inflated_limit = inflated_limit
        self._is_stored = is_stored
        self._oddities = Oddities(strict=refuse_odd and not is_stored)
        self._reached = 0
        self._in_order = True
        self._elements = 0
        self._seen_enough = False
        self._explicit = transfer_syntax != IMPLICIT_LITTLE
        self._is_big = transfer_syntax == EXPLICIT_BIG
        self._order = BIG if self._is_big else LITTLE
        self._frames: list[tuple[_Frame, bool, Order]] = []
        self._begin = 0  # where the piece that is parsed begins in the data set
        self._total = 0
        self._skip = 0
        self._carry = b""
        self._padding = False
        self._inflate = zlib.decompressobj(-zlib.MAX_WBITS) if transfer_syntax in DEFLATED else None
        self._trailing = 0

    @property
    def odd(self) -> str:
        """What is odd about the data set as far as it was read; empty when nothing is."""
        return str(self._oddities)

    def feed(self, fragment: memoryview) -> None:
        """Take the next bytes of the data set as received. Raises :class:`Malformed`."""
        if self._seen_enough:
            return
        if self._inflate is None:
            self._walk(fragment)
            return
        self._feed_deflated(fragment, self._inflate)

    def finish(self) -> None:
        """The data set has ended. Raises :class:`Malformed` when it should not have."""
        if self._seen_enough:
            return
        here = Oddity("", self._reached, self._total)
        if self._inflate is not None and not self._inflate.eof:
            raise Malformed("deflated data set without end", here.at)
        if self._frames:
            raise Malformed("data set ends within a sequence", here.at)
        if self._skip or any(self._carry):
            raise Malformed("data set ends within an element", here.at)
        if self._carry:
            self._note("NULs after the data set", 0, self._total - len(self._carry) - self._begin)

    def _feed_deflated(self, fragment: memoryview, inflate: zlib._Decompress) -> None:
        ended = inflate.eof
        if ended:
            self._trail(len(fragment))
            return
        pending: bytes | memoryview = fragment
        try:
            while True:
                out = inflate.decompress(pending, _INFLATE_STEP)
                self._walk(memoryview(out))
                is_long = self._total > self._inflated_limit or self._elements > _ELEMENTS_LIMIT
                if self._seen_enough or (is_long and self._is_enough()):
                    return
                pending = inflate.unconsumed_tail
                ended = inflate.eof
                if ended or (not pending and len(out) < _INFLATE_STEP):
                    break
        except zlib.error as error:
            raise Malformed("data set is not deflated") from error
        if ended:
            self._trail(len(inflate.unused_data))

    def _is_enough(self) -> bool:
        """Tell whether everything that the index needs has passed: then the rest is not inflated at all."""
        self._seen_enough = self._reached > _LAST_WANTED
        if not self._seen_enough and not self._is_stored:
            raise Malformed(f"no identification in the first {self._total} inflated bytes")
        return self._seen_enough

    def _trail(self, size: int) -> None:
        # PS3.5 §A.5: one NULL pads a deflated data set to an even length. Some devices leave the trailer that their
        # compressor wrote, a checksum and perhaps a length, and every reader ignores it.
        self._trailing += size
        if self._trailing > _TRAILER_LIMIT:
            self._lose(Oddity("bytes after the end of the deflated data set", self._reached, self._total))

    def _walk(self, fragment: memoryview) -> None:
        skip = self._skip
        size = len(fragment)
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
        try:
            position = self._pad(data, 0) if self._padding else self._parse(data)
        except Astray as error:
            self._lose(Oddity(str(error), error.tag, self._begin + error.position))
            return
        if position < len(data):
            self._carry = bytes(data[position:])
        else:
            self._skip = position - len(data)

    def _lose(self, oddity: Oddity) -> None:
        """The walk ends here: what follows is kept unseen when the data set is identified, else it is refused."""
        if not is_identified(self.values, in_order=self._in_order):
            raise Malformed(oddity.what, oddity.at)
        self._oddities.note(oddity)
        self._seen_enough = True

    def _note(self, what: str, tag: int, position: int) -> None:
        self._oddities.note(Oddity(what, tag, self._begin + position))

    def _parse(self, data: memoryview) -> int:  # noqa: PLR0912 - one loop: it runs for each element of each instance
        """Step over whole elements; return where the first incomplete one begins, or where a value ends beyond."""
        position = count = 0
        reached, end = self._reached, len(data)
        explicit, order, frames = self._explicit, self._order, self._frames
        while end - position >= 8:
            count += 1
            if explicit:
                group, number, vr, length = order.explicit(data, position)
            else:
                group, number, length = order.implicit(data, position)
                vr = b""
            tag = group << 16 | number
            if frames or group == ITEM_GROUP:
                within = frames[-1][0] if frames else None
                if group == ITEM_GROUP or within is not _Frame.ITEM:
                    position = self._delimiter(tag, order.long(data, position + 4)[0], within, position)
                    explicit, order = self._explicit, self._order
                    continue
            elif group < 0x0004:
                if self._is_padding(data, tag, position):
                    position = end
                    break
                if group == _FILE_META_GROUP and bytes(data[position + 4 : position + 6]) in _META_VRS:
                    _, _, vr, length = order.explicit(data, position)
            start = position + 8
            if vr and vr not in SHORT_VRS and (vr in LONG_VRS or self._has_long_form(vr, length, tag, position)):
                if end - position < 12:
                    break
                length = order.long(data, start)[0]
                start = position + 12
            if not frames:
                if tag <= reached:
                    self._misplaced(tag, reached, position)
                if tag in WANTED and length != UNDEFINED:
                    kept = length if length < VALUE_LIMIT else VALUE_LIMIT
                    if end - start < kept:
                        break
                    self._keep(tag, bytes(data[start : start + kept]), position)
                reached = tag
            if length == UNDEFINED:
                self._open(vr, explicit, tag, position)
                explicit, order = self._explicit, self._order
                position = start
                continue
            if length & 1:
                self._note("an odd length", tag, position)
            position = start + length
        self._reached = reached
        self._elements += count
        return position

    def _has_long_form(self, vr: bytes, length: int, tag: int, position: int) -> bool:
        is_long = has_long_form(vr, length)
        if is_long is None:
            raise Astray("data set is not in the negotiated transfer syntax", tag, position)
        self._note("a VR that is none", tag, position)
        return is_long

    def _misplaced(self, tag: int, reached: int, position: int) -> None:
        self._in_order = False
        is_repeated = tag == reached or tag in self.values
        self._note("an element occurs twice" if is_repeated else "elements out of order", tag, position)

    def _keep(self, tag: int, value: bytes, position: int) -> None:
        """Keep a wanted value. Of an element that occurs twice the first that says anything counts, as in DCMTK."""
        first = self.values.get(tag)
        if first is not None:
            if disagree(tag, first, value):
                oddity = Oddity("an identifying element occurs twice and differs", tag, self._begin + position)
                raise Malformed(oddity.what, oddity.at)
            self._note("an element occurs twice", tag, position)
        if first is None or says_nothing(first):
            self.values[tag] = value

    def _is_padding(self, data: memoryview, tag: int, position: int) -> bool:
        if data[position : position + 8] == _NULS:
            self._pad(data, position)
            return True
        self._note("command or file meta elements in the data set", tag, position)
        return False

    def _pad(self, data: memoryview, position: int) -> int:
        """NULs from here on, as of devices that pad to a block; return the end."""
        if bytes(data[position:]).strip(b"\0"):
            raise Astray("bytes behind NULs after the data set", 0, position)
        if not self._padding:
            self._note("NULs after the data set", 0, position)
        self._padding = True
        return len(data)

    def _open(self, vr: bytes, explicit: bool, tag: int, position: int) -> None:
        """An element of undefined length begins (PS3.5 §7.5, §A.4)."""
        if len(self._frames) >= DEPTH_LIMIT:
            raise Malformed("sequences nested too deeply")
        if not explicit or vr in (b"SQ", b"UN"):
            self._frames.append((_Frame.SEQUENCE, explicit, self._order))
            if vr == b"UN":
                # PS3.5 §6.2.2, note: its content is in implicit VR, little endian, whatever the data set is in
                self._explicit, self._order = False, LITTLE
        elif vr in _FRAGMENTED:
            self._frames.append((_Frame.FRAGMENTS, explicit, self._order))
        else:
            raise Astray("undefined length in an element that can't have it", tag, position)

    def _delimiter(self, tag: int, length: int, within: _Frame | None, position: int) -> int:
        """Step over an item's start, an item's end or a sequence's end (PS3.5 §7.5); return the position behind it."""
        if tag in SWAPPED and within is _Frame.SEQUENCE and self._is_big and self._order is LITTLE:
            # not what §6.2.2 says, but what a device does that swaps all it writes
            self._note("UN of undefined length in big endian", tag, position)
            self._order = BIG
            return position
        after = position + 8
        if tag >> 16 != ITEM_GROUP:
            raise Astray("no item where one is expected", tag, position)
        if tag == ITEM and within in (_Frame.SEQUENCE, _Frame.FRAGMENTS):
            if length != UNDEFINED:
                return after + length
            if within is _Frame.FRAGMENTS:
                raise Astray("a pixel data fragment of undefined length", tag, position)
            if len(self._frames) >= DEPTH_LIMIT:
                raise Malformed("sequences nested too deeply")
            self._frames.append((_Frame.ITEM, self._explicit, self._order))
            return after
        if length != 0 or tag not in (ITEM_END, SEQUENCE_END):
            raise Astray("an item or a delimiter where none is expected", tag, position)
        if within is None:
            self._note("a delimiter that closes nothing", tag, position)
            return after
        if (tag == ITEM_END) != (within is _Frame.ITEM):
            raise Astray("a delimiter that closes nothing", tag, position)
        _, self._explicit, self._order = self._frames.pop()
        return after
