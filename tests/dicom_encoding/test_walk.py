"""The walk through a data set before anything recursive reads it."""

from __future__ import annotations

import struct
from io import BytesIO

import pytest
from pydicom import Dataset, dcmwrite

from dicom_encoding.faults import MalformedDataSet, NestedTooDeep
from dicom_encoding.walk import check_nesting

IMPLICIT = "1.2.840.10008.1.2"
EXPLICIT = "1.2.840.10008.1.2.1"
BIG_ENDIAN = "1.2.840.10008.1.2.2"
SYNTAXES = {IMPLICIT: (True, True), EXPLICIT: (False, True), BIG_ENDIAN: (False, False)}


def nested(depth: int, *, undefined: bool = False) -> Dataset:
    ds = Dataset()
    ds.PatientID = "P-1"
    for _ in range(depth):
        outer = Dataset()
        outer.RequestAttributesSequence = [ds, Dataset()]
        outer["RequestAttributesSequence"].is_undefined_length = undefined
        ds.is_undefined_length_sequence_item = undefined
        outer.PatientComments = "after"
        ds = outer
    return ds


def encoded(ds: Dataset, syntax: str) -> bytes:
    implicit, little = SYNTAXES[syntax]
    buffer = BytesIO()
    dcmwrite(buffer, ds, implicit_vr=implicit, little_endian=little)
    return buffer.getvalue()


@pytest.mark.parametrize("undefined", [False, True])
@pytest.mark.parametrize("depth", [1, 2, 5])
@pytest.mark.parametrize("syntax", [EXPLICIT, BIG_ENDIAN])
def test_as_deep_as_allowed_and_no_deeper(syntax: str, depth: int, undefined: bool) -> None:
    data = encoded(nested(depth, undefined=undefined), syntax)
    check_nesting(data, syntax, depth)
    with pytest.raises(NestedTooDeep, match=f"more than {depth - 1} deep"):
        check_nesting(data, syntax, depth - 1)


def test_implicit_vr_shows_its_sequences_where_their_length_is_undefined() -> None:
    data = encoded(nested(3, undefined=True), IMPLICIT)
    check_nesting(data, IMPLICIT, 3)
    with pytest.raises(NestedTooDeep):
        check_nesting(data, IMPLICIT, 2)


@pytest.mark.parametrize(
    "data",
    [
        b"\x10\x00\x20\x00LO\x05\x00abcd",
        b"\x10\x00\x20\x00UT\x00\x00\xff\x00\x00\x00abcd",
        b"\x10\x00\x20\x00L",
        b"\x10\x00\x20",
        b"\xfe\xff\x0d\xe0\x00\x00\x00\x00",
        b"\x40\x00\x00\x01SQ\x00\x00\x08\x00\x00\x00\xfe\xff\x00\xe0\x10\x00\x00\x00",
    ],
    ids=["value cut", "long value cut", "VR cut", "tag cut", "end of nothing", "item longer than its sequence"],
)
def test_what_does_not_fit_is_malformed(data: bytes) -> None:
    with pytest.raises(MalformedDataSet) as caught:
        check_nesting(data, EXPLICIT, 8)
    assert "abcd" not in str(caught.value)


def test_a_hundred_thousand_levels_cost_no_stack_and_no_time() -> None:
    start = struct.pack("<HH2sHL", 0x0040, 0x0275, b"SQ", 0, 0xFFFFFFFF) + struct.pack(
        "<HHL", 0xFFFE, 0xE000, 0xFFFFFFFF
    )
    ends = struct.pack("<HHLHHL", 0xFFFE, 0xE00D, 0, 0xFFFE, 0xE0DD, 0)
    check_nesting(start * 100 + ends * 100, EXPLICIT, 100)
    with pytest.raises(NestedTooDeep):
        check_nesting(start * 100_000, EXPLICIT, 100)


def test_an_empty_data_set_holds() -> None:
    check_nesting(b"", EXPLICIT, 1)
