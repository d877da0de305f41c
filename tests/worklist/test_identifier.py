"""From bytes to keys: what is right is read in every transfer syntax, what is wrong is told apart."""

from __future__ import annotations

import contextlib
import struct
import zlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom import Dataset

from dicom_encoding.syntaxes import DEFLATED_LITTLE, EXPLICIT_BIG, EXPLICIT_LITTLE, IMPLICIT_LITTLE, SYNTAXES
from mwl_admin.worklist.identifier import MAX_KEYS, MAX_NESTING, parse
from mwl_admin.worklist.jsonmodel import to_json
from mwl_admin.worklist.query_errors import IdentifierError
from tests.worklist.queries import encoded, identifier

STEP_SEQUENCE, MODALITY, PATIENT_NAME = 0x00400100, 0x00080060, 0x00100010


def sample() -> Dataset:
    return identifier(
        step={"Modality": "CT", "ScheduledStationAETitle": "CT1 "},
        PatientName="Doe^J*",
        SpecificCharacterSet="ISO_IR 100",
        RequestedProcedureCodeSequence=[],
    )


@pytest.mark.parametrize("syntax", [IMPLICIT_LITTLE, EXPLICIT_LITTLE, EXPLICIT_BIG])
def test_keys_are_read_in_every_transfer_syntax(syntax: str) -> None:
    read = parse(encoded(sample(), syntax), syntax)
    assert read.text(PATIENT_NAME) == "Doe^J*"
    step = read.first_item(STEP_SEQUENCE)
    assert step is not None
    assert (step.text(MODALITY), step.text(0x00400001)) == ("CT", "CT1")
    assert read.get(0x00321064).items == ()  # type: ignore[union-attr]


def test_a_deflated_identifier_is_read() -> None:
    compressor = zlib.compressobj(wbits=-15)
    data = compressor.compress(encoded(sample(), EXPLICIT_LITTLE)) + compressor.flush()
    assert parse(data, DEFLATED_LITTLE).text(PATIENT_NAME) == "Doe^J*"


@pytest.mark.parametrize("syntax", [IMPLICIT_LITTLE, EXPLICIT_LITTLE, EXPLICIT_BIG])
def test_sequences_and_items_of_undefined_length_are_read(syntax: str) -> None:
    ds = sample()
    ds["ScheduledProcedureStepSequence"].is_undefined_length = True
    ds.ScheduledProcedureStepSequence[0].is_undefined_length_sequence_item = True
    step = parse(encoded(ds, syntax), syntax).first_item(STEP_SEQUENCE)
    assert step is not None
    assert step.text(MODALITY) == "CT"


def test_group_lengths_are_passed_over_in_items_too() -> None:
    item = struct.pack("<HHLL", 0x0008, 0x0000, 4, 10) + struct.pack("<HHL2s", 0x0008, 0x0060, 2, b"MR")
    sequence = struct.pack("<HHL", 0xFFFE, 0xE000, len(item)) + item
    data = struct.pack("<HHLL", 0x0040, 0x0000, 4, 99) + struct.pack("<HHL", 0x0040, 0x0100, len(sequence)) + sequence
    read = parse(data, IMPLICIT_LITTLE)
    assert list(read.keys) == [STEP_SEQUENCE]
    assert list(read.first_item(STEP_SEQUENCE).keys) == [MODALITY]  # type: ignore[union-attr]


def test_keys_out_of_order_are_sorted_and_of_two_the_first_counts() -> None:
    def element(tag: int, value: bytes) -> bytes:
        return struct.pack("<HHL", tag >> 16, tag & 0xFFFF, len(value)) + value

    data = element(0x00100020, b"P1") + element(PATIENT_NAME, b"A ") + element(0x00100020, b"P2")
    read = parse(data, IMPLICIT_LITTLE)
    assert [key.tag for key in read] == [PATIENT_NAME, 0x00100020]
    assert read.text(0x00100020) == "P1"


def test_a_sequence_of_unknown_vr_holds_implicit_elements() -> None:
    item = struct.pack("<HHL2s", 0x0008, 0x0060, 2, b"MR")
    sequence = struct.pack("<HHL", 0xFFFE, 0xE000, len(item)) + item
    data = struct.pack("<HH2sHL", 0x0040, 0x0100, b"UN", 0, len(sequence)) + sequence
    assert parse(data, EXPLICIT_LITTLE).first_item(STEP_SEQUENCE).text(MODALITY) == "MR"  # type: ignore[union-attr]


