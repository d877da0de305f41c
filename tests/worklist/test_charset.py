"""Text in every character set of DICOM, both ways."""

from __future__ import annotations

import warnings

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom.charset import convert_encodings
from pydicom.valuerep import PersonName

from mwl_admin.models.station import ResponseCharacterSet as Offered
from mwl_admin.worklist.charset import CharacterSet, split_terms

SAMPLES = [
    ("ISO_IR 100", "Buc^Jérôme"),
    ("ISO_IR 101", "Wałęsa^Lech"),
    ("ISO_IR 109", "Ġorġ^Ċensu"),
    ("ISO_IR 110", "Bērziņš^Jānis"),
    ("ISO_IR 126", "Διονυσιος"),
    ("ISO_IR 127", "قباني^لنزار"),
    ("ISO_IR 138", "שרון^דבורה"),
    ("ISO_IR 144", "Люкceмбypг"),
    ("ISO_IR 148", "Çavuşoğlu^Işık"),
    ("ISO_IR 166", "นามสกุล^ชื่อ"),
    ("ISO_IR 13", "ﾔﾏﾀﾞ^ﾀﾛｳ"),
    ("\\ISO 2022 IR 87", "Yamada^Tarou=山田^太郎=やまだ^たろう"),
    ("ISO 2022 IR 13\\ISO 2022 IR 87", "ﾔﾏﾀﾞ^ﾀﾛｳ=山田^太郎=やまだ^たろう"),
    ("\\ISO 2022 IR 149", "Hong^Gildong=洪^吉洞=홍^길동"),
    ("GB18030", "Wang^XiaoDong=王^小东"),
    ("GBK", "Wang^XiaoDong=王^小东"),
    ("ISO_IR 192", "Wang^XiaoDong=王^小東=Müller^Änne 🙂"),
    ("ISO 2022 IR 100\\ISO 2022 IR 144", "Buc^Jérôme=Люк^é"),
    ("ISO_IR 6", "Doe^Jane"),
]


@pytest.mark.parametrize(("value", "name"), SAMPLES)
def test_a_name_is_encoded_as_pydicom_encodes_it(value: str, name: str) -> None:
    expected = PersonName(name).encode(convert_encodings(value.split("\\")))
    assert CharacterSet(split_terms(value)).encode_name(name) == expected


@pytest.mark.parametrize(
    ("value", "name"), [*SAMPLES, ("\\ISO 2022 IR 58", "Zhang^XiaoDong=张^小东"), ("ISO_IR 203", "Œuvre^€")]
)
def test_what_was_encoded_is_decoded_to_the_same_text(value: str, name: str) -> None:
    charset = CharacterSet(split_terms(value))
    assert charset.known
    assert charset.decode(charset.encode_name(name), name=True) == name


@pytest.mark.parametrize(
    ("value", "encoded", "name"),
    [
        # PS3.5 Annex H.3.1, H.3.2, I.2, J.3 and K.2
        (
            "\\ISO 2022 IR 87",
            b"Yamada^Tarou=\x1b$B;3ED\x1b(B^\x1b$BB@O:\x1b(B=\x1b$B$d$^$@\x1b(B^\x1b$B$?$m$&\x1b(B",
            "Yamada^Tarou=山田^太郎=やまだ^たろう",
        ),
        (
            "ISO 2022 IR 13\\ISO 2022 IR 87",
            b"\xd4\xcf\xc0\xde^\xc0\xdb\xb3=\x1b$B;3ED\x1b(J^\x1b$BB@O:\x1b(J=\x1b$B$d$^$@\x1b(J^\x1b$B$?$m$&\x1b(J",
            "ﾔﾏﾀﾞ^ﾀﾛｳ=山田^太郎=やまだ^たろう",
        ),
        (
            "\\ISO 2022 IR 149",
            b"Hong^Gildong=\x1b$)C\xfb\xf3^\x1b$)C\xd1\xce\xd4\xd7=\x1b$)C\xc8\xab^\x1b$)C\xb1\xe6\xb5\xbf",
            "Hong^Gildong=洪^吉洞=홍^길동",
        ),
        ("GB18030", b"Wang^XiaoDong=\xcd\xf5^\xd0\xa1\xb6\xab=", "Wang^XiaoDong=王^小东="),
        (
            "\\ISO 2022 IR 58",
            b"Zhang^XiaoDong=\x1b$)A\xd5\xc5^\x1b$)A\xd0\xa1\xb6\xab",
            "Zhang^XiaoDong=张^小东",
        ),
    ],
)
def test_the_standards_own_examples(value: str, encoded: bytes, name: str) -> None:
    charset = CharacterSet(split_terms(value))
    assert charset.encode_name(name) == encoded
    assert charset.decode(encoded, name=True) == name


@pytest.mark.parametrize(
    ("value", "text", "encoded"),
    [
        ("ISO_IR 6", "Müller", b"M?ller"),
        ("ISO_IR 100", "Müller 山", b"M\xfcller ?"),
        ("\\ISO 2022 IR 87", "Müller 山田", b"\x1b(BM?ller \x1b$B;3ED\x1b(B"),
        ("\\ISO 2022 IR 100", "Müller", b"\x1b-AM\xfcller"),
        ("GBK", "김", b"?"),
        # Both halves of JIS X 0201 are there at once; pydicom would replace one of them.
        ("ISO_IR 13", "ﾔﾏ 1", b"\xd4\xcf 1"),
    ],
)
def test_what_a_set_cannot_carry_is_replaced_visibly(value: str, text: str, encoded: bytes) -> None:
    assert CharacterSet(split_terms(value)).encode(text) == encoded


def test_a_station_can_be_told_what_its_set_would_lose() -> None:
    assert CharacterSet(("ISO_IR 100",)).loses("Müller^Łucja 山") == {"Ł", "山"}
    assert CharacterSet(("ISO_IR 192",)).loses("Müller^Łucja 山") == set()


def test_every_set_that_the_site_offers_is_known() -> None:
    for value in Offered.values:
        charset = CharacterSet(split_terms(value))
        assert charset.known, value
        assert charset.encode("A") == b"A"


@pytest.mark.parametrize(
    ("value", "named"), [("ISO_IR 192", "ISO_IR 192"), ("ISO_IR 6", ""), ("", ""), ("\\ISO 2022 IR 87",) * 2]
)
def test_the_default_repertoire_has_no_name(value: str, named: str) -> None:
    assert CharacterSet(split_terms(value)).value == named


def test_common_slips_of_the_pen_are_understood() -> None:
    assert split_terms("ISO-IR 100\\ISO IR 144 ") == ("ISO_IR 100", "ISO_IR 144")


@given(st.binary(max_size=60), st.sampled_from([value for value, _ in SAMPLES]), st.booleans())
def test_any_bytes_decode_to_text_that_a_database_takes(data: bytes, value: str, is_name: bool) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        CharacterSet(split_terms(value)).decode(data, name=is_name).encode("utf-8")


@given(st.text(max_size=30), st.sampled_from([value for value, _ in SAMPLES]))
def test_any_text_can_be_encoded(text: str, value: str) -> None:
    charset = CharacterSet(split_terms(value))
    for encode in (charset.encode, charset.encode_name, charset.encode_values):
        assert isinstance(encode(text), bytes)
