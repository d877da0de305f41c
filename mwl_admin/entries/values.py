"""What an attribute's value becomes in its column: from the text of a data element, JSON or a table's cell.

Each function tells what is wrong by a ``ValueError``, in words for whoever sent the value; the columns' own rules come
after that.
"""

from __future__ import annotations

import datetime
import re
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal, InvalidOperation
from typing import Any

from django.utils.translation import gettext as _

from mwl_admin.entries.entry_attributes import NAME_FIELDS, Column
from mwl_admin.worklist import keys

Code = Mapping[str, str]


def column_value(column: Column, value: Any) -> Any:
    """Return what the column holds for ``value``; an empty value becomes the column's own for "none"."""
    if value is None or (isinstance(value, str) and not value.strip()) or value == []:
        return None if column.field.null else column.field.get_default()
    convert = _BY_VR.get(column.attribute.vr)
    if convert is not None:
        return convert(value)
    return "\n".join(texts(value)) if column.attribute.multiple else text(value)


def text(value: Any) -> str:
    """Return one value of text."""
    if isinstance(value, str):
        return value.strip(" ")
    if isinstance(value, bool) or not isinstance(value, int | float | Decimal):
        raise ValueError(_("must be a text."))
    return f"{value:g}" if isinstance(value, float) else str(value)


def texts(value: Any) -> list[str]:
    """Return several values: a list, or a text in which backslashes separate them."""
    parts = value if isinstance(value, list | tuple) else text(value).split("\\")
    found = [text(part) for part in parts if part is not None]
    return [part for part in found if part]


def date(value: Any) -> datetime.date:
    """Return a date: `20260504`, or `2026-05-04`."""
    if isinstance(value, datetime.datetime):
        return value.date()
    if isinstance(value, datetime.date):
        return value
    digits = re.fullmatch(r"(\d{4})-?(\d{2})-?(\d{2})", text(value), re.ASCII)
    try:
        if digits:
            return datetime.date(*map(int, digits.groups()))
    except ValueError:
        pass
    raise ValueError(_("must be a date that exists, such as 20260504 or 2026-05-04."))


def time(value: Any) -> datetime.time:
    """Return a time of day: `1030`, `103000.5` or `10:30`."""
    if isinstance(value, datetime.datetime):
        return value.time()
    if isinstance(value, datetime.time):
        return value
    try:
        spans = keys.times(text(value).replace(".", ":") if _DOTTED.fullmatch(text(value)) else text(value))
    except keys.BadValueError:
        spans = ()
    if len(spans) != 1 or spans[0].ranged or spans[0].low is None:
        raise ValueError(_("must be a time of day, such as 1030 or 10:30."))
    return spans[0].low


_DOTTED = re.compile(r"\d{1,2}\.\d{2}", re.ASCII)


def decimal(value: Any) -> Decimal:
    """Return a decimal number, without zeros that say nothing."""
    try:
        number = Decimal(text(value).replace(",", "."))
    except InvalidOperation:
        number = Decimal("NaN")
    if not number.is_finite():
        raise ValueError(_("must be a number, such as 72.5."))
    return number.quantize(Decimal("0.001")) if abs(number) < 10**6 else number


def whole(value: Any) -> int:
    """Return a whole number."""
    written = text(value)
    if not re.fullmatch(r"\d{1,9}(\.0+)?", written, re.ASCII):
        raise ValueError(_("must be a whole number."))
    return int(written.partition(".")[0])


_BY_VR: dict[str, Callable[[Any], Any]] = {
    "DA": date,
    "TM": time,
    "DS": decimal,
    "US": whole,
    "CS": lambda value: text(value).upper(),
}


def patient_name(value: Any) -> dict[str, str]:
    """Return the columns of Patient's Name: `Doe^Jane^^Dr=ideographic=phonetic`; only those of the forms given."""
    groups = text(value).split("=")
    components = groups[0].split("^")
    if len(groups) > 3:
        raise ValueError(_("has at most three forms, separated by =: alphabetic, ideographic, phonetic."))
    if len(components) > len(NAME_FIELDS):
        raise ValueError(_("has at most five parts: family^given^middle^prefix^suffix."))
    components += [""] * (len(NAME_FIELDS) - len(components))
    columns = dict(zip(NAME_FIELDS, (part.strip(" ") for part in components), strict=True))
    others = zip(("ideographic_name", "phonetic_name"), (group.strip(" ") for group in groups[1:]), strict=False)
    return {**columns, **dict(others)}


_CODE_COLUMNS = {
    "CodeValue": "code_value",
    "CodingSchemeDesignator": "coding_scheme_designator",
    "CodingSchemeVersion": "coding_scheme_version",
    "CodeMeaning": "code_meaning",
}


def codes(items: Any) -> list[dict[str, str]]:
    """Return the columns of each code in a code sequence (PS3.3 table 8.8-1)."""
    if items in (None, ""):
        return []
    if not isinstance(items, Sequence) or not all(isinstance(item, Mapping) for item in items):
        raise ValueError(_("must be a sequence of codes."))
    return [_code(item) for item in items]


def _code(item: Mapping[str, Any]) -> dict[str, str]:
    unknown = item.keys() - _CODE_COLUMNS.keys()
    if unknown:
        raise ValueError(
            _("holds codes of %(known)s, and not %(unknown)s.")
            % {"known": ", ".join(_CODE_COLUMNS), "unknown": min(unknown)}
        )
    code = {column: text(item.get(keyword) or "") for keyword, column in _CODE_COLUMNS.items()}
    missing = [
        keyword for keyword, column in _CODE_COLUMNS.items() if column != "coding_scheme_version" and not code[column]
    ]
    if missing:
        raise ValueError(
            _("a code needs value, coding scheme and meaning; missing: %(missing)s.") % {"missing": ", ".join(missing)}
        )
    return code
