"""Tables to files: CSV and XLSX in which no spreadsheet program finds a formula, whatever stands in a cell.

What is done to a text for that is undone when the file is imported again (:func:`restored`).
"""

from __future__ import annotations

import csv
import io
import re
import unicodedata
from collections.abc import Iterable, Sequence
from typing import Any

from django.utils.translation import gettext as _
from openpyxl import Workbook
from openpyxl.cell import WriteOnlyCell
from openpyxl.styles import Font

_FORMULA = "=+-@"
_SEPARATORS = re.compile(r"([\n\r;\t\v\f\x85\u2028\u2029])")
"""Where another program may begin a new cell: at a line's end, and at the separators of other countries' CSV."""
_UNWRITABLE = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")
"""What XML has no way to hold (XML 1.0 section 2.2)."""
_DDE = re.compile(r"[^|]{1,64}\|.*!", re.DOTALL)
"""A request to another program, as in `cmd|' /C calc'!A0`."""


def harmless(cell: Any) -> Any:
    """Return a cell that no spreadsheet program runs: each part that may become a formula has an apostrophe before it.

    A part begins where the text does, and after each separator. Programs pass over what is invisible, and some take
    full-width characters for the others, so a part is looked at as they see it.
    """
    if not isinstance(cell, str):
        return cell
    parts = _SEPARATORS.split(cell)
    escaped = "".join(f"'{part}" if _is_dangerous(part) else part for part in parts)
    # A separator that stands first would be passed over.
    return f"'{escaped}" if cell and _SEPARATORS.match(cell.lstrip("'")) else escaped


def restored(text: str) -> str:
    """Return the text that :func:`harmless` was given."""
    if text.startswith("'") and _SEPARATORS.match(text.lstrip("'")):
        text = text[1:]
    parts = _SEPARATORS.split(text)
    return "".join(part[1:] if part.startswith("'") and _is_dangerous(part[1:]) else part for part in parts)


def _is_dangerous(part: str) -> bool:
    """Whether a part may be taken for a formula, with apostrophes before it or without: those are added and taken."""
    seen = _visible(part.lstrip("'"))
    return (seen[:1] in _FORMULA and seen != "") or bool(_DDE.match(seen))


def _visible(text: str) -> str:
    """Return a text from its first visible character on, that one in its usual width."""
    for position, character in enumerate(text):
        if not (character.isspace() or unicodedata.category(character) in {"Cc", "Cf", "Mn", "Zl", "Zp", "Zs"}):
            return unicodedata.normalize("NFKC", character)[:1] + text[position + 1 :]
    return ""


def write_csv(headings: Sequence[str], rows: Iterable[Sequence[Any]]) -> bytes:
    """Return a CSV file that spreadsheets open rightly: UTF-8 with a byte order mark."""
    out = io.StringIO(newline="")
    writer = csv.writer(out)
    writer.writerow([harmless(heading) for heading in headings])
    writer.writerows([[harmless(cell) for cell in row] for row in rows])
    return out.getvalue().encode("utf-8-sig", "replace")


def write_xlsx(
    headings: Sequence[str], rows: Iterable[Sequence[Any]], *, help_rows: Iterable[Sequence[str]] = ()
) -> bytes:
    """Return a workbook; ``help_rows`` go to a second sheet."""
    workbook = Workbook(write_only=True)
    sheet = workbook.create_sheet(_("Entries"))
    sheet.freeze_panes = "A2"
    bold = Font(bold=True)
    sheet.append([_cell(sheet, heading, bold) for heading in headings])
    for row in rows:
        sheet.append([_cell(sheet, cell) for cell in row])
    explained = list(help_rows)
    if explained:
        second = workbook.create_sheet(_("What the columns mean"))
        for line in explained:
            second.append([_cell(second, cell) for cell in line])
    out = io.BytesIO()
    workbook.save(out)
    return out.getvalue()


def _cell(sheet: Any, value: Any, font: Font | None = None) -> Any:
    """Return a cell; a text is a text by its type and by its format too, whatever it looks like."""
    if not isinstance(value, str):
        return value
    cell = WriteOnlyCell(sheet, value=_UNWRITABLE.sub("\N{REPLACEMENT CHARACTER}", harmless(value)))
    cell.data_type = "s"
    if value:
        cell.quotePrefix = True
    if font is not None:
        cell.font = font
    return cell
