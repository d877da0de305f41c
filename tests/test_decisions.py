"""Each decision is told in one form under a number of its own, and who refers to one refers to it by that number."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import date
from pathlib import Path

import pytest

from tests.processes import ROOT

DECISIONS = sorted((ROOT / "docs" / "adr").iterdir())
SUFFIXES = {".cfg", ".html", ".js", ".md", ".py", ".toml", ".yaml"}
SECTIONS = ["Context", "Decision", "Consequences"]
FORM = re.compile(
    r"# (?P<number>\d+)\. \S.*\n\n"
    r"- Date: (?P<date>\d{4}-\d\d-\d\d)\n"
    r"- Status: (?:accepted|superseded by \[ADR \d+\]\(\d{4}-[\w-]+\.md\))\n\n"
    r"## Context\n"
)
# how a page and a comment refer to a decision
REFERENCE = re.compile(r"\bADR (\d+)\b|docs/adr/(\d{4})")


def named(path: Path) -> str:
    return path.name


def sources() -> Iterator[Path]:
    """Yield each file of the repository that may refer to a decision."""
    for top in ROOT.iterdir():
        if top.name.startswith(".") or top.name in {"node_modules", "var"}:
            continue
        files = top.rglob("*") if top.is_dir() else [top]
        yield from (path for path in files if path.suffix in SUFFIXES)


def number(path: Path) -> int:
    return int(path.name.partition("-")[0])


def test_numbers_begin_with_1_and_leave_no_gap() -> None:
    assert [number(path) for path in DECISIONS] == list(range(1, len(DECISIONS) + 1))


@pytest.mark.parametrize("path", DECISIONS, ids=named)
def test_each_has_title_date_status_and_three_sections(path: Path) -> None:
    text = path.read_text()
    form = FORM.match(text)
    assert form
    assert int(form["number"]) == number(path)
    assert date.fromisoformat(form["date"])
    assert re.fullmatch(r"\d{4}-[a-z0-9-]+\.md", path.name)
    parts = re.split(r"^## (.+)\n", text, flags=re.MULTILINE)
    assert parts[1::2] == SECTIONS
    assert all(part.strip() for part in parts[2::2])


def test_dates_follow_the_numbers() -> None:
    dates = [FORM.match(path.read_text())["date"] for path in DECISIONS]  # type: ignore[index]
    assert dates == sorted(dates)


def test_each_reference_names_a_decision_that_there_is() -> None:
    """Links are followed by tests/test_pages.py; here are the numbers, in code and comments too."""
    known = {number(path) for path in DECISIONS}
    for path in sources():
        for plain, address in REFERENCE.findall(path.read_text()):
            assert int(plain or address) in known, path
