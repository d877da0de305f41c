"""How the subcommands print: tables for people, one JSON object a line for scripts."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

_WIDTH_WITHOUT_TERMINAL = 200


def console() -> Console:
    """A console on standard output; wide where there is no terminal, so that nothing is folded in a pipe."""
    return Console() if sys.stdout.isatty() else Console(width=_WIDTH_WITHOUT_TERMINAL, soft_wrap=True)


def studies(rows: Iterable[Mapping[str, Any]], *, as_json: bool) -> None:
    """Print studies."""
    if as_json:
        for row in rows:
            json_line(row)
        return
    table = _table("date", "patient ID", "patient", "accession", "modality", "description", "series>", "images>",
                   "size>", "arrived", "study")  # fmt: skip
    for row in rows:
        _add(table, row["study_date"], row["patient_id"], row["patient_name"], row["accession_number"],
             " ".join(row["modalities"]), row["description"], row["series_count"], row["instance_count"],
             size(row["file_bytes"]), moment(row["last_arrival"]), row["study_uid"])  # fmt: skip
    console().print(table)


def json_line(values: Mapping[str, Any]) -> None:
    """Print one JSON object on a line of its own; bytes as hexadecimal digits."""
    text = json.dumps(dict(values), ensure_ascii=False, default=lambda value: bytes(value).hex())
    sys.stdout.write(text + "\n")


def moment(seconds: float | None) -> str:
    """A point in time as local wall clock, to the second."""
    if seconds is None:
        return ""
    return datetime.fromtimestamp(seconds, UTC).astimezone().strftime("%Y-%m-%d %H:%M:%S")


def size(count: float) -> str:
    """A number of bytes in the unit that suits it."""
    for unit in ("B", "kB", "MB", "GB"):
        if count < 1000:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:.1f} TB"


def _table(*columns: str) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        table.add_column(column.removesuffix(">"), justify="right" if column.endswith(">") else "left", no_wrap=True)
    return table


def _add(table: Table, *cells: object) -> None:
    # Text, not str: a patient's name may look like rich's markup
    table.add_row(*(Text(str(cell)) for cell in cells))
