"""What the index needs of a data set while it streams past, and whether the data set ends where it says.

The walk is that of all readers (:mod:`dicom_encoding.walk`): nothing is allocated by a length from the network. What
devices get wrong is stepped over and noted (:mod:`.oddities`), and kept as it came.
"""

from __future__ import annotations

import zlib

from dicom_encoding.faults import Fault, MalformedDataSet, NestedTooDeep
from dicom_encoding.syntaxes import DEFLATED
from dicom_encoding.walk import ANY_NESTING, HIGHEST_NESTING, Walk
from pacs_receiver.indexed_attributes import WANTED
from pacs_receiver.oddities import Malformed, Oddities, Oddity, disagree, is_identified, says_nothing

INFLATED_LIMIT = 256 << 20
"""Bytes to which a deflated data set is inflated to see whether it is whole; what comes behind them is kept unseen."""
_INFLATE_STEP = 1 << 20
_TRAILER_LIMIT = 9
_LAST_WANTED = max(WANTED)
_ELEMENTS_LIMIT = 500_000
"""Elements of a deflated data set that are looked at: a kilobyte of it may hold a hundred thousand."""


class Scan(Walk):
    """Follows one data set. ``values`` fills with the encoded values of the wanted top-level attributes."""

    skims = True
    wanted = WANTED

    def __init__(
        self,
        transfer_syntax: str,
        *,
        inflated_limit: int = INFLATED_LIMIT,
        max_nesting: int = HIGHEST_NESTING,
        refuse_odd: bool = False,
        is_stored: bool = False,
    ) -> None:
        """``inflated_limit`` bounds what is inflated. A data set whose indexed attributes lie beyond is refused, as is
        one whose sequences nest deeper than ``max_nesting``, unless it ``is_stored`` already: what was taken by other
        settings is never lost by these.
        """
        super().__init__(transfer_syntax, ANY_NESTING if is_stored else max_nesting)
        self.values: dict[int, bytes] = {}
        self._inflated_limit = inflated_limit
        self._is_stored = is_stored
        self._oddities = Oddities(strict=refuse_odd and not is_stored)
        self._in_order = True
        self._seen_enough = False
        self._inflate = zlib.decompressobj(-zlib.MAX_WBITS) if transfer_syntax in DEFLATED else None
        self._trailing = 0

    @property
    def odd(self) -> str:
        """What is odd about the data set as far as it was read; empty when nothing is."""
        return str(self._oddities)

    def feed(self, fragment: memoryview) -> None:
        """Take the next bytes of the data set as received.

        :raises Malformed: when they are none.
        """
        if self._seen_enough:
            return
        if self._inflate is None:
            self._follow(fragment)
            return
        self._feed_deflated(fragment, self._inflate)

    def finish(self) -> None:
        """The data set has ended.

        :raises Malformed: when it should not have.
        """
        if self._seen_enough:
            return
        if self._inflate is not None and not self._inflate.eof:
            raise Malformed("deflated data set without end", Oddity("", self._reached, self._total).at)
        try:
            super().finish()
        except MalformedDataSet as error:
            raise Malformed(str(error), error.at) from error

    def _feed_deflated(self, fragment: memoryview, inflate: zlib._Decompress) -> None:
        ended = inflate.eof
        if ended:
            self._trail(len(fragment))
            return
        pending: bytes | memoryview = fragment
        try:
            while True:
                out = inflate.decompress(pending, _INFLATE_STEP)
                self._follow(memoryview(out))
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

    def _follow(self, fragment: memoryview) -> None:
        try:
            super().feed(fragment)
        except NestedTooDeep as error:
            raise Malformed(str(error), error.at) from error
        except MalformedDataSet as error:
            self._go_on(error, fragment)

    def _go_on(self, fault: MalformedDataSet, fragment: memoryview) -> None:
        """Go on behind the outermost sequence where its length is known; else the walk is lost."""
        end = self._leave_all()
        if end < 0:
            self._lose(Oddity(str(fault), fault.tag, fault.offset))
            return
        self.note(fault.fault, fault.tag, fault.offset)
        self._carry = b""
        if end >= self._total:
            self._skip = end - self._total
            return
        behind = self._total - end
        self._total = end
        self._follow(fragment[len(fragment) - behind :])

    def _lose(self, oddity: Oddity) -> None:
        """The walk ends here: what follows is kept unseen when the data set is identified, else it is refused."""
        if not is_identified(self.values, in_order=self._in_order):
            raise Malformed(oddity.what, oddity.at)
        self._oddities.note(oddity)
        self._seen_enough = True

    def note(self, fault: Fault, tag: int, offset: int) -> None:
        """Remember a fault: nothing that can be stepped over keeps an image out, unless the setting says so."""
        self._oddities.note(Oddity(fault, tag, offset))

    def misplaced(self, tag: int, reached: int, offset: int) -> None:
        """Remember that the order of elements says nothing any more."""
        self._in_order = False
        is_repeated = tag == reached or tag in self.values
        what = "an element occurs twice" if is_repeated else "elements out of order"
        self._oddities.note(Oddity(what, tag, offset))

    def value(self, tag: int, value: bytes, offset: int) -> None:
        """Keep a wanted value. Of an element that occurs twice the first that says anything counts, as in DCMTK."""
        first = self.values.get(tag)
        if first is not None:
            if disagree(tag, first, value):
                oddity = Oddity("an identifying element occurs twice and differs", tag, offset)
                raise Malformed(oddity.what, oddity.at)
            self._oddities.note(Oddity("an element occurs twice", tag, offset))
        if first is None or says_nothing(first):
            self.values[tag] = value
