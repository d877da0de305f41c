"""The data sets of Storage Commitment (PS3.4 Tables J.3-1 and J.3-2): read and written in one pass.

They can name a hundred thousand instances; a general reader takes a hundred times as long for them.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import IntEnum

from dicom_encoding import uids
from dicom_encoding.statuses import Status
from dicom_encoding.syntaxes import EXPLICIT_BIG, IMPLICIT_LITTLE
from dicom_listener.service import Refused

ALL_COMMITTED, SOME_FAILED = 1, 2

REFERENCE_BYTES = 200
"""The longest that a reference is: an item of two UIDs of 64 characters, with delimiters."""
_TRANSACTION_UID = 0x00081195
_SOP_CLASS_UID, _SOP_INSTANCE_UID, _FAILURE_REASON = 0x00081150, 0x00081155, 0x00081197
_FAILED_SEQUENCE, _REFERENCED_SEQUENCE = 0x00081198, 0x00081199
_ITEM, _ITEM_END, _SEQUENCE_END = 0xFFFEE000, 0xFFFEE00D, 0xFFFEE0DD
_UNDEFINED = 0xFFFFFFFF
_LONG_VRS = frozenset(b"OB OD OF OL OV OW SQ SV UC UN UR UT UV".split())
_ELEMENTS_BEFORE = 1000

Reference = tuple[str, str]
"""SOP class and SOP instance UID."""


class Failure(IntEnum):
    """Failure Reason (0008,1197), PS3.3 §C.14.1.1."""

    PROCESSING_FAILURE = Status.PROCESSING_FAILURE
    NO_SUCH_OBJECT_INSTANCE = Status.NO_SUCH_SOP_INSTANCE
    CLASS_INSTANCE_CONFLICT = Status.CLASS_INSTANCE_CONFLICT


@dataclass(frozen=True, slots=True)
class Result:
    """What came of a request: references that are safe here, and those that are not, with the reason."""

    transaction_uid: str
    committed: tuple[Reference, ...]
    failed: tuple[tuple[Reference, Failure], ...]

    @property
    def event_type(self) -> int:
        return SOME_FAILED if self.failed else ALL_COMMITTED

    def encoded(self, transfer_syntax: str) -> bytes:
        """The Event Information (PS3.4 Table J.3-2)."""
        write = _Writer(transfer_syntax)
        failed = (write.reference(reference, reason) for reference, reason in self.failed)
        safe = map(write.reference, self.committed)
        return (
            write.uid(_TRANSACTION_UID, self.transaction_uid)
            + (write.sequence(_FAILED_SEQUENCE, b"".join(failed)) if self.failed else b"")
            + (write.sequence(_REFERENCED_SEQUENCE, b"".join(safe)) if self.committed else b"")
        )


class _Writer:
    def __init__(self, transfer_syntax: str) -> None:
        order = ">" if transfer_syntax == EXPLICIT_BIG else "<"
        explicit = transfer_syntax != IMPLICIT_LITTLE
        self._item = struct.Struct(order + "HHL").pack
        self._number = struct.Struct(order + "H").pack
        self._short: Callable[..., bytes] = struct.Struct(order + ("HH2sH" if explicit else "HHL")).pack
        self._long: Callable[..., bytes] = struct.Struct(order + ("HH2sHL" if explicit else "HHL")).pack
        self._explicit = explicit

    def uid(self, tag: int, uid: str) -> bytes:
        value = uid.encode("ascii", "replace")
        return self._element(tag, b"UI", value + b"\0" * (len(value) % 2))

    def sequence(self, tag: int, items: bytes) -> bytes:
        vr = (b"SQ", 0) if self._explicit else ()
        return self._long(tag >> 16, tag & 0xFFFF, *vr, len(items)) + items

    def reference(self, reference: Reference, reason: Failure | None = None) -> bytes:
        body = self.uid(_SOP_CLASS_UID, reference[0]) + self.uid(_SOP_INSTANCE_UID, reference[1])
        if reason is not None:
            body += self._element(_FAILURE_REASON, b"US", self._number(int(reason)))
        return self._item(_ITEM >> 16, _ITEM & 0xFFFF, len(body)) + body

    def _element(self, tag: int, vr: bytes, value: bytes) -> bytes:
        return self._short(tag >> 16, tag & 0xFFFF, *((vr,) if self._explicit else ()), len(value)) + value


class _Reader:
    """Walks an encoded data set without recursion.

    :raises Refused: by every method, where it isn't one.
    """

    def __init__(self, data: bytes, transfer_syntax: str) -> None:
        order = ">" if transfer_syntax == EXPLICIT_BIG else "<"
        self._data = data
        self._explicit = transfer_syntax != IMPLICIT_LITTLE
        self._tag = struct.Struct(order + "HH")
        self._short = struct.Struct(order + "H").unpack_from
        self._long = struct.Struct(order + "L").unpack_from

    def count_items(self) -> int:
        """Return how many items there are at most; a value that looks like the head of one counts too."""
        return self._data.count(self._tag.pack(_ITEM >> 16, _ITEM & 0xFFFF))

    def head(self) -> str:
        """Return the transaction UID, read without looking at the references."""
        transaction_uid, at = "", 0
        for _ in range(_ELEMENTS_BEFORE):
            if at >= len(self._data):
                break
            tag, length, start = self._header(at)
            if tag == _TRANSACTION_UID:
                transaction_uid = self._text(start, start + length)
            if tag >= _REFERENCED_SEQUENCE:
                if tag != _REFERENCED_SEQUENCE or length == 0:
                    break
                if not uids.is_usable(transaction_uid):
                    raise Refused(Status.INVALID_ARGUMENT_VALUE, "Transaction UID is missing or not a UID")
                return transaction_uid
            at = self._end_of(start, length)
        if not uids.is_usable(transaction_uid):
            raise Refused(Status.INVALID_ARGUMENT_VALUE, "Transaction UID is missing or not a UID")
        raise Refused(Status.INVALID_ARGUMENT_VALUE, "Referenced SOP Sequence is missing or empty")

    def references(self) -> Iterator[Reference]:
        """Yield the references as they stand, UIDs or not."""
        for tag, start, stop in self._elements(0, len(self._data)):
            if tag == _REFERENCED_SEQUENCE:
                for first, end in self._items(start, stop):
                    values = {tag: self._text(begin, after) for tag, begin, after in self._elements(first, end)}
                    yield values.get(_SOP_CLASS_UID, ""), values.get(_SOP_INSTANCE_UID, "")
                return

    def _text(self, start: int, stop: int) -> str:
        return uids.decode(self._data[start : min(stop, start + 2 * uids.MAX_LENGTH)])

    def _elements(self, at: int, end: int) -> Iterator[tuple[int, int, int]]:
        while at < end:
            tag, length, start = self._header(at)
            if tag in (_ITEM_END, _SEQUENCE_END):
                return
            at = self._end_of(start, length)
            if at > end:
                raise _unreadable()
            yield tag, start, at

    def _items(self, at: int, end: int) -> Iterator[tuple[int, int]]:
        for tag, start, stop in self._elements(at, end):
            if tag != _ITEM:
                raise _unreadable()
            yield start, stop

    def _header(self, at: int) -> tuple[int, int, int]:
        """Return tag, length and the value's begin of the element at ``at``."""
        data = self._data
        try:
            group, element = self._tag.unpack_from(data, at)
            tag = group << 16 | element
            if not self._explicit or group == _ITEM >> 16:
                return tag, self._long(data, at + 4)[0], at + 8
            if data[at + 4 : at + 6] in _LONG_VRS:
                return tag, self._long(data, at + 8)[0], at + 12
            return tag, self._short(data, at + 6)[0], at + 8
        except struct.error:
            raise _unreadable() from None

    def _end_of(self, start: int, length: int) -> int:
        """Return where a value ends; one of undefined length behind its delimiter (PS3.5 §7.5)."""
        if length != _UNDEFINED:
            if start + length > len(self._data):
                raise _unreadable()
            return start + length
        depth, at = 1, start
        while depth:
            tag, length, start = self._header(at)
            if tag in (_ITEM_END, _SEQUENCE_END):
                depth -= 1
                at = start
            elif length == _UNDEFINED:
                depth += 1
                at = start
            else:
                at = start + length
        return at


