"""How much a file of entries may hold: settings, and how a file that holds more is refused."""

from __future__ import annotations

from dataclasses import dataclass

from django.conf import settings
from django.utils.translation import gettext as _

CELL_CHARACTERS = 32_767
"""What a spreadsheet program lets a cell hold."""


class TableError(Exception):
    """A file is no table that can be read; the text says why, in words for staff."""


@dataclass(frozen=True, slots=True)
class TableLimits:
    """``size`` is of the file and of the text in its table, ``unpacked`` of all parts of a workbook, in bytes."""

    size: int = 20 * 1024 * 1024
    unpacked: int = 100 * 1024 * 1024
    rows: int = 20_000
    columns: int = 200
    cells: int = 1_000_000
    sheets: int = 50

    @classmethod
    def current(cls) -> TableLimits:
        """Return what the settings say."""
        limits: TableLimits = settings.IMPORT_LIMITS
        return limits

    @property
    def lines(self) -> int:
        """How far down a table may reach, empty rows included."""
        return 2 * self.rows + 1000


def refuse_large_file(size: int, limits: TableLimits) -> None:
    """Refuse a file by its size, before it is read."""
    if size > limits.size:
        raise TableError(_("The file is larger than %(size)s.") % {"size": in_words(limits.size)})


def too_many_rows(limits: TableLimits) -> TableError:
    """Return the refusal of a table that is too long."""
    return TableError(_("The file has more than %(limit)d rows; split it.") % {"limit": limits.rows})


def too_many_columns(limits: TableLimits) -> TableError:
    """Return the refusal of a table that is too wide."""
    return TableError(_("The file has more than %(limit)d columns.") % {"limit": limits.columns})


def too_many_cells(limits: TableLimits) -> TableError:
    """Return the refusal of a table with too many cells, empty ones that have a format included."""
    text = _("The file has more than %(limit)d cells; split it, or copy its table into a new workbook.")
    return TableError(text % {"limit": limits.cells})


def in_words(size: int) -> str:
    """Return a number of bytes as people read it."""
    return f"{size // 1024 // 1024} MB" if size >= 1024 * 1024 else f"{size // 1024} kB"
