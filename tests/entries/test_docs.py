"""docs/import.md names the columns that the code reads."""

from __future__ import annotations

from pathlib import Path

from mwl_admin.entries.tables.columns import HEADINGS

PAGE = Path(__file__).resolve().parents[2] / "docs" / "import.md"


def test_the_page_names_each_column() -> None:
    rows = [line for line in PAGE.read_text().partition("## The columns")[2].splitlines() if line.startswith("| ")]
    told = [tuple(cell.strip() for cell in row.strip("|").split("|")) for row in rows[2:]]
    assert told == [(heading.name, heading.meaning, heading.example, heading.keyword) for heading in HEADINGS]