def nested(depth: int) -> bytes:
    data = b""
    for _ in range(depth):
        item = struct.pack("<HHL", 0xFFFE, 0xE000, len(data)) + data
        data = struct.pack("<HHL", 0x0040, 0x0100, len(item)) + item
    return data


@pytest.mark.parametrize(
    ("data", "syntax", "comment"),
    [
        (b"\x10", IMPLICIT_LITTLE, "The identifier ends inside an element"),
        (b"\x10\x00\x10\x00\x08\x00\x00\x00Doe", IMPLICIT_LITTLE, "(0010,0010) is longer than what holds it"),
        (b"\x10\x00\x10\x00??\x00\x00", EXPLICIT_LITTLE, "(0010,0010) has no valid VR"),
        (b"\x10\x00\x10\x00PN\x08\x00Doe", EXPLICIT_LITTLE, "(0010,0010) is longer than what holds it"),
        (
            b"\xfe\xff\x00\xe0\x00\x00\x00\x00",
            IMPLICIT_LITTLE,
            "An item delimiter (FFFE,E000) where an element belongs",
        ),
        (
            b"\x40\x00\x00\x01\x08\x00\x00\x00\x10\x00\x10\x00\x00\x00\x00\x00",
            IMPLICIT_LITTLE,
            "(0040,0100) holds something that is no item",
        ),
        (b"\x40\x00\x00\x01\xff\xff\xff\xff", IMPLICIT_LITTLE, "(0040,0100) has no end"),
        (
            b"\x40\x00\x00\x01\xff\xff\xff\xff\xfe\xff\x00\xe0\xff\xff\xff\xff",
            IMPLICIT_LITTLE,
            "An item has no end",
        ),
        (nested(MAX_NESTING + 1), IMPLICIT_LITTLE, f"Sequences are nested more than {MAX_NESTING} deep"),
        (b"\x10\x00\x20\x00\x00\x00\x00\x00" * (MAX_KEYS + 1), IMPLICIT_LITTLE, f"More than {MAX_KEYS} keys"),
        (b"not deflated", DEFLATED_LITTLE, "The deflated identifier cannot be inflated"),
        (b"", "1.2.840.10008.1.2.4.50", "The transfer syntax is not one for identifiers"),
    ],
)
def test_each_fault_is_told_apart(data: bytes, syntax: str, comment: str) -> None:
    with pytest.raises(IdentifierError) as caught:
        parse(data, syntax)
    assert caught.value.comment == comment
    assert len(comment) <= 64


def test_a_deflated_bomb_is_not_inflated() -> None:
    compressor = zlib.compressobj(9, wbits=-15)
    with pytest.raises(IdentifierError, match="longer than 1048576 bytes when inflated"):
        parse(compressor.compress(b"\0" * 50_000_000) + compressor.flush(), DEFLATED_LITTLE)


@pytest.mark.parametrize("size", [1000, 1001, 1002, 5000])
def test_the_limit_of_a_deflated_identifier_is_exact(size: int) -> None:
    whole = b"\x10\x00\x20\x40UT\0\0" + (size - 12).to_bytes(4, "little") + b"x" * (size - 12)
    compressor = zlib.compressobj(9, wbits=-15)
    data = compressor.compress(whole) + compressor.flush()
    if size <= 1000:
        assert len(parse(data, DEFLATED_LITTLE, max_inflated=1000).text(0x00104020)) == size - 12
        return
    with pytest.raises(IdentifierError, match="longer than 1000 bytes"):
        parse(data, DEFLATED_LITTLE, max_inflated=1000)


@settings(max_examples=500)
@given(st.binary(max_size=200), st.sampled_from(sorted(SYNTAXES)))
def test_any_bytes_are_read_or_refused(data: bytes, syntax: str) -> None:
    with contextlib.suppress(IdentifierError):
        to_json(parse(data, syntax))


@settings(max_examples=500)
@given(st.data(), st.sampled_from([IMPLICIT_LITTLE, EXPLICIT_LITTLE, EXPLICIT_BIG]))
def test_a_damaged_identifier_is_read_or_refused(data: st.DataObject, syntax: str) -> None:
    whole = bytearray(encoded(sample(), syntax))
    for _ in range(data.draw(st.integers(1, 4))):
        whole[data.draw(st.integers(0, len(whole) - 1))] = data.draw(st.integers(0, 255))
    cut = data.draw(st.integers(0, len(whole)))
    with contextlib.suppress(IdentifierError):
        to_json(parse(bytes(whole[:cut]), syntax))
