"""A small file that unpacks to gigabytes, or fills the memory with cells, is refused quickly, and in plain words."""

from __future__ import annotations

import io
import json
import subprocess
import sys
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth import get_user_model
from django.core.files.uploadedfile import SimpleUploadedFile
from django.core.management import CommandError, call_command
from django.test import Client
from django.urls import reverse
from openpyxl import Workbook

from mwl_admin.entries.tables.files import read
from mwl_admin.entries.tables.table_limits import TableError, TableLimits

ROOT = Path(__file__).parents[2]
SECONDS = 2.0
MEGABYTES = 200

MAIN = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
REL = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
PACKAGE = "http://schemas.openxmlformats.org/package/2006"
HEADLINE = '<row r="1"><c r="A1" t="inlineStr"><is><t>Accession number</t></is></c></row>'


def sheet(rows: str, *, before: str = "") -> str:
    return f'<worksheet xmlns="{MAIN}">{before}<sheetData>{HEADLINE}{rows}</sheetData></worksheet>'


def book(
    rows: str = "",
    *,
    sheets: int = 1,
    sheet_xml: str | None = None,
    strings: str = "",
    more: dict[str, Any] | None = None,
    declaration: str = "",
) -> bytes:
    """Return a workbook as a hostile program would write it, part by part."""
    numbers = range(1, sheets + 1)
    types = "".join(
        f'<Override PartName="/xl/worksheets/sheet{n}.xml" ContentType="application/vnd.openxmlformats-officedocument.'
        'spreadsheetml.worksheet+xml"/>' for n in numbers
    )  # fmt: skip
    if strings:
        types += (
            '<Override PartName="/xl/sharedStrings.xml" ContentType="application/vnd.openxmlformats-officedocument.'
            'spreadsheetml.sharedStrings+xml"/>'
        )
    parts = {
        "[Content_Types].xml": f'<Types xmlns="{PACKAGE}/content-types"><Default Extension="rels" ContentType='
        '"application/vnd.openxmlformats-package.relationships+xml"/><Default Extension="xml" ContentType='
        '"application/xml"/><Override PartName="/xl/workbook.xml" ContentType="application/vnd.openxmlformats-'
        f'officedocument.spreadsheetml.sheet.main+xml"/>{types}</Types>',
        "_rels/.rels": f'<Relationships xmlns="{PACKAGE}/relationships"><Relationship Id="rId1" Type="{REL}/'
        'officeDocument" Target="xl/workbook.xml"/></Relationships>',
        "xl/workbook.xml": f'<workbook xmlns="{MAIN}" xmlns:r="{REL}"><sheets>'
        + "".join(f'<sheet name="s{n}" sheetId="{n}" r:id="rId{n}"/>' for n in numbers) + "</sheets></workbook>",
        "xl/_rels/workbook.xml.rels": f'<Relationships xmlns="{PACKAGE}/relationships">'
        + "".join(
            f'<Relationship Id="rId{n}" Type="{REL}/worksheet" Target="worksheets/sheet{n}.xml"/>' for n in numbers
        ) + "</Relationships>",
    }  # fmt: skip
    if strings:
        parts["xl/sharedStrings.xml"] = f'{declaration}<sst xmlns="{MAIN}">{strings}</sst>'
    for n in numbers:
        parts[f"xl/worksheets/sheet{n}.xml"] = sheet_xml if sheet_xml is not None else declaration + sheet(rows)
    parts.update(more or {})
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        for name, content in parts.items():
            archive.writestr(name, content)
    return out.getvalue()


def bomb(size: int) -> bytes:
    """Return one part that unpacks to very much, without holding it."""
    out = io.BytesIO(book())
    with (
        zipfile.ZipFile(out, "a", zipfile.ZIP_DEFLATED, compresslevel=9) as archive,
        archive.open("xl/media/image1.png", "w", force_zip64=True) as part,
    ):
        for _ in range(size // 1024 // 1024):
            part.write(b"\0" * 1024 * 1024)
    return out.getvalue()


def lying(size: int) -> bytes:
    """Return the same, of whose size the directory says that it is ten bytes."""
    data = bytearray(bomb(size))
    at = data.rindex(b"PK\x01\x02")
    data[at + 24 : at + 28] = (10).to_bytes(4, "little")
    return bytes(data)


def overlapping(copies: int) -> bytes:
    """Return an archive whose directory names one and the same large part many times."""
    data = bomb(20 * 1024 * 1024)
    at, end = data.rindex(b"PK\x01\x02"), data.rindex(b"PK\x05\x06")
    start = int.from_bytes(data[end + 16 : end + 20], "little")
    entry = data[at:end]
    directory = data[start:end] + entry * copies
    tail = bytearray(data[end:])
    for offset in (8, 10):
        count = int.from_bytes(tail[offset : offset + 2], "little") + copies
        tail[offset : offset + 2] = count.to_bytes(2, "little")
    tail[12:16] = len(directory).to_bytes(4, "little")
    return data[:start] + directory + bytes(tail)


def bzipped() -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_BZIP2) as archive:
        archive.writestr("xl/workbook.xml", b"\0" * 300 * 1024 * 1024)
    return out.getvalue()


