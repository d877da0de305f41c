"""Each VR's rules, and the words in which a breach is told."""

from collections.abc import Callable

import pytest
from django.core.exceptions import ValidationError

from mwl_admin import validators as v

LEGAL: list[tuple[Callable[[str], None], str]] = [
    (v.validate_ae_title, "CT1"),
    (v.validate_ae_title, "A" * 16),
    (v.validate_ae_title, "ct-1 (old)"),
    (v.validate_code_string, "CT"),
    (v.validate_code_string, "A_1 2"),
    (v.validate_short_string, "é" * 16),
    (v.validate_long_string, "山" * 64),
    (v.validate_long_string, "non-breaking\u00a0space"),
    (v.validate_long_strings, "penicillin\nlatex\r\nnuts"),
    (v.validate_short_text, "x" * 1024),
    (v.validate_long_text, "line\r\nline\twith C:\\folder"),
    (v.validate_long_text, "x" * 10_240),
    (v.validate_uid, "1.2.840.10008.1.1"),
    (v.validate_uid, "2.25.0"),
    (v.validate_uid, "1." + "1" * 62),
    (v.validate_name_component, "van der Berg-O'Hara"),
    (v.validate_name_group, "A^B^C^D^E"),
    (v.validate_name_group, "山田^太郎"),
    (v.validate_person_name, "Yamada^Tarou=山田^太郎=やまだ^たろう"),
    (v.validate_person_name, "=".join(["x" * 64] * 3)),
    (v.validate_addresses, "192.0.2.1\n2001:db8::/32\n"),
]

ILLEGAL: list[tuple[Callable[[str], None], str, str]] = [
    (v.validate_ae_title, "A" * 17, "This AE title has 17 characters; DICOM allows at most 16."),
    (v.validate_ae_title, "CT\\1", "This value contains a backslash (\\), which in DICOM separates several values."),
    (
        v.validate_ae_title,
        "Röntgen",
        "An AE title may hold only unaccented letters, digits and punctuation, not the character U+00F6.",
    ),
    (v.validate_ae_title, "   ", "An AE title may not consist of spaces only."),
    (
        v.validate_code_string,
        "ct",
        "Only capital letters A-Z, digits, spaces and underscores may be used here, not “c”.",
    ),
    (v.validate_code_string, "A" * 17, "This value has 17 characters; DICOM allows at most 16."),
    (v.validate_short_string, "x" * 17, "This value has 17 characters; DICOM allows at most 16."),
    (
        v.validate_long_string,
        "two\nlines",
        "This value contains a line break, which DICOM does not allow here.",
    ),
    (
        v.validate_long_string,
        "bell\x07",
        "This value contains the character U+0007, which DICOM does not allow here.",
    ),
    (
        v.validate_long_string,
        "half \ud83d",
        "This value contains the character U+D83D, which DICOM does not allow here.",
    ),
    (v.validate_long_strings, "ok\n" + "x" * 65, "A line has 65 characters; DICOM allows at most 64."),
    (v.validate_short_text, "x" * 1025, "This value has 1025 characters; DICOM allows at most 1024."),
    (
        v.validate_long_text,
        "escape\x1b",
        "This value contains the character U+001B, which DICOM does not allow here.",
    ),
    (v.validate_uid, "1.2.a", "A UID holds only digits and dots, not “a”."),
    (v.validate_uid, "1.02", "No number in a UID may begin with a zero, as “02” does."),
    (v.validate_uid, "1..2", "A UID may not begin or end with a dot, or have two dots in a row."),
    (v.validate_uid, "1.2.", "A UID may not begin or end with a dot, or have two dots in a row."),
    (v.validate_uid, "1." + "1" * 63, "This UID has 65 characters; DICOM allows at most 64."),
    (v.validate_uid, "1.٢", "A UID holds only digits and dots, not “٢”."),
    (
        v.validate_name_component,
        "Doe^Jane",
        "A part of a name may not contain “^”, which in DICOM separates the parts of a name.",
    ),
    (
        v.validate_name_component,
        "Doe=Jane",
        "A part of a name may not contain “=”, which in DICOM separates the parts of a name.",
    ),
    (
        v.validate_name_group,
        "A=B",
        "This form of a name may not contain “=”, which in DICOM separates the forms of a name.",
    ),
    (
        v.validate_name_group,
        "A^B^C^D^E^F",
        "This form of the name has more than five parts; they are family^given^middle^prefix^suffix.",
    ),
    (
        v.validate_person_name,
        "a=b=c=d",
        "A name has at most three forms, separated by “=”: alphabetic, ideographic, phonetic.",
    ),
    (
        v.validate_person_name,
        "Doe=" + "山" * 65,
        "The ideographic form of the name has 65 characters; DICOM allows at most 64.",
    ),
    (
        v.validate_addresses,
        "192.0.2.1\nscanner",
        "“scanner” is neither an IP address nor a network such as 192.0.2.0/24.",
    ),
]


@pytest.mark.parametrize(("validator", "value"), LEGAL)
def test_it_takes_what_the_vr_allows(validator: Callable[[str], None], value: str) -> None:
    validator(value)


@pytest.mark.parametrize(("validator", "value", "message"), ILLEGAL)
def test_it_says_what_is_wrong(validator: Callable[[str], None], value: str, message: str) -> None:
    with pytest.raises(ValidationError) as caught:
        validator(value)
    assert caught.value.messages == [message]


@pytest.mark.parametrize("validator", dict.fromkeys(validator for validator, *_ in LEGAL))
def test_it_leaves_the_empty_value_to_the_field(validator: Callable[[str], None]) -> None:
    validator("")
