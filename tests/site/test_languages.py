"""What makes another language possible: texts that are marked and collected, dates as the department writes them."""

from __future__ import annotations

import ast
import html
import os
import re
import runpy
import shutil
import subprocess
import sys
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from django.contrib.admin import site
from django.utils import dateformat

from mwl_admin.site import languages
from mwl_admin.site.admin.records import PAGES as PAGES_READ
from tests.components import demand
from tests.site.pseudo import OURS as ENGLISH

SITE = ENGLISH.parents[2]


@pytest.mark.parametrize("domain", ["django", "djangojs"])
def test_translators_find_every_text_in_their_file(tmp_path: Path, domain: str) -> None:
    demand("gettext")
    root = SITE
    copy = shutil.copytree(root, tmp_path / "mwl_admin", ignore=shutil.ignore_patterns("__pycache__"))
    command = [sys.executable, str(root.parent / "manage.py"), "makemessages", "--domain", domain, "--locale", "en"]
    environment = {**os.environ, "DATA_DIR": str(tmp_path)}
    subprocess.run([*command, "--no-obsolete"], cwd=copy, env=environment, check=True, capture_output=True)
    shipped, found = (
        set(
            re.findall(
                r"^msgid .*(?:\n\".*)*", (where / f"locale/en/LC_MESSAGES/{domain}.po").read_text(), re.MULTILINE
            )
        )
        for where in (root, copy)
    )
    assert shipped == found, "make messages collects them"


def test_what_is_put_into_a_text_has_a_name_there() -> None:
    """Another language needs another order."""
    text = (ENGLISH / "django.po").read_text()
    assert not re.findall(r"^msgid.*%[sd].*$", text, re.MULTILINE)


def test_every_language_writes_dates_as_the_department_does() -> None:
    folders = {folder.name for folder in ENGLISH.parent.parent.iterdir() if folder.is_dir()}
    assert folders == languages.translated()


@pytest.mark.parametrize(
    ("style", "written"),
    [
        ("d/m/Y", ["04/05/2026", "4 May 2026", "Mon 4 May", "Monday 4 May 2026"]),
        ("d.m.Y", ["04.05.2026", "4. May 2026", "Mon 4. May", "Monday 4. May 2026"]),
        ("m/d/Y", ["05/04/2026", "May 4, 2026", "Mon, May 4", "Monday, May 4, 2026"]),
        ("Y-m-d", ["2026-05-04", "2026-05-04", "Mon 05-04", "Monday 2026-05-04"]),
    ],
)
def test_a_date_is_written_as_the_department_does(settings: Any, style: str, written: list[str]) -> None:
    settings.DATE_STYLE = style
    department = runpy.run_path(str(SITE / "formats" / "department.py"))
    names = ("SHORT_DATE_FORMAT", "DATE_FORMAT", "SHORT_WEEKDAY_DATE_FORMAT", "LONG_DATE_FORMAT")
    assert [dateformat.format(date(2026, 5, 4), department[name]) for name in names] == written
    assert date(2026, 5, 4).strftime(department["DATE_INPUT_FORMATS"][0]) == written[0]


def test_only_a_language_with_texts_can_be_chosen() -> None:
    assert languages.language("en-GB") == "en-gb"
    assert languages.language("en") == "en"
    for code in ("de", "xx", "en-xx", ""):
        with pytest.raises(ValueError, match="translated into: en"):
            languages.language(code)


def test_the_log_of_reads_names_every_page_of_a_record() -> None:
    kinds = {admin.read_as for admin in site._registry.values() if hasattr(admin, "read_as")}
    assert {f"{kind}{page}" for kind in kinds for page in ("", " list", " history", " deletion")} <= {*PAGES_READ}


FOR_STAFF = (
    "site/admin", "site/pages", "models", "site/preflight.py", "devices/echo.py", "patients/merging.py",
    "validators.py", "fields.py",
)  # fmt: skip
FOR_PROGRAMMERS = {"a parameter did not reach the statement as it is", "sample parameter "}
"""In `models/prepared.py`, about statements that the code makes."""
MARKS = {"_", "gettext", "gettext_lazy", "gettext_noop", "ngettext"}


@pytest.mark.parametrize("place", FOR_STAFF)
def test_no_sentence_stands_in_the_code_unmarked(place: str) -> None:
    """Also where no page of these tests comes by."""
    root = SITE / place
    names = {*PAGES_READ, *FOR_PROGRAMMERS, "Can merge two patient records"}
    for module in sorted(root.glob("*.py")) if root.is_dir() else [root]:
        tree = ast.parse(module.read_text(encoding="utf-8"))
        told = [text for text in _texts(tree) if re.search(r"[a-z]{2,} [a-z]{2,}", text) and "<" not in text]
        assert {*told} <= names, module


def _texts(node: ast.AST) -> Iterator[str]:
    """Yield the strings below a node, without docstrings and what is marked for translation."""
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in MARKS:
        return
    if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
        return
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        yield node.value
    for child in ast.iter_child_nodes(node):
        yield from _texts(child)


def test_no_word_stands_in_a_template_unmarked() -> None:
    for template in sorted((SITE / "templates" / "mwl_admin").glob("*.html")):
        text = template.read_text(encoding="utf-8")
        text = re.sub(
            r"{% blocktranslate.*?{% endblocktranslate %}|{#.*?#}|{%.*?%}|{{.*?}}", " ", text, flags=re.DOTALL
        )
        text = re.sub(r"<style>.*?</style>", " ", text, flags=re.DOTALL)
        said = re.findall(r'(?:title|aria-label|placeholder)="([^"]*)"', text)
        shown = [html.unescape(part) for part in (*said, re.sub(r"<[^>]*>", " ", text))]
        assert {*re.findall(r"[^\W\d_]{2,}", " ".join(shown))} <= {"ms", "XLSX", "CSV", "gateway"}, template.name
