"""Tables in files: CSV as programs and spreadsheets write it, and XLSX. What is in them is somebody else's subject."""

from __future__ import annotations

import codecs
import csv
import io
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from django.utils.translation import gettext as _

from mwl_admin.entries.tables import workbook
from mwl_admin.entries.tables.table_limits import (
    CELL_CHARACTERS,
    TableError,
    TableLimits,
    refuse_large_file,
    too_many_cells,
    too_many_columns,
    too_many_rows,
)

_PIECE = 65_536
_LONGEST_LINE = 1024 * 1024
"""Characters of one line of CSV: of the widest row that a table may have."""


@dataclass(frozen=True, slots=True)
class Table:
    """A table without its empty rows; ``rows`` are pairs of a row's number in the file, from one, and its cells."""

    headings: list[str]
    rows: list[tuple[int, list[Any]]]


def read(data: bytes) -> Table:
    """Read a table from a file's content, of either kind.

    :raises TableError: when that can't be done.
    """
    limits = TableLimits.current()
    refuse_large_file(len(data), limits)
    if data.startswith(b"PK"):
        return _table(workbook.read(data, limits), limits)
    if data.startswith(b"\xd0\xcf\x11\xe0"):
        raise TableError(_("The file is in the old format XLS; save it as XLSX or CSV."))
    return _table(_csv(data), limits)


def _table(lines: Iterable[tuple[int, Sequence[Any]]], limits: TableLimits) -> Table:
    headings: list[str] | None = None
    rows: list[tuple[int, list[Any]]] = []
    measure = _Measure(limits)
    for number, cells in lines:
        if number > limits.lines:
            raise too_many_rows(limits)
        kept = measure.without_end(number, cells)
        if not kept:
            continue
        if headings is None:
            headings = [str(cell or "").strip() for cell in kept]
            continue
        if len(rows) == limits.rows:
            raise too_many_rows(limits)
        rows.append((number, kept))
    if headings is None:
        raise TableError(_("The file is empty."))
    return Table(headings, rows)


class _Measure:
    """Counts what a table holds: few cells may hold much text, and one text may stand in many cells."""

    def __init__(self, limits: TableLimits) -> None:
        self._limits = limits
        self._cells = 0
        self._size = 0

    def without_end(self, number: int, cells: Sequence[Any]) -> list[Any]:
        """Return a row without the empty cells at its end; refuse it when it is, or makes the table, too large."""
        end = len(cells)
        while end and _is_empty(cells[end - 1]):
            end -= 1
        if end > self._limits.columns:
            raise too_many_columns(self._limits)
        kept = list(cells[:end])
        longest = 0
        for cell in kept:
            length = len(cell) if isinstance(cell, str) else 0
            self._size += length
            longest = max(longest, length)
        self._cells += end
        if longest > CELL_CHARACTERS:
            raise TableError(
                _("Row %(number)d has a cell with more than %(limit)d characters.")
                % {"number": number, "limit": CELL_CHARACTERS}
            )
        if self._cells > self._limits.cells:
            raise too_many_cells(self._limits)
        refuse_large_file(self._size, self._limits)
        return kept


def _is_empty(cell: Any) -> bool:
    return cell is None or (isinstance(cell, str) and not cell.strip())


def _csv(data: bytes) -> Iterator[tuple[int, Sequence[Any]]]:
    encoding = _encoding(data)
    first = next((line for line in _lines(data, encoding) if line.strip()), "")
    delimiter = max(",;\t", key=first.count)
    reader = csv.reader(_lines(data, encoding), delimiter=delimiter, strict=True)
    number = 0
    try:
        for number, cells in enumerate(reader, start=1):
            yield number, cells
    except csv.Error:
        raise TableError(
            _("The file is not CSV: row %(number)d cannot be read. Is a quotation mark missing?")
            % {"number": number + 1}
        ) from None


def _lines(data: bytes, encoding: str) -> Iterator[str]:
    """Yield the lines one by one: as a whole, text takes up to four times what its bytes do."""
    with io.TextIOWrapper(io.BytesIO(data), encoding, errors="replace", newline="") as text:
        while line := text.readline(_LONGEST_LINE + 1):
            if "\0" in line:
                raise TableError(_("The file is neither CSV nor XLSX."))
            if len(line) > _LONGEST_LINE:
                raise TableError(_("The file has a line that is too long for a table."))
            yield line


def _encoding(data: bytes) -> str:
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        return "utf-16"
    decoder = codecs.getincrementaldecoder("utf-8")()
    try:
        for start in range(0, len(data), _PIECE):
            decoder.decode(data[start : start + _PIECE])
        decoder.decode(b"", final=True)
    except UnicodeDecodeError:
        # What spreadsheets in Western Europe save as plain CSV.
        return "cp1252"
    return "utf-8-sig"
