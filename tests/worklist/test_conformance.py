"""The conformance statement says what the code does."""

from __future__ import annotations

from pathlib import Path

from mwl_admin.worklist.conformance import attribute_table

PAGE = Path(__file__).parents[2] / "docs" / "conformance-worklist.md"


def test_the_conformance_statement_has_the_codes_table() -> None:
    _, _, rest = PAGE.read_text().partition("<!-- attributes: begin -->\n\n")
    table, _, _ = rest.partition("\n<!-- attributes: end -->")
    assert table == attribute_table()
