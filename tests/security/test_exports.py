"""No cell of a file that the site writes is run by a spreadsheet program, and the file comes back unchanged."""

from __future__ import annotations

import ast
import csv
import io
import re
import zipfile
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from django.contrib import admin
from django.contrib.auth import get_user_model
from django.test import Client
from django.urls import reverse
from hypothesis import given, settings
from hypothesis import strategies as st
from import_export.admin import ExportMixin
from openpyxl import load_workbook

from mwl_admin.entries.tables import cells, export
from mwl_admin.entries.tables.columns import HEADINGS
from mwl_admin.entries.tables.files import read
from mwl_admin.entries.tables.rows import UNCHANGED, import_table
from mwl_admin.entries.tables.spreadsheets import harmless, restored, write_csv, write_xlsx
from mwl_admin.models import Patient, RequestedProcedure, ScheduledProcedureStep
from mwl_admin.site.admin.tables import EntryExchange
from mwl_admin.validators import validate_long_string
from tests.factory import make_step

ROOT = Path(__file__).parents[2]
SIGNS = "=+-@＝＋－＠﹦﹢﹣﹫"
BEFORE = [
    "",
    " ",
    "\t",
    "\r",
    "\n",
    "\r\n",
    "\x0b",
    "\xa0",
    "\u3000",
    "\u200b",
    "\ufeff",
    "\u2060",
    "\u202e",
    "\x00",
    "' ",
    "''",
]
BODIES = ["1+1", "SUM(1)", 'HYPERLINK("http://x";"y")', "cmd|' /C calc'!A0", ""]
FORMULAS = [before + sign + body for before in BEFORE for sign in SIGNS for body in BODIES]
BROKEN = [f"x{separator}{sign}1+1" for separator in "\n\r;\t\u2028" for sign in SIGNS]
DDE = ["cmd|' /C calc'!A0", " MSEXCEL|'\\..\\x'!A1"]
ATTACKS = [*FORMULAS, *BROKEN, *DDE]
SEPARATORS = r"[\n\r;\t\x0b\x0c\x85\u2028\u2029]"


def runs(text: str) -> bool:
    """Whether a spreadsheet program may take some part of this text for a formula; written apart from the code."""
    for part in re.split(SEPARATORS, text):
        seen = re.sub(
            r"^[\s\x00-\x20\x7f-\xa0\u00ad\u034f\u061c\u180e\u200b-\u200f\u2028-\u202f\u205f-\u206f\u3000\ufeff]+",
            "",
            part,
        )
        if (seen[:1] and seen[0] in SIGNS) or re.match(r"[A-Za-z]+\|.*!", seen):
            return True
    return bool(re.match(r"[\t\r\n]", text))


def test_the_attacks_are_attacks() -> None:
    # those with an apostrophe before the sign are there for the way back
    assert all(runs(text) for text in ATTACKS if not text.startswith("'"))


@pytest.mark.parametrize("form", [write_csv, write_xlsx])
def test_no_cell_in_any_column_is_run(form: Any) -> None:
    headings = ["a", "b", "c"]
    data = form(headings, [[attack, "x", attack] for attack in ATTACKS])
    if form is write_csv:
        rows = list(csv.reader(io.StringIO(data.decode("utf-8-sig"), newline="")))
    else:
        book = load_workbook(io.BytesIO(data))
        rows = [[str(cell.value or "") for cell in row] for row in book.worksheets[0].iter_rows()]
    assert len(rows) == len(ATTACKS) + 1
    assert not [cell for row in rows for cell in row if runs(str(cell))]


def test_a_csv_read_with_other_separators_is_not_run_either() -> None:
    data = write_csv(["a", "b"], [["x", attack] for attack in ATTACKS]).decode("utf-8-sig")
    for delimiter in ";\t":
        for row in csv.reader(io.StringIO(data, newline=""), delimiter=delimiter):
            assert not [cell for cell in row if runs(cell) and not cell.startswith((",", '"'))]


def test_in_a_workbook_each_text_is_a_text_by_type_and_by_format() -> None:
    data = write_xlsx(["=1+1", "b"], [[attack, 5] for attack in ATTACKS], help_rows=[["@x", "+y"]])
    assert b"<f>" not in data
    book = load_workbook(io.BytesIO(data))
    for sheet in book.worksheets:
        for row in sheet.iter_rows():
            for cell in row:
                if cell.value is None or isinstance(cell.value, int):
                    continue
                assert cell.data_type == "s"
                assert cell.quotePrefix
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        for name in archive.namelist():
            content = archive.read(name)
            assert b"<f" not in content.replace(b"<fonts", b"").replace(b"<font", b"").replace(b"<fill", b"").replace(
                b"<family", b""
            )
            if name.endswith((".xml", ".rels")):
                ElementTree.fromstring(content)


