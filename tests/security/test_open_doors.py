"""Each door that may be left open has a number, is told by `check --deploy`, and stands in docs/security.md."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.processes import ROOT, clean_environment

EVERYWHERE = {"WEB_BIND": "0.0.0.0:8000", "MWL_BIND": "0.0.0.0:4243", "PACS_BIND": "0.0.0.0:4244"}
SOUND = {
    **EVERYWHERE, "DJANGO_SECURE_COOKIES": "1", "DICOM_TLS": "1", "DJANGO_ALLOWED_HOSTS": "worklist.example",
    "WEB_TRUSTED_PROXIES": "198.18.42.2",
}  # fmt: skip


def told(folder: Path, **settings: str) -> set[str]:
    """Return the numbers of open doors that `check --deploy` tells."""
    (folder / "var").mkdir(mode=0o700, exist_ok=True)
    done = subprocess.run(
        [sys.executable, str(ROOT / "manage.py"), "check", "--deploy"], cwd=folder, capture_output=True, text=True,
        env=clean_environment(settings), check=False, timeout=60,
    )  # fmt: skip
    return set(re.findall(r"mwl_admin\.(W\d+)", done.stderr + done.stdout)) - {"W006"}


def test_a_department_that_closed_them_all_is_told_of_none(tmp_path: Path) -> None:
    assert told(tmp_path, **SOUND) == set()


@pytest.mark.parametrize(
    ("number", "settings"),
    [
        ("W002", {"DJANGO_DEBUG": "1"}),
        ("W003", {"DJANGO_ALLOWED_HOSTS": "localhost"}),
        ("W004", {"DJANGO_ALLOWED_HOSTS": "*"}),
        ("W007", {"MWL_UNKNOWN_STATIONS": "all"}),
        ("W008", {"DJANGO_SECURE_COOKIES": "0"}),
        ("W009", {"PACS_UNKNOWN_PEERS": "accept"}),
        ("W010", {"DICOM_TLS": "0"}),
        ("W011", {"PACS_COMMAND_BIND": "0.0.0.0:8248"}),
        ("W011", {"MWL_HEALTH_BIND": "0.0.0.0:8243"}),
        ("W012", {"PACS_BIND": "127.0.0.1:4244"}),
        ("W014", {"WEB_TRUSTED_PROXIES": "10.0.0.0/8"}),
    ],
)
def test_each_open_door_has_its_number(tmp_path: Path, number: str, settings: dict[str, str]) -> None:
    assert told(tmp_path, **{**SOUND, **settings}) == {number}


def test_a_folder_that_others_may_enter_is_told(tmp_path: Path) -> None:
    (tmp_path / "var").mkdir()
    (tmp_path / "var").chmod(0o755)
    assert told(tmp_path, **SOUND) == {"W013"}


def test_the_page_lists_each_number_that_the_code_tells() -> None:
    code = "".join((ROOT / "mwl_admin" / name).read_text() for name in ("checks.py", "site/open_doors.py"))
    numbers = set(re.findall(r'id="mwl_admin\.(\w+)"', code))
    page = (ROOT / "docs" / "security.md").read_text()
    site = (ROOT / "docs" / "site.md").read_text()
    doors = {number for number in numbers if number.startswith("W") and number >= "W007"}
    assert doors <= set(re.findall(r"`mwl_admin\.(W\d+)`", page))
    assert numbers - doors <= set(re.findall(r"`mwl_admin\.(\w+)`", site))
