"""DICOM's own rules for the values of each VR (PS3.5 §6.2), told in plain words.

Every validator takes a value as it would stand in a data element, and tells what is wrong by a ``ValidationError``.
Empty values pass: whether a value is required is a matter of the field, not of its VR.
"""

from __future__ import annotations

import ipaddress
import re
import unicodedata
from collections.abc import Callable
from typing import TYPE_CHECKING

from django.core.exceptions import ValidationError
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from dicom_encoding import ae_titles, uids

if TYPE_CHECKING:
    from django_stubs_ext import StrPromise

AE_LENGTH = ae_titles.MAX_LENGTH
CS_LENGTH = 16
LO_LENGTH = 64
LT_LENGTH = 10_240
PN_GROUP_LENGTH = 64
PN_COMPONENTS = 5
PN_GROUPS = 3
PN_LENGTH = PN_GROUPS * PN_GROUP_LENGTH + 2
SH_LENGTH = 16
ST_LENGTH = 1_024
UI_LENGTH = uids.MAX_LENGTH

TEXT_CONTROLS = frozenset("\t\n\f\r")
UNPRINTABLE = frozenset({"Cc", "Cs", "Zl", "Zp"})  # control characters, halves of surrogate pairs, line separators

Validator = Callable[[str], None]

_TOO_LONG = _("This value has %(length)d characters; DICOM allows at most %(limit)d.")
_CONTROLS = {
    "\t": _("a tab"),
    "\n": _("a line break"),
    "\r": _("a line break"),
    "\f": _("a page break"),
}
# What is said of a form that is too long, and of one with too many parts, in the order of the forms.
_FORM = (
    _("This form of the name has %(length)d characters; DICOM allows at most %(limit)d."),
    _("This form of the name has more than five parts; they are family^given^middle^prefix^suffix."),
)
_FORMS = (
    (
        _("The alphabetic form of the name has %(length)d characters; DICOM allows at most %(limit)d."),
        _("The alphabetic form of the name has more than five parts; they are family^given^middle^prefix^suffix."),
    ),
    (
        _("The ideographic form of the name has %(length)d characters; DICOM allows at most %(limit)d."),
        _("The ideographic form of the name has more than five parts; they are family^given^middle^prefix^suffix."),
    ),
    (
        _("The phonetic form of the name has %(length)d characters; DICOM allows at most %(limit)d."),
        _("The phonetic form of the name has more than five parts; they are family^given^middle^prefix^suffix."),
    ),
)


def _describe(character: str) -> str:
    if character in TEXT_CONTROLS:
        return str(_CONTROLS[character])
    return gettext("the character U+%(code)s") % {"code": f"{ord(character):04X}"}


def _refuse_longer(value: str, limit: int, text: StrPromise = _TOO_LONG) -> None:
    if len(value) > limit:
        raise ValidationError(text, code="too_long", params={"length": len(value), "limit": limit})


def _refuse_unprintable(value: str, allowed: frozenset[str] = frozenset()) -> None:
    if value.isprintable():  # nearly every value: keeps bulk imports fast
        return
    for character in value:
        if character not in allowed and unicodedata.category(character) in UNPRINTABLE:
            raise ValidationError(
                _("This value contains %(character)s, which DICOM does not allow here."),
                code="control_character",
                params={"character": _describe(character)},
            )


def _refuse_backslash(value: str) -> None:
    if "\\" in value:
        raise ValidationError(
            _("This value contains a backslash (\\), which in DICOM separates several values."), code="backslash"
        )


def _validate_line(value: str, limit: int) -> None:
    _refuse_backslash(value)
    _refuse_unprintable(value)
    _refuse_longer(value, limit)


def _validate_text(value: str, limit: int) -> None:
    # ST and LT are never multi-valued, so a backslash stands for itself (PS3.5 §6.2).
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
        _refuse_longer(line, LO_LENGTH, _("A line has %(length)d characters; DICOM allows at most %(limit)d."))


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
            _("Only capital letters A-Z, digits, spaces and underscores may be used here, not “%(character)s”."),
            code="code_string",
            params={"character": wrong[0]},
        )
    _refuse_longer(value, CS_LENGTH)


def validate_ae_title(value: str) -> None:
    """AE: up to 16 printable ASCII characters, not only spaces."""
    _refuse_backslash(value)
    wrong = ae_titles.wrong_character(value)
    if wrong:
        raise ValidationError(
            _("An AE title may hold only unaccented letters, digits and punctuation, not %(character)s."),
            code="ae_title",
            params={"character": _describe(wrong)},
        )
    if value and not value.strip():
        raise ValidationError(_("An AE title may not consist of spaces only."), code="ae_title_blank")
    _refuse_longer(value, AE_LENGTH, _("This AE title has %(length)d characters; DICOM allows at most %(limit)d."))


