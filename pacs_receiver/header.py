"""A walk over a data set while it streams past: the attributes that the index needs, and whether it ends where it says.

No length from the network is trusted: nothing is allocated by it, and the data set must reach exactly as far as its
lengths and delimiters claim (PS3.5 §7).
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable
from enum import Enum

from pacs_receiver.attributes import WANTED

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

_UNDEFINED = 0xFFFFFFFF
_ITEM_GROUP = 0xFFFE
_ITEM, _ITEM_END, _SEQUENCE_END = 0xE000, 0xE00D, 0xE0DD
_SHORT = frozenset(b"AE AS AT CS DA DS DT FD FL IS LO LT PN SH SL SS ST TM UI UL US".split())
_LONG = frozenset(b"OB OD OF OL OV OW SQ SV UC UN UR UT UV".split())
_FRAGMENTED = frozenset({b"OB", b"OW"})

_Unpack = Callable[..., tuple[int, ...]]


class Malformed(ValueError):
    """The data set's encoding is broken; the text says how and holds no value of it"""


class _Frame(Enum):
    SEQUENCE = "sequence"
    ITEM = "item"
    FRAGMENTS = "fragments"


class Scan:
    """Follows one data set. ``values`` fills with the encoded values of the wanted top-level attributes."""

    def __init__(self, transfer_syntax: str, *, inflated_limit: int = INFLATED_LIMIT, is_stored: bool = False) -> None:
        """``inflated_limit`` bounds what is inflated. A data set whose indexed attributes lie beyond is refused, unless
        it ``is_stored`` already: what was taken by another limit is never lost by this one.
        """
        self.values: dict[int, bytes] = {}
        self._inflated_limit = inflated_limit
        self._is_stored = is_stored
        self._reached = 0
        self._elements = 0
        self._seen_enough = False
        self._explicit = transfer_syntax != IMPLICIT_LITTLE
        order = ">" if transfer_syntax == EXPLICIT_BIG else "<"
        self._tag = struct.Struct(order + "HH").unpack_from
        self._short: Callable[..., tuple[int, int, bytes, int]] = struct.Struct(order + "HH2sH").unpack_from
        self._long: _Unpack = struct.Struct(order + "L").unpack_from
        self._implicit: _Unpack = struct.Struct(order + "HHL").unpack_from
        self._frames: list[tuple[_Frame, bool]] = []
        self._skip = 0
        self._carry = b""
        self._inflate = zlib.decompressobj(-zlib.MAX_WBITS) if transfer_syntax in DEFLATED else None
        self._inflated = 0
        self._trailing = 0

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
        if self._inflate is not None and not self._inflate.eof:
            raise Malformed("deflated data set without end")
        if self._skip or self._carry:
            raise Malformed("data set ends within an element")
        if self._frames:
            raise Malformed("data set ends within a sequence")

    def _feed_deflated(self, fragment: memoryview, inflate: zlib._Decompress) -> None:
        ended = inflate.eof
        if ended:
            self._trail(len(fragment))
            return
        pending: bytes | memoryview = fragment
        try:
            while True:
                out = inflate.decompress(pending, _INFLATE_STEP)
                self._inflated += len(out)
                self._walk(memoryview(out))
                is_long = self._inflated > self._inflated_limit or self._elements > _ELEMENTS_LIMIT
                if is_long and self._is_enough():
                    return
                pending = inflate.unconsumed_tail
                ended = inflate.eof
                if ended or (not pending and len(out) < _INFLATE_STEP):
                    break
        except zlib.error as exc:
            raise Malformed("data set is not deflated") from exc
        if ended:
            self._trail(len(inflate.unused_data))

    def _is_enough(self) -> bool:
        """Tell whether everything that the index needs has passed: then the rest is not inflated at all."""
        self._seen_enough = self._reached > _LAST_WANTED
        if not self._seen_enough and not self._is_stored:
            raise Malformed(f"no identification in the first {self._inflated} inflated bytes")
        return self._seen_enough

    def _trail(self, size: int) -> None:
        # PS3.5 §A.5: one NULL pads a deflated data set to an even length. Some devices leave the trailer that their
        # compressor wrote, a checksum and perhaps a length, and every reader ignores it.
        self._trailing += size
        if self._trailing > _TRAILER_LIMIT:
            raise Malformed("bytes after the end of the deflated data set")

    def _walk(self, fragment: memoryview) -> None:
        skip = self._skip
        size = len(fragment)
        if skip >= size:
            self._skip = skip - size
            return
        data = fragment[skip:] if skip else fragment
        self._skip = 0
        if self._carry:
            data = memoryview(self._carry + bytes(data))
            self._carry = b""
        position = self._parse(data)
        if position < len(data):
            self._carry = bytes(data[position:])
        else:
            self._skip = position - len(data)

    def _parse(self, data: memoryview) -> int:  # noqa: PLR0912 - one loop: it runs for each element of each instance
        """Step over whole elements; return where the first incomplete one begins, or where a value ends beyond."""
        position = 0
        tag = self._reached
        count = 0
        end = len(data)
        explicit = self._explicit
        frames = self._frames
        while end - position >= 8:
            count += 1
            group, number = self._tag(data, position)
            if frames or group == _ITEM_GROUP:
                within = frames[-1][0] if frames else None
                if group == _ITEM_GROUP or within is not _Frame.ITEM:
                    position = self._delimiter(group, number, self._long(data, position + 4)[0], within, position + 8)
                    explicit = self._explicit
                    continue
            vr = b""
            start = position + 8
            if explicit:
                _, _, vr, length = self._short(data, position)
                if vr not in _SHORT:
                    if vr not in _LONG and not (vr.isalpha() and vr.isupper()):
                        raise Malformed("data set is not in the negotiated transfer syntax")
                    if end - position < 12:
                        return position
                    length = self._long(data, start)[0]
                    start = position + 12
            else:
                length = self._long(data, position + 4)[0]
            if length == _UNDEFINED:
                self._open(vr, explicit)
                explicit = self._explicit
                position = start
                continue
            if not frames:
                if group < 0x0004:
                    raise Malformed("command or file meta elements in the data set")
                tag = group << 16 | number
                if tag in WANTED:
                    kept = length if length < VALUE_LIMIT else VALUE_LIMIT
                    if end - start < kept:
                        return position
                    if tag in self.values:
                        raise Malformed("an identifying element occurs twice")
                    self.values[tag] = bytes(data[start : start + kept])
            position = start + length
        self._reached = tag
        self._elements += count
        return position

    def _open(self, vr: bytes, explicit: bool) -> None:
        """An element of undefined length begins (PS3.5 §7.5, §A.4)."""
        if len(self._frames) >= DEPTH_LIMIT:
            raise Malformed("sequences nested too deeply")
        if not explicit or vr == b"SQ":
            self._frames.append((_Frame.SEQUENCE, explicit))
        elif vr == b"UN":
            # PS3.5 §6.2.2, note: a UN of undefined length is a sequence in implicit VR, little endian.
            self._frames.append((_Frame.SEQUENCE, explicit))
            self._explicit = False
        elif vr in _FRAGMENTED:
            self._frames.append((_Frame.FRAGMENTS, explicit))
        else:
            raise Malformed("undefined length in an element that can't have it")

    def _delimiter(self, group: int, number: int, length: int, within: _Frame | None, after: int) -> int:
        """Step over an item's start, an item's end or a sequence's end (PS3.5 §7.5); return the position behind it."""
        if group != _ITEM_GROUP or within is None:
            raise Malformed("an item where none is expected" if within is None else "no item where one is expected")
        if number == _ITEM and within is not _Frame.ITEM:
            if length != _UNDEFINED:
                return after + length
            if within is _Frame.FRAGMENTS:
                raise Malformed("a pixel data fragment of undefined length")
            if len(self._frames) >= DEPTH_LIMIT:
                raise Malformed("sequences nested too deeply")
            self._frames.append((_Frame.ITEM, self._explicit))
            return after
        if length != 0:
            raise Malformed("a delimiter with a length")
        if (number, within) == (_ITEM_END, _Frame.ITEM) or (number == _SEQUENCE_END and within is not _Frame.ITEM):
            self._explicit = self._frames.pop()[1]
            return after
        raise Malformed("a delimiter that closes nothing")
