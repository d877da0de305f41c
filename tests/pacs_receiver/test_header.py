"""The scan over a data set that streams past."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom import Dataset, dcmread
from pydicom.uid import DeflatedExplicitVRLittleEndian, ExplicitVRBigEndian, ImplicitVRLittleEndian

from dicom_encoding.walk import HIGHEST_NESTING
from pacs_receiver import indexed_attributes
from pacs_receiver.header import Scan
from pacs_receiver.oddities import Malformed
from tests.pacs_receiver.images import EXPLICIT, encode, image
from tests.pacs_receiver.testdata import REGULAR, data_set_of

BIG = str(ExplicitVRBigEndian)
IMPLICIT = str(ImplicitVRLittleEndian)
DEFLATED = str(DeflatedExplicitVRLittleEndian)


def scan(data: bytes, transfer_syntax: str = EXPLICIT, piece: int = 1 << 16) -> dict[int, bytes]:
    walk = Scan(transfer_syntax)
    for start in range(0, len(data), piece):
        walk.feed(memoryview(data)[start : start + piece])
    walk.finish()
    return walk.values


def element(tag: int, vr: str, value: bytes) -> bytes:
    head = struct.pack("<HH", tag >> 16, tag & 0xFFFF) + vr.encode()
    if vr in ("OB", "OW", "SQ", "UN", "UT"):
        return head + struct.pack("<HL", 0, len(value)) + value
    return head + struct.pack("<H", len(value)) + value


def undefined(tag: int, vr: str, content: bytes) -> bytes:
    return struct.pack("<HH", tag >> 16, tag & 0xFFFF) + vr.encode() + b"\0\0\xff\xff\xff\xff" + content


ITEM = b"\xfe\xff\x00\xe0\xff\xff\xff\xff"
ITEM_END = b"\xfe\xff\x0d\xe0\0\0\0\0"
SEQUENCE_END = b"\xfe\xff\xdd\xe0\0\0\0\0"


def item(content: bytes) -> bytes:
    return b"\xfe\xff\x00\xe0" + struct.pack("<L", len(content)) + content


@pytest.mark.parametrize("syntax", [EXPLICIT, IMPLICIT, BIG])
@pytest.mark.parametrize("piece", [1, 3, 11, 1 << 16])
def test_it_finds_the_indexed_values_however_the_data_set_is_cut(syntax: str, piece: int) -> None:
    ds = image()
    values = scan(encode(ds, syntax), syntax, piece)
    assert values[indexed_attributes.SOP_INSTANCE_UID].rstrip(b"\0").decode() == ds.SOPInstanceUID
    assert indexed_attributes.columns("patient", values)["name"] == "Prüfer^Anna"
    assert indexed_attributes.columns("study", values)["accession_number"] == "A4711"
    assert indexed_attributes.columns("instance", values) == {"instance_number": "1"}


@pytest.mark.parametrize("piece", [1, 100, 1 << 16])
def test_it_looks_into_a_deflated_data_set(piece: int) -> None:
    deflate = zlib.compressobj(wbits=-15)
    data = deflate.compress(encode(image(size=1 << 16))) + deflate.flush()
    values = scan(data + b"\0" * (len(data) % 2), DEFLATED, piece)
    assert indexed_attributes.columns("patient", values)["patient_id"] == "P-1"


@pytest.mark.parametrize("path", REGULAR, ids=lambda path: path.name)
def test_it_agrees_with_pydicom_on_real_files(path: Path) -> None:
    ds = dcmread(path, stop_before_pixels=True)
    data = data_set_of(path)
    if path.name in IRREGULAR:
        with pytest.raises(Malformed):
            scan(data, ds.file_meta.TransferSyntaxUID, 1000)
        return
    values = scan(data, ds.file_meta.TransferSyntaxUID, 1000)
    assert values.get(indexed_attributes.STUDY_INSTANCE_UID, b"").rstrip(b"\0").decode() == ds.get(
        "StudyInstanceUID", ""
    )
    assert indexed_attributes.columns("patient", values)["name"] == str(ds.get("PatientName", "")).strip()


IRREGULAR = {"rtplan_truncated.dcm", "MR_truncated.dcm"}
"""Cut short."""


def sequence_of(depth: int) -> bytes:
    return undefined(0x00400275, "SQ", ITEM + (sequence_of(depth - 1) if depth else b"") + ITEM_END + SEQUENCE_END)


WELL_FORMED = {
    "nothing": b"",
    "sequences of undefined length": element(0x00100020, "LO", b"P1") + sequence_of(3),
    "an item of defined length": undefined(0x00400275, "SQ", item(element(0x00100020, "LO", b"X ")) + SEQUENCE_END),
    "an empty sequence": undefined(0x00400275, "SQ", SEQUENCE_END),
    "pixel data in fragments": undefined(0x7FE00010, "OB", item(b"") + item(b"abcd") + SEQUENCE_END),
    "UN of undefined length holds implicit VR": undefined(
        0x00091010, "UN", ITEM + b"\x10\x00\x20\x00\x02\0\0\0P1" + ITEM_END + SEQUENCE_END
    )
    + element(0x00100020, "LO", b"P1"),
    "an unknown VR has the long form": struct.pack("<HH", 0x0009, 0x1010) + b"ZZ\0\0\x02\0\0\0ab",
    "an odd length": element(0x00100020, "LO", b"P12"),
    "trailing padding": element(0xFFFCFFFC, "OB", bytes(100)),
}


NAME = element(0x00100020, "LO", b"P1")
ODD = {
    "the Patient ID twice": NAME + NAME,
    "an item end at the top": NAME + ITEM_END,
    "a sequence end at the top": NAME + SEQUENCE_END,
    "a command element": element(0x00000100, "US", b"\1\0") + NAME,
    "a file meta element": element(0x00020010, "UI", b"1.2\0") + NAME,
    "zeros at the end": NAME + bytes(8),
    "a single byte at the end": NAME + b"\0",
}
"""Stepped over, and noted: tests/pacs_receiver/odd_data_sets.py has the kinds."""


@pytest.mark.parametrize("data", (WELL_FORMED | ODD).values(), ids=(WELL_FORMED | ODD).keys())
@pytest.mark.parametrize("piece", [1, 1 << 16])
def test_it_lets_through(data: bytes, piece: int) -> None:
    scan(data, piece=piece)


MALFORMED = {
    "a header cut short": NAME[:6],
    "a value cut short": NAME[:-1],
    "a length beyond the end": struct.pack("<HH2sHL", 0x7FE0, 0x0010, b"OW", 0, 1000) + b"short",
    "a sequence without end": undefined(0x00400275, "SQ", ITEM + NAME + ITEM_END),
    "an item without end": undefined(0x00400275, "SQ", ITEM + NAME),
    "pixel data fragments without end": undefined(0x7FE00010, "OB", item(b"abcd")),
    "an element where an item belongs": undefined(0x00400275, "SQ", NAME + SEQUENCE_END),
    "a sequence end within an item": undefined(0x00400275, "SQ", ITEM + SEQUENCE_END),
    "an item at the top": item(b""),
    "a delimiter with a length": undefined(0x00400275, "SQ", b"\xfe\xff\xdd\xe0\x02\0\0\0ab"),
    "a fragment of undefined length": undefined(0x7FE00010, "OB", ITEM + SEQUENCE_END),
    "a text of undefined length": undefined(0x00104000, "UT", SEQUENCE_END),
    "too deep a nesting": sequence_of(HIGHEST_NESTING),
    "two Patient IDs": NAME + element(0x00100020, "LO", b"P2"),
    "a whole Part 10 file": bytes(128) + b"DICM" + NAME,
    "no VR where one belongs": encode(image(), IMPLICIT),
}


@pytest.mark.parametrize("data", MALFORMED.values(), ids=MALFORMED.keys())
@pytest.mark.parametrize("piece", [1, 1 << 16])
def test_it_finds_fault_with(data: bytes, piece: int) -> None:
    with pytest.raises(Malformed):
        scan(data, piece=piece)


@pytest.mark.parametrize(
    "data",
    [b"not deflated at all", zlib.compress(NAME)[2:-4] + b"more than ten", zlib.compress(NAME)[2:-6]],
    ids=["no deflate stream", "bytes after the end", "no end"],
)
def test_it_finds_fault_with_a_deflated_data_set_that_is(data: bytes) -> None:
    with pytest.raises(Malformed):
        scan(data, DEFLATED)


def test_a_huge_length_costs_no_memory() -> None:
    walk = Scan(EXPLICIT)
    walk.feed(memoryview(struct.pack("<HH2sHL", 0x0010, 0x0020, b"UT", 0, 0xFFFFFFFE) + b"x" * 5000))
    assert len(walk.values[indexed_attributes.INDEXED[0].tag]) == 1024
    with pytest.raises(Malformed):
        walk.finish()


@given(st.binary(max_size=300), st.sampled_from([EXPLICIT, IMPLICIT, BIG, DEFLATED]), st.integers(1, 40))
def test_no_bytes_make_it_fail_in_any_other_way(data: bytes, syntax: str, piece: int) -> None:
    try:
        values = scan(data, syntax, piece)
    except Malformed:
        return
    for level in ("patient", "study", "series", "instance"):
        indexed_attributes.columns(level, values)


@given(st.binary(max_size=60), st.binary(max_size=40))
def test_any_name_in_any_character_set_becomes_text_that_can_be_stored(name: bytes, terms: bytes) -> None:
    text = indexed_attributes.columns("patient", {0x00100010: name, indexed_attributes.SPECIFIC_CHARACTER_SET: terms})[
        "name"
    ]
    assert "\0" not in text
    text.encode("utf-8")


@pytest.mark.parametrize(
    ("character_set", "name"),
    [
        (["", "ISO 2022 IR 87"], "Yamada^Tarou=山田^太郎=やまだ^たろう"),
        ("ISO_IR 100", "Müller^Jörg"),
        ("GB18030", "Wang^XiaoDong=王^小东"),
        (["", "ISO 2022 IR 149"], "Hong^Gildong=洪^吉洞=홍^길동"),
        ("ISO_IR 144", "Люкceмбypг"),
    ],
)
def test_names_are_read_in_the_character_set_that_the_data_set_names(character_set: str | list[str], name: str) -> None:
    ds = Dataset()
    ds.SpecificCharacterSet = character_set
    ds.PatientName = name
    assert indexed_attributes.columns("patient", scan(encode(ds)))["name"] == name
