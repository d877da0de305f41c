"""Tables in files: CSV as programs and spreadsheets write it, and XLSX. What is in them is somebody else's subject."""

from __future__ import annotations

import csv
import io
import zipfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from django.utils.translation import gettext as _
from openpyxl import Workbook, load_workbook
from openpyxl.styles import Font
from openpyxl.utils.exceptions import InvalidFileException

MAX_BYTES = 20 * 1024 * 1024
MAX_UNPACKED = 300 * 1024 * 1024
MAX_ROWS = 20_000
MAX_COLUMNS = 200


class TableError(Exception):
    """A file is no table that can be read; the text says why, in words for staff."""


@dataclass(frozen=True, slots=True)
class Table:
    """A table without its empty rows; ``rows`` are pairs of a row's number in the file, from one, and its cells."""

    headings: list[str]
    rows: list[tuple[int, list[Any]]]


def read(data: bytes) -> Table:
    """Read a table from a file's content, of either kind."""
    if len(data) > MAX_BYTES:
        raise TableError(_("The file is larger than %(size)d MB.") % {"size": MAX_BYTES // 1024 // 1024})
    if data.startswith(b"PK"):
        return _table(_xlsx(data))
    if data.startswith(b"\xd0\xcf\x11\xe0"):
        raise TableError(_("The file is in the old format XLS; save it as XLSX or CSV."))
    return _table(_csv(data))


def _table(lines: Iterable[tuple[int, Sequence[Any]]]) -> Table:
    headings: list[str] | None = None
    rows: list[tuple[int, list[Any]]] = []
    for number, cells in lines:
        if all(cell is None or str(cell).strip() == "" for cell in cells):
            continue
        if headings is None:
            headings = [str(cell or "").strip() for cell in cells]
            while headings and not headings[-1]:
                headings.pop()
            if len(headings) > MAX_COLUMNS:
                raise TableError(_("The file has more than %(limit)d columns.") % {"limit": MAX_COLUMNS})
            continue
        if len(rows) == MAX_ROWS:
            raise TableError(_("The file has more than %(limit)d rows; split it.") % {"limit": MAX_ROWS})
        rows.append((number, list(cells)))
    if headings is None:
        raise TableError(_("The file is empty."))
    return Table(headings, rows)


def _csv(data: bytes) -> Iterator[tuple[int, Sequence[Any]]]:
    text = _decoded(data)
    if "\0" in text:
        raise TableError(_("The file is neither CSV nor XLSX."))
    first = next((line for line in text.splitlines() if line.strip()), "")
    delimiter = max(",;\t", key=first.count)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    number = 0
    try:
        for number, cells in enumerate(reader, start=1):
            yield number, cells
    except csv.Error:
        raise TableError(
            _("The file is not CSV: row %(number)d cannot be read. Is a quotation mark missing?")
            % {"number": number + 1}
        ) from None


def _decoded(data: bytes) -> str:
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        return data.decode("utf-16", "replace")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        # What spreadsheets in Western Europe save as plain CSV.
        return data.decode("cp1252", "replace")


def _xlsx(data: bytes) -> Iterator[tuple[int, Sequence[Any]]]:
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            if sum(member.file_size for member in archive.infolist()) > MAX_UNPACKED:
                raise TableError(_("The workbook is too large."))
        workbook = load_workbook(io.BytesIO(data), read_only=True, data_only=True)
    except (zipfile.BadZipFile, InvalidFileException, KeyError, ValueError, OSError):
        raise TableError(_("The file is not an XLSX workbook that can be read.")) from None
    try:
        yield from enumerate(workbook.worksheets[0].iter_rows(values_only=True), start=1)
    finally:
        workbook.close()


def write_csv(headings: Sequence[str], rows: Iterable[Sequence[Any]]) -> bytes:
    """Return a CSV file that spreadsheets open rightly: UTF-8 with a byte order mark."""
    out = io.StringIO(newline="")
    writer = csv.writer(out)
    writer.writerow(headings)
    writer.writerows([[harmless(cell) for cell in row] for row in rows])
    return out.getvalue().encode("utf-8-sig")


def harmless(cell: Any) -> Any:
    """Return the cell so that no spreadsheet runs it as a formula."""
    return f"'{cell}" if isinstance(cell, str) and cell.startswith(("=", "+", "-", "@", "\t", "\r")) else cell


def write_xlsx(
    headings: Sequence[str], rows: Iterable[Sequence[Any]], *, help_rows: Iterable[Sequence[str]] = ()
) -> bytes:
    """Return a workbook; ``help_rows`` go to a second sheet."""
    workbook = Workbook()
    sheet = workbook.active
    assert sheet is not None  # noqa: S101 - a new workbook has one
    sheet.title = _("Entries")
    sheet.append(list(headings))
    for cell in sheet[1]:
        cell.font = Font(bold=True)
    sheet.freeze_panes = "A2"
    for row in rows:
        sheet.append([harmless(cell) for cell in row])
    explained = list(help_rows)
    if explained:
        second = workbook.create_sheet(_("What the columns mean"))
        for line in explained:
            second.append(list(line))
    out = io.BytesIO()
    workbook.save(out)
    return out.getvalue()