ENTITIES = "<!DOCTYPE x [" + '<!ENTITY a0 "ha">' + "".join(
    f'<!ENTITY a{n} "{f"&a{n - 1};" * 10}">' for n in range(1, 12)
) + "]>"  # fmt: skip

CELL = '<c t="n"><v>1</v></c>'
HOSTILE: dict[str, Callable[[], bytes]] = {
    "zip bomb": lambda: bomb(2 * 1024**3),
    "zip bomb whose directory lies": lambda: lying(2 * 1024**3),
    "parts that overlap": lambda: overlapping(200),
    "another compression": bzipped,
    "a million cells by reference": lambda: book('<row r="1048576"><c r="XFD1048576"><v>1</v></c></row>'),
    "a cell far to the right in each row": lambda: book(
        "".join(f'<row r="{n}"><c r="XFD{n}"><v>1</v></c></row>' for n in range(2, 20_000))
    ),
    "a row far below": lambda: book('<row r="1048576"><c r="A1048576"><v>1</v></c></row>'),
    "rows numbered as fractions": lambda: book('<row r="1048576.0"><c><v>1</v></c></row>'),
    "a dimension that lies": lambda: book(
        sheet_xml=sheet('<row r="1048576"><c r="A1"><v>1</v></c></row>', before='<dimension ref="A1:XFD1048576"/>')
    ),
    "millions of cells": lambda: book(f"<row>{CELL * 100}</row>" * 30_000),
    "millions of cells in one row": lambda: book(f"<row>{'<c/>' * 4_000_000}</row>"),
    "millions of times the same cell": lambda: book("<row>" + "<c r='A2'/>" * 3_000_000 + "</row>"),
    "millions of rows": lambda: book("<row/>" * 4_000_000),
    "thousands of sheets": lambda: book(sheets=2_000),
    "large sheets": lambda: book(f"<row>{CELL * 100}</row>" * 900, sheets=30),
    "millions of shared texts": lambda: book(strings="<si><t>x</t></si>" * 3_000_000),
    "one shared text of many megabytes": lambda: book(strings=f"<si><t>{'x' * 50_000_000}</t></si>"),
    "one long text in each cell": lambda: book(
        ("<row>" + "<c t='s'><v>0</v></c>" * 100 + "</row>") * 1000, strings=f"<si><t>{'x' * 32_000}</t></si>"
    ),
    "one text of many parts": lambda: book(strings=f"<si>{'<r><t>x</t></r>' * 3_000_000}</si>"),
    "a name of many megabytes": lambda: book(sheet_xml=f"<{'x' * 50_000_000}/>"),
    "entities in a sheet": lambda: book("<row><c t='inlineStr'><is><t>&a11;</t></is></c></row>", declaration=ENTITIES),
    "entities in texts": lambda: book(strings="<si><t>&a11;</t></si>", declaration=ENTITIES),
    "an entity of the file system": lambda: book(
        "<row><c t='inlineStr'><is><t>&e;</t></is></c></row>",
        declaration='<!DOCTYPE x [<!ENTITY e SYSTEM "file:///etc/passwd">]>',
    ),
    "millions of formats": lambda: book(
        more={"xl/styles.xml": f'<styleSheet xmlns="{MAIN}"><cellXfs>{"<xf/>" * 3_000_000}</cellXfs></styleSheet>'}
    ),
    "hundred thousands of parts": lambda: book(more={f"xl/x{n}": b"" for n in range(60_000)}),
    "millions of merged cells": lambda: book(
        sheet_xml=f'<worksheet xmlns="{MAIN}"><sheetData>{HEADLINE}</sheetData><mergeCells>'
        + '<mergeCell ref="A1:B2"/>' * 2_000_000
        + "</mergeCells></worksheet>"
    ),
    "CSV: one row of millions of cells": lambda: b"Accession number\n" + b"," * 15_000_000,
    "CSV: millions of empty rows": lambda: b"Accession number\n" + b"\n" * 15_000_000,
    "CSV: millions of rows": lambda: b"Accession number\n" + b"1\n" * 7_000_000,
    "CSV: one long line": lambda: b"Accession number\n" + b"x" * 15_000_000,
    "CSV: a quotation mark that never ends": lambda: b'Accession number\n"' + b"x\n" * 7_000_000,
    "CSV: letters that take four bytes": lambda: b"Accession number\n" + "😀".encode() * 4_000_000,
    "CSV: UTF-16": lambda: ("Accession number\n" + "x" * 9_000_000).encode("utf-16"),
    "larger than a file may be": lambda: b"Accession number\n" + b"x" * 21_000_000,
}

