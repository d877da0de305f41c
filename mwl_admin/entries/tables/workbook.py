"""XLSX, looked through before it is read: a small file may unpack to gigabytes, or name cells that fill the memory.

Every part is unpacked once, in pieces and without keeping any, and counted. What is said of sizes in the archive's
directory or in a sheet is not believed. Only then the workbook is read, as far as its values reach.
"""

from __future__ import annotations

import io
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any
from xml.etree.ElementTree import ParseError
from xml.parsers import expat

from django.utils.translation import gettext as _
from openpyxl import load_workbook
from openpyxl.utils.exceptions import InvalidFileException

from mwl_admin.entries.tables.table_limits import (
    TableError,
    TableLimits,
    in_words,
    too_many_cells,
    too_many_columns,
    too_many_rows,
)

_PIECE = 65_536
_LONGEST = 1024 * 1024
"""Bytes of one element's markup and text: a full cell, each character written as an entity, has half of it."""
_OTHER_ELEMENTS = 50_000
"""Elements of all parts that are neither sheets nor texts: a workbook with thousands of formats has 30,000."""
_PARTS = 1000
_ROWS, _COLUMNS = 1_048_576, 16_384
"""What a sheet has in a spreadsheet program."""
_ENTRY = b"PK\x01\x02"
_UNREADABLE = (
    zipfile.BadZipFile,
    zlib.error,
    InvalidFileException,
    ParseError,
    SyntaxError,
    ArithmeticError,
    AttributeError,
    EOFError,
    LookupError,
    NotImplementedError,
    OSError,
    RuntimeError,
    TypeError,
    ValueError,
)
"""What the library answers a workbook with that is none, or is broken somewhere."""


@dataclass(slots=True)
class _Counts:
    """What has been found so far, in all parts; ``reach`` is the last row and column with a value, by part."""

    unpacked: int = 0
    cells: int = 0
    rows: int = 0
    texts: int = 0
    others: int = 0
    sheets: int = 0
    reach: dict[str, tuple[int, int]] = field(default_factory=dict)


def read(data: bytes, limits: TableLimits) -> Iterator[tuple[int, Sequence[Any]]]:
    """Yield number and cells of each row of the first sheet.

    :raises TableError: when there is too much.
    """
    try:
        reach = _inspect(data, limits)
        workbook = load_workbook(io.BytesIO(data), read_only=True, data_only=True, keep_links=False)
    except _UNREADABLE:
        raise _unreadable() from None
    try:
        sheet: Any = workbook.worksheets[0]
        rows, columns = reach[sheet._worksheet_path.lstrip("/")]
        if rows:
            yield from enumerate(sheet.iter_rows(max_row=rows, max_col=columns, values_only=True), start=1)
    except _UNREADABLE:
        raise _unreadable() from None
    finally:
        workbook.close()


def _unreadable() -> TableError:
    return TableError(_("The file is not an XLSX workbook that can be read."))


def _inspect(data: bytes, limits: TableLimits) -> dict[str, tuple[int, int]]:
    # Counted before the directory is read, which takes hundreds of bytes for each entry.
    if data.count(_ENTRY) > _PARTS:
        raise TableError(_("The workbook has more than %(limit)d parts.") % {"limit": _PARTS})
    counts = _Counts()
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        for member in archive.infolist():
            # Others unpack in pieces as large as they like.
            if member.compress_type not in {zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED}:
                raise _unreadable()
            with archive.open(member) as part:
                _Part(member.filename, counts, limits).read(part)
    return counts.reach