def _unreadable() -> Refused:
    return Refused(Status.PROCESSING_FAILURE, "the action information can't be read")


def read_head(data: bytes, transfer_syntax: str, *, max_references: int) -> tuple[str, int]:
    """Return the transaction UID and how many references there are at most, at a cost that doesn't grow with them.

    :raises Refused: when the request can't be read, or names more than ``max_references``.
    """
    reader = _Reader(data, transfer_syntax)
    count = reader.count_items()
    if count > max_references:
        raise Refused(Status.RESOURCE_LIMITATION, f"more than {max_references} references")
    return reader.head(), count


def committed_in(report: bytes, transfer_syntax: str) -> tuple[Reference, ...]:
    """Return the references that an encoded Event Information reports as safe."""
    return tuple(_Reader(report, transfer_syntax).references())


def parse_request(data: bytes, transfer_syntax: str) -> tuple[str, tuple[Reference, ...]]:
    """Read the Action Information (PS3.4 Table J.3-1).

    :raises Refused: with what is wrong.
    """
    reader = _Reader(data, transfer_syntax)
    transaction_uid = reader.head()
    references = tuple(reader.references())
    if not references:
        raise Refused(Status.INVALID_ARGUMENT_VALUE, "Referenced SOP Sequence is missing or empty")
    if not all(uids.is_usable(uid) for reference in references for uid in reference):
        raise Refused(Status.INVALID_ARGUMENT_VALUE, "Referenced SOP Sequence holds what is not a UID")
    return transaction_uid, references