UNWRITABLE = "".join(map(chr, (*range(0x20), 0x7F, 0x85, 0x9B, 0xFFFE, 0xFFFF)))


def test_characters_that_xml_has_no_place_for_break_no_workbook() -> None:
    data = write_xlsx(["a"], [[f"a{character}b"] for character in UNWRITABLE])
    rows = list(load_workbook(io.BytesIO(data)).worksheets[0].iter_rows(values_only=True))
    assert len(rows) == len(UNWRITABLE) + 1
    assert all(str(value).startswith("a") and str(value).endswith("b") for (value,) in rows[1:])
    assert write_csv(["a"], [["a\ud800b"]])
    write_xlsx(["a"], [["a\ud800b"]])


@given(st.text(alphabet=st.sampled_from("=+-@＝'\t\r\n; |!ab\u200b\ufeff"), max_size=12))
@settings(max_examples=2000, deadline=None)
def test_what_is_done_to_a_text_can_be_undone(text: str) -> None:
    written = harmless(text)
    assert restored(written) == text
    assert not runs(written)


def test_an_ordinary_text_stays_as_it_is() -> None:
    for text in (
        "Müller",
        "A-5001",
        "CT thorax + abdomen",
        "O'Neill",
        "'s-Hertogenbosch",
        "a@b.example",
        "1.72",
        "x;y",
        "",
    ):
        assert harmless(text) == text
    assert harmless(-5) == -5


# --- entries, by the site's own pages

LEGAL = [text for text in ("=1+1", "+1", "-1", "@x", "＝1", "x;=y", "'=x", "''+x", "cmd|'x'!A0", "\u200b=x") if text]


@pytest.mark.django_db
@pytest.mark.parametrize("extension", ["csv", "xlsx"])
def test_entries_with_formulas_everywhere_are_exported_harmless_and_come_back_unchanged(
    extension: str, client: Client
) -> None:
    for number, text in enumerate(LEGAL):
        validate_long_string(text)
        name = text.replace("=", "+")  # in a name an equals sign separates its forms
        make_step(
            patient={"patient_id": f"{text}{number}", "family_name": name, "given_name": name, "special_needs": text,
                     "patient_comments": f"a\n{text}", "allergies": f"{text.replace(';', '')}\nLatex"},
            requested={"accession_number": f"{text[:9]}{number}", "requested_procedure_description": text,
                       "reason_for_the_requested_procedure": text},
            scheduled_procedure_step_description=text,
            comments_on_the_scheduled_procedure_step=text,
        )  # fmt: skip
    client.force_login(get_user_model().objects.create_superuser("anna"))
    form = {"format": "0" if extension == "csv" else "1", "resource": "0"}
    form |= {f"entryresource_{heading.name}": "on" for heading in HEADINGS}
    answer = client.post(reverse("admin:mwl_admin_requestedprocedure_export"), form)
    data = answer.content
    assert answer["Content-Disposition"].startswith("attachment")
    table = read(data)
    assert not [cell for _number, row in table.rows for cell in row if isinstance(cell, str) and runs(cell)]
    before = [
        list(model.objects.order_by("pk").values()) for model in (Patient, RequestedProcedure, ScheduledProcedureStep)
    ]
    report = import_table(table)
    assert [(row.action, row.problems) for row in report.rows] == [(UNCHANGED, [])] * len(LEGAL)
    after = [
        list(model.objects.order_by("pk").values()) for model in (Patient, RequestedProcedure, ScheduledProcedureStep)
    ]
    assert after == before


def test_a_cell_that_somebody_typed_with_an_apostrophe_is_read_as_meant() -> None:
    assert cells.text("'=1+1") == "=1+1"
    assert cells.text("'s-Hertogenbosch") == "'s-Hertogenbosch"


# --- nothing else writes tables


def test_no_other_page_exports() -> None:
    exporting = [model.__name__ for model, page in admin.site._registry.items() if isinstance(page, ExportMixin)]
    assert exporting == ["RequestedProcedure"]
    assert {kind.__name__ for kind in EntryExchange.formats} == {"CSVFile", "XLSXFile"}


def test_tables_are_written_in_one_module_only() -> None:
    writers = set()
    for package in ("mwl_admin", "mwl_scp", "pacs_receiver", "dicom_listener", "gateway_link"):
        for path in (ROOT / package).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text())):
                if isinstance(node, ast.Attribute) and node.attr in {"writer", "DictWriter"}:
                    writers.add(path.name)
                if isinstance(node, ast.Name) and node.id in {"Workbook", "WriteOnlyCell"}:
                    writers.add(path.name)
    assert writers == {"spreadsheets.py"}


def test_the_template_holds_no_formula() -> None:
    for row in load_workbook(io.BytesIO(export.template_xlsx())).worksheets[1].iter_rows(values_only=True):
        assert not [cell for cell in row if isinstance(cell, str) and runs(cell)]
