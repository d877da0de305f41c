"""What people and programs write into cells, as values of attributes.

What is wrong is told by a ``ValueError`` in plain words.
"""

from __future__ import annotations

import datetime
import re
from typing import Any

from django.conf import settings
from django.utils.translation import gettext as _

from mwl_admin.entries import values
from mwl_admin.entries.tables.spreadsheets import restored


def text(cell: Any) -> str:
    """Return a text; a number that a spreadsheet made of one becomes it again."""
    if cell is None:
        return ""
    if isinstance(cell, bool):
        return "yes" if cell else "no"
    if isinstance(cell, float) and cell.is_integer():
        return str(int(cell))
    if isinstance(cell, datetime.datetime):
        cell = cell.date() if cell.time() == datetime.time() else cell
    # An apostrophe before a formula's first character says "no formula": our own export puts it there.
    return restored(str(cell).strip(" ")).strip()


def date(cell: Any) -> datetime.date | str:
    """Return a date: day first, or month first where the department writes so, or the unmistakable ISO 8601."""
    if isinstance(cell, datetime.date):
        return values.date(cell)
    written = text(cell)
    month_first = settings.DATE_STYLE == "m/d/Y"
    ordered = re.fullmatch(r"(\d{1,2})[./](\d{1,2})[./](\d{4})", written, re.ASCII)
    if ordered:
        day, month, year = ordered.groups()
        if month_first:
            day, month = month, day
        written = f"{year}-{month:0>2}-{day:0>2}"
    try:
        return values.date(written) if written else ""
    except ValueError:
        message = _("must be a date that exists, such as 2026-05-04 or %(example)s.")
        raise ValueError(message % {"example": "05/04/2026" if month_first else "04/05/2026"}) from None


def time(cell: Any) -> datetime.time | str:
    """Return a time of day: `10:30`, `10.30`, `1030` or `9:05`."""
    if isinstance(cell, datetime.time | datetime.datetime):
        return values.time(cell)
    if isinstance(cell, float) and 0 <= cell < 1:  # a spreadsheet's own way: the part of a day
        seconds = round(cell * 86400) % 86400
        return datetime.time(seconds // 3600, seconds // 60 % 60, seconds % 60)
    written = text(cell)
    if re.fullmatch(r"\d[:.]\d{2}([:.]\d{2})?|\d{3}", written, re.ASCII):
        written = f"0{written}"
    try:
        return values.time(written) if written else ""
    except ValueError:
        raise ValueError(_("must be a time of day, such as 10:30.")) from None


_SEXES = {"male": "M", "female": "F", "other": "O", "m": "M", "f": "F", "o": "O"}


def sex(cell: Any) -> str:
    """Return Patient's Sex, of the letter or the word."""
    written = text(cell)
    return _SEXES.get(written.casefold(), written)


def several(cell: Any) -> list[str]:
    """Return several values, separated by semicolons or line breaks."""
    return [part.strip() for part in re.split(r"[;\n]", text(cell)) if part.strip()]