class _Part:
    """One part of the archive. What is no XML is only unpacked."""

    def __init__(self, name: str, counts: _Counts, limits: TableLimits) -> None:
        self._name = name
        self._counts = counts
        self._limits = limits
        self._parser = expat.ParserCreate()
        self._parser.StartElementHandler = self._root
        self._parser.StartDoctypeDeclHandler = self._doctype
        self._is_xml = True
        self._started = self._silent = 0
        self._row = self._column = self._in_row = self._rows = self._columns = 0

    def read(self, part: Any) -> None:
        while piece := part.read(_PIECE):
            self._counts.unpacked += len(piece)
            if self._counts.unpacked > self._limits.unpacked:
                text = _("The workbook is larger than %(size)s when it is unpacked.")
                raise TableError(text % {"size": in_words(self._limits.unpacked)})
            if self._is_xml:
                self._parse(piece)
        self._counts.reach[self._name] = (self._rows, self._columns)

    def _parse(self, piece: bytes) -> None:
        started = self._started
        try:
            self._parser.Parse(piece)
        except expat.ExpatError:
            # Whoever reads it gets no further than this either.
            self._is_xml = False
            return
        self._silent = self._silent + len(piece) if self._started == started else 0
        if self._silent > _LONGEST:
            raise TableError(_("The workbook holds a text that is too long for a cell."))

    def _doctype(self, *_declaration: Any) -> None:
        # No spreadsheet program writes one: its entities could unfold to anything.
        raise _unreadable()

    def _root(self, name: str, attributes: dict[str, str]) -> None:
        self._started += 1
        kind = name.rpartition(":")[2]
        handlers = {"worksheet": self._in_sheet, "sst": self._in_texts}
        self._parser.StartElementHandler = handlers.get(kind, self._in_other)
        if kind == "worksheet":
            self._counts.sheets += 1
            if self._counts.sheets > self._limits.sheets:
                text = _("The workbook has more than %(limit)d sheets.")
                raise TableError(text % {"limit": self._limits.sheets})

    def _in_other(self, name: str, attributes: dict[str, str]) -> None:
        self._started += 1
        self._counts.others += 1
        if self._counts.others > _OTHER_ELEMENTS:
            raise TableError(_("The workbook has too many formats: copy its table into a new workbook."))

    def _in_texts(self, name: str, attributes: dict[str, str]) -> None:
        self._started += 1
        self._counts.texts += 1
        if self._counts.texts > 3 * self._limits.cells:  # a text has two elements, with a part in bold five
            raise too_many_cells(self._limits)

    def _in_sheet(self, name: str, attributes: dict[str, str]) -> None:
        # Called for each of up to millions of elements: as little as possible is done here.
        self._started += 1
        kind = name.rpartition(":")[2] if ":" in name else name
        if kind == "c":
            self._cell(attributes)
        elif kind in {"v", "is"}:
            if self._row > self._rows or self._column > self._columns:
                self._reach()
        elif kind == "row":
            self._begin_row(attributes)
        elif kind not in {"t", "f"}:
            self._more_cells()

    def _cell(self, attributes: dict[str, str]) -> None:
        self._more_cells()
        self._in_row += 1
        reference = attributes.get("r")
        self._column = (_column(reference) if reference else 0) or self._column + 1
        if self._column > _COLUMNS or self._in_row > _COLUMNS:
            raise _unreadable()

    def _more_cells(self) -> None:
        self._counts.cells += 1
        if self._counts.cells > self._limits.cells:
            raise too_many_cells(self._limits)

    def _begin_row(self, attributes: dict[str, str]) -> None:
        self._counts.rows += 1
        if self._counts.rows > _ROWS:
            raise too_many_rows(self._limits)
        self._row = _number(attributes.get("r", "")) or self._row + 1
        self._column = self._in_row = 0

    def _reach(self) -> None:
        self._rows = max(self._rows, self._row)
        self._columns = max(self._columns, self._column)
        if self._rows > self._limits.lines:
            raise too_many_rows(self._limits)
        if self._columns > self._limits.columns:
            raise too_many_columns(self._limits)


def _number(text: str) -> int:
    try:
        return int(float(text))
    except (ValueError, OverflowError):
        return 0


def _column(reference: str) -> int:
    return _column_number(reference.rstrip("0123456789"))


@lru_cache(maxsize=1024)
def _column_number(letters: str) -> int:
    number = 0
    for letter in letters.upper()[:4]:
        number = number * 26 + ord(letter) - 64
    return max(number, 0)
