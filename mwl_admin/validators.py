"""DICOM's own rules for the values of each VR (PS3.5 section 6.2), told in plain words.

Every validator takes a value as it would stand in a data element, and raises ``ValidationError`` with a text that
names what is wrong. Empty values pass: whether a value is required is a matter of the field, not of its VR.
"""

import ipaddress
import re
import unicodedata
from collections.abc import Callable

from django.core.exceptions import ValidationError

AE_LENGTH = 16
CS_LENGTH = 16
LO_LENGTH = 64
LT_LENGTH = 10_240
PN_GROUP_LENGTH = 64
PN_GROUPS = ("alphabetic", "ideographic", "phonetic")
PN_COMPONENTS = 5
PN_LENGTH = len(PN_GROUPS) * PN_GROUP_LENGTH + 2
SH_LENGTH = 16
ST_LENGTH = 1_024
UI_LENGTH = 64

TEXT_CONTROLS = frozenset("\t\n\f\r")
UNPRINTABLE = frozenset({"Cc", "Cs", "Zl", "Zp"})  # control characters, halves of surrogate pairs, line separators

Validator = Callable[[str], None]


def _describe(character: str) -> str:
    if character in TEXT_CONTROLS:
        return {"\t": "a tab", "\n": "a line break", "\r": "a line break", "\f": "a page break"}[character]
    return f"the character U+{ord(character):04X}"


def _refuse_longer(value: str, limit: int, what: str = "This value") -> None:
    if len(value) > limit:
        raise ValidationError(
            f"{what} has {len(value)} characters; DICOM allows at most {limit}.",
            code="too_long",
            params={"limit": limit},
        )


def _refuse_unprintable(value: str, allowed: frozenset[str] = frozenset()) -> None:
    if value.isprintable():  # nearly every value: keeps bulk imports fast
        return
    for character in value:
        if character not in allowed and unicodedata.category(character) in UNPRINTABLE:
            raise ValidationError(
                f"This value contains {_describe(character)}, which DICOM does not allow here.",
                code="control_character",
            )


def _refuse_backslash(value: str) -> None:
    if "\\" in value:
        raise ValidationError(
            "This value contains a backslash (\\), which in DICOM separates several values.", code="backslash"
        )


def _validate_line(value: str, limit: int) -> None:
    _refuse_backslash(value)
    _refuse_unprintable(value)
    _refuse_longer(value, limit)


def _validate_text(value: str, limit: int) -> None:
    # ST and LT are never multi-valued, so a backslash stands for itself (PS3.5 section 6.2).
    _refuse_unprintable(value, TEXT_CONTROLS)
    _refuse_longer(value, limit)


def validate_long_string(value: str) -> None:
    """LO: up to 64 characters on one line, of any repertoire."""
    _validate_line(value, LO_LENGTH)


def validate_long_strings(value: str) -> None:
    """Several LO values, one a line."""
    for line in value.splitlines():
        _refuse_backslash(line)
        _refuse_unprintable(line)
        _refuse_longer(line, LO_LENGTH, "A line")


def validate_short_string(value: str) -> None:
    """SH: up to 16 characters on one line, of any repertoire."""
    _validate_line(value, SH_LENGTH)


def validate_short_text(value: str) -> None:
    """ST: up to 1,024 characters, line breaks allowed."""
    _validate_text(value, ST_LENGTH)


def validate_long_text(value: str) -> None:
    """LT: up to 10,240 characters, line breaks allowed."""
    _validate_text(value, LT_LENGTH)


def validate_code_string(value: str) -> None:
    """CS: up to 16 capital letters, digits, spaces and underscores."""
    _refuse_backslash(value)
    wrong = re.search(r"[^A-Z0-9 _]", value)
    if wrong:
        raise ValidationError(
            f"Only capital letters A-Z, digits, spaces and underscores may be used here, not “{wrong[0]}”.",
            code="code_string",
        )
    _refuse_longer(value, CS_LENGTH)


def validate_ae_title(value: str) -> None:
    """AE: up to 16 printable ASCII characters, not only spaces."""
    _refuse_backslash(value)
    wrong = re.search(r"[^\x20-\x7e]", value)
    if wrong:
        raise ValidationError(
            f"An AE title may hold only unaccented letters, digits and punctuation, not {_describe(wrong[0])}.",
            code="ae_title",
        )
    if value and not value.strip():
        raise ValidationError("An AE title may not consist of spaces only.", code="ae_title_blank")
    _refuse_longer(value, AE_LENGTH, "This AE title")


def validate_uid(value: str) -> None:
    """UI: numbers without leading zeros, separated by single dots, 64 characters in all (PS3.5 section 9.1)."""
    if not value:
        return
    wrong = re.search(r"[^0-9.]", value)
    if wrong:
        raise ValidationError(f"A UID holds only digits and dots, not “{wrong[0]}”.", code="uid_character")
    components = value.split(".")
    if "" in components:
        raise ValidationError("A UID may not begin or end with a dot, or have two dots in a row.", code="uid_dots")
    for component in components:
        if len(component) > 1 and component.startswith("0"):
            raise ValidationError(
                f"No number in a UID may begin with a zero, as “{component}” does.", code="uid_leading_zero"
            )
    _refuse_longer(value, UI_LENGTH, "This UID")


def validate_name_component(value: str) -> None:
    """One component of a PN group: no separators of components (^) or groups (=)."""
    for separator in "^=":
        if separator in value:
            raise ValidationError(
                f"A part of a name may not contain “{separator}”, which in DICOM separates the parts of a name.",
                code="name_separator",
            )
    _validate_line(value, PN_GROUP_LENGTH)


def validate_name_group(value: str) -> None:
    """One component group of a PN: up to five components and 64 characters (PS3.5 section 6.2.1)."""
    if "=" in value:
        raise ValidationError(
            "This form of a name may not contain “=”, which in DICOM separates the forms of a name.",
            code="name_separator",
        )
    _validate_group(value, "This form of the name")


def validate_person_name(value: str) -> None:
    """PN: up to three component groups (alphabetic=ideographic=phonetic)."""
    groups = value.split("=")
    if len(groups) > len(PN_GROUPS):
        raise ValidationError(
            "A name has at most three forms, separated by “=”: alphabetic, ideographic, phonetic.", code="name_groups"
        )
    for kind, group in zip(PN_GROUPS, groups, strict=False):
        _validate_group(group, f"The {kind} form of the name")


def _validate_group(group: str, what: str) -> None:
    _refuse_backslash(group)
    _refuse_unprintable(group)
    if group.count("^") >= PN_COMPONENTS:
        raise ValidationError(
            f"{what} has more than five parts; they are family^given^middle^prefix^suffix.", code="name_components"
        )
    _refuse_longer(group, PN_GROUP_LENGTH, what)


def validate_addresses(value: str) -> None:
    """IP addresses or networks (192.0.2.0/24), one a line."""
    for line in value.splitlines():
        if not line.strip():
            continue
        try:
            ipaddress.ip_network(line.strip(), strict=False)
        except ValueError:
            raise ValidationError(
                f"“{line.strip()}” is neither an IP address nor a network such as 192.0.2.0/24.", code="address"
            ) from None