# In a process of its own: what it takes at most is what the file has cost. The file is in memory before, and its own
# size is not counted; nor are the modules, which one small workbook has loaded.
MEASURE = """
import io, json, resource, sys, time
resource.setrlimit(resource.RLIMIT_AS, (3 << 30, 3 << 30))
import django; django.setup()
from mwl_admin.entries.tables.files import read
from mwl_admin.entries.tables.table_limits import TableError
from openpyxl import Workbook
small = io.BytesIO(); book = Workbook(); book.active.append(["Accession number"]); book.save(small)
read(small.getvalue())
data = open(sys.argv[1], "rb").read()
peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
before, started = peak(), time.process_time()
try:
    read(data); said = ""
except TableError as error:
    said = str(error)
print(json.dumps({"said": said, "seconds": time.process_time() - started, "megabytes": peak() - before}))
"""


@pytest.mark.parametrize("what", HOSTILE)
def test_a_hostile_file_is_refused_at_once(what: str, tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_bytes(HOSTILE[what]())
    done = subprocess.run(
        [sys.executable, "-c", MEASURE, str(file)],
        cwd=ROOT, env={"DJANGO_SETTINGS_MODULE": "mwl_admin.settings", "DATA_DIR": str(tmp_path), "PATH": ""},
        capture_output=True, text=True, timeout=100, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert told["said"], "it was taken"
    # Seconds of the processor: others may be at work here.
    assert told["seconds"] < SECONDS, told
    assert told["megabytes"] < MEGABYTES, told


def test_each_limit_is_a_setting(settings: Any) -> None:
    def refused(data: bytes, **limits: int) -> str:
        settings.IMPORT_LIMITS = TableLimits(**limits)
        with pytest.raises(TableError) as raised:
            read(data)
        return str(raised.value)

    five = b"Accession number,b\n" + b"1,2\n" * 5
    book_of_five = book("".join(f"<row><c><v>{n}</v></c><c><v>2</v></c></row>" for n in range(5)), sheets=3)
    assert "larger than 0 kB" in refused(five, size=10)
    assert "more than 4 rows" in refused(five, rows=4)
    assert "more than 4 rows" in refused(book_of_five, rows=4)
    assert "more than 1 columns" in refused(five, columns=1)
    assert "more than 1 columns" in refused(book_of_five, columns=1)
    assert "more than 9 cells" in refused(five, cells=9)
    assert "more than 9 cells" in refused(book_of_five, cells=9)
    assert "unpacked" in refused(book_of_five, unpacked=1000)
    assert "more than 2 sheets" in refused(book_of_five, sheets=2)
    settings.IMPORT_LIMITS = TableLimits(rows=5, columns=2, cells=40, sheets=3)
    assert len(read(five).rows) == len(read(book_of_five).rows) == 5


def real(rows: Iterator[list[Any]]) -> bytes:
    made = Workbook(write_only=True)
    page = made.create_sheet()
    for row in rows:
        page.append(row)
    out = io.BytesIO()
    made.save(out)
    return out.getvalue()


def test_what_a_department_brings_is_still_taken() -> None:
    table = read(
        real([f"h{n}" for n in range(45)] if row == 0 else [f"{row}/{n}" for n in range(45)] for row in range(2001))
    )
    assert len(table.headings) == 45
    assert len(table.rows) == 2000
    assert table.rows[-1][1][-1] == "2000/44"


def test_formats_without_values_and_gaps_do_no_harm() -> None:
    empty = "".join(f'<c r="{letter}2" s="0"/>' for letter in ("B", "ZZ", "XFD"))
    table = read(book(f'<row r="2">{empty}</row><row r="40"><c r="A40"><v>5</v></c></row><row r="900000"/>'))
    assert table.rows == [(40, [5])]


def test_a_broken_workbook_is_told_as_such() -> None:
    whole = book(f"<row>{CELL}</row>")
    for data in (
        whole[:-30],
        whole[: len(whole) // 2],
        book(sheet_xml="<worksheet"),
        book('<row><c t="s"><v>7</v></c></row>'),
        book('<row><c r="??"><v>7</v></c></row>'),
        book('<row><c t="d"><v>yesterday</v></c></row>'),
        book(more={"xl/workbook.xml": "<workbook/>"}),
    ):
        with pytest.raises(TableError):
            read(data)


@pytest.mark.django_db
def test_site_and_command_say_so_in_plain_words(tmp_path: Path, client: Client, settings: Any) -> None:
    settings.DATA_DIR = tmp_path
    client.force_login(get_user_model().objects.create_superuser("anna"))
    file = tmp_path / "far.xlsx"
    file.write_bytes(HOSTILE["a row far below"]())
    large = tmp_path / "large.csv"
    large.write_bytes(HOSTILE["larger than a file may be"]())
    for path, words in (
        (file, "The file has more than 20000 rows; split it."),
        (large, "The file is larger than 20 MB."),
    ):
        with pytest.raises(CommandError, match=words) as raised:
            call_command("import_worklist", str(path))
        assert raised.value.returncode == 2
        upload = SimpleUploadedFile(path.name, path.read_bytes())
        form = {"import_file": upload, "format": "1", "resource": "0"}
        page = client.post(reverse("admin:mwl_admin_requestedprocedure_import"), form).content.decode()
        assert words in page
