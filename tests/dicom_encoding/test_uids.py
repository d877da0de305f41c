"""UIDs from the network."""

from __future__ import annotations

import pytest

from dicom_encoding.uids import decode, is_legal, is_usable


@pytest.mark.parametrize(
    "uid", ["1.2.840.10008.1.2", "2.25.329800735698586629295641978511506172918", "1.02.3", "0", "1" * 64]
)
def test_a_uid_is_usable(uid: str) -> None:
    assert is_usable(uid)


@pytest.mark.parametrize(
    "uid",
    ["", ".", "..", "1..2", ".1", "1.", "1.2/../3", "../1", "1.2\n", "1.2\0", "1.2 ", "1.a", "1.-2", "1.²", "1.٣",
     "1" * 65, "1.2\\1.3", "/etc", "1.2;3"],
)  # fmt: skip
def test_anything_that_could_be_more_than_a_file_name_is_not_usable(uid: str) -> None:
    assert not is_usable(uid)


@pytest.mark.parametrize(("value", "uid"), [(b"1.2\0", "1.2"), (b"1.2 ", "1.2"), (None, ""), (b"", "")])
def test_padding_is_no_part_of_a_uid(value: bytes | None, uid: str) -> None:
    assert decode(value) == uid


def test_bytes_that_are_not_ascii_never_become_a_usable_uid() -> None:
    assert not is_usable(decode(b"1.2\xff"))


@pytest.mark.parametrize(
    ("uid", "legal"),
    [("1.2.0.3", True), ("0", True), ("1.02.3", False), ("01.2", False), ("1.00", False), ("1..2", False)],
)
def test_the_letter_of_the_standard_wants_no_leading_zeros(uid: str, legal: bool) -> None:
    assert is_legal(uid) == legal