def validate_uid(value: str) -> None:
    """UI: numbers without leading zeros, separated by single dots, 64 characters in all (PS3.5 §9.1)."""
    if not value:
        return
    _refuse_wrong_uid(value)
    if number := uids.leading_zero(value):
        raise ValidationError(
            _("No number in a UID may begin with a zero, as “%(number)s” does."),
            code="uid_leading_zero",
            params={"number": number},
        )
    _refuse_longer(value, UI_LENGTH, _("This UID has %(length)d characters; DICOM allows at most %(limit)d."))


def validate_uid_of_device(value: str) -> None:
    """UI as devices make it: components with leading zeros harm nobody, and the device goes on using the UID."""
    if not uids.is_usable(value):
        _refuse_wrong_uid(value)
        _refuse_longer(value, UI_LENGTH, _("This UID has %(length)d characters; DICOM allows at most %(limit)d."))


def _refuse_wrong_uid(value: str) -> None:
    if wrong := uids.wrong_character(value):
        raise ValidationError(
            _("A UID holds only digits and dots, not “%(character)s”."),
            code="uid_character",
            params={"character": wrong},
        )
    if value and "" in value.split("."):
        raise ValidationError(_("A UID may not begin or end with a dot, or have two dots in a row."), code="uid_dots")


def validate_name_component(value: str) -> None:
    """One component of a PN group: no separators of components (^) or groups (=)."""
    for separator in "^=":
        if separator in value:
            raise ValidationError(
                _("A part of a name may not contain “%(character)s”, which in DICOM separates the parts of a name."),
                code="name_separator",
                params={"character": separator},
            )
    _validate_line(value, PN_GROUP_LENGTH)


def validate_name_group(value: str) -> None:
    """One component group of a PN: up to five components and 64 characters (PS3.5 §6.2.1)."""
    if "=" in value:
        raise ValidationError(
            _("This form of a name may not contain “=”, which in DICOM separates the forms of a name."),
            code="name_separator",
        )
    _validate_group(value, *_FORM)


def validate_person_name(value: str) -> None:
    """PN: up to three component groups (alphabetic=ideographic=phonetic)."""
    groups = value.split("=")
    if len(groups) > PN_GROUPS:
        raise ValidationError(
            _("A name has at most three forms, separated by “=”: alphabetic, ideographic, phonetic."),
            code="name_groups",
        )
    for texts, group in zip(_FORMS, groups, strict=False):
        _validate_group(group, *texts)


def _validate_group(group: str, too_long: StrPromise, too_many_parts: StrPromise) -> None:
    _refuse_backslash(group)
    _refuse_unprintable(group)
    if group.count("^") >= PN_COMPONENTS:
        raise ValidationError(too_many_parts, code="name_components")
    _refuse_longer(group, PN_GROUP_LENGTH, too_long)


def validate_addresses(value: str) -> None:
    """IP addresses or networks (192.0.2.0/24), one a line."""
    for line in value.splitlines():
        if not line.strip():
            continue
        try:
            ipaddress.ip_network(line.strip(), strict=False)
        except ValueError:
            raise ValidationError(
                _("“%(line)s” is neither an IP address nor a network such as 192.0.2.0/24."),
                code="address",
                params={"line": line.strip()},
            ) from None


_HOST = re.compile(r"(?!-)[A-Za-z0-9_-]{1,63}(?<!-)(\.(?!-)[A-Za-z0-9_-]{1,63}(?<!-))*\.?")


def validate_host(value: str) -> None:
    """A host name, or an IP address without brackets and port."""
    if not value or _is_address(value) or _HOST.fullmatch(value):
        return
    raise ValidationError(
        _("“%(host)s” is neither a host name nor an IP address; the port has a field of its own."),
        code="host",
        params={"host": value},
    )


def _is_address(value: str) -> bool:
    try:
        ipaddress.ip_address(value)
    except ValueError:
        return False
    return True


def fingerprints(value: str) -> list[str]:
    """Return fingerprints as they are compared: lower-case hexadecimal digits without colons, each once."""
    lines = (line.strip().replace(":", "").lower() for line in value.splitlines())
    return list(dict.fromkeys(filter(None, lines)))


def validate_fingerprints(value: str) -> None:
    """SHA-256 fingerprints, one a line, with or without colons."""
    for line in fingerprints(value):
        if not re.fullmatch("[0-9a-f]{64}", line):
            raise ValidationError(
                _("“%(line)s” is no SHA-256 fingerprint: it has 64 hexadecimal digits, with or without colons."),
                code="fingerprint",
                params={"line": line},
            )
