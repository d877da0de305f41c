"""What is installed is pinned by hash, comes from no named address, and has a reason that is written down."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
LISTS = ("requirements", "requirements-dev")


def name_of(line: str) -> str:
    """Return the package's name in the form in which names are compared (PEP 503)."""
    found = re.match(r"[A-Za-z0-9][A-Za-z0-9._-]*", line)
    return re.sub(r"[-_.]+", "-", found[0]).lower() if found else ""


def direct(which: str) -> set[str]:
    lines = (ROOT / f"{which}.in").read_text().splitlines()
    return {name_of(line) for line in lines if line.strip() and not line.startswith(("#", "-"))}


def pinned(which: str) -> dict[str, str]:
    """Return each pinned package with its whole entry, hashes included."""
    text = re.sub(r"\\\n\s*", "", (ROOT / f"{which}.txt").read_text())
    return {name_of(line): line for line in text.splitlines() if "==" in line and not line.startswith("#")}


def explained() -> set[str]:
    rows = re.findall(
        r"^\| ([A-Za-z0-9][A-Za-z0-9._-]*) \| \S", (ROOT / "docs" / "dependencies.md").read_text(), re.MULTILINE
    )
    return {name_of(name) for name in rows} - {"package"}


def test_each_direct_requirement_has_its_reason_and_no_reason_is_left_over() -> None:
    assert explained() == direct("requirements") | direct("requirements-dev")


@pytest.mark.parametrize("which", LISTS)
def test_each_direct_requirement_is_pinned(which: str) -> None:
    assert direct(which) <= pinned(which).keys()


@pytest.mark.parametrize("which", LISTS)
def test_each_package_is_pinned_with_hashes(which: str) -> None:
    for name, entry in pinned(which).items():
        assert "--hash=sha256:" in entry, name


@pytest.mark.parametrize("which", LISTS)
def test_no_list_names_an_address(which: str) -> None:
    for suffix in ("in", "txt"):
        text = (ROOT / f"{which}.{suffix}").read_text()
        assert "://" not in text
        assert "index-url" not in text


def test_the_tests_run_on_what_the_services_run_on() -> None:
    version = re.compile(r"==([^\s;]+)")
    services, tests = pinned("requirements"), pinned("requirements-dev")
    for name, entry in services.items():
        assert version.findall(entry) == version.findall(tests[name]), name
