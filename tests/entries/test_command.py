"""``import_worklist`` as a nightly job runs it: what it prints, and how it exits."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command

from mwl_admin.models import RequestedProcedure

pytestmark = pytest.mark.django_db

GOOD = "Accession number,Patient ID,Family name,Date,Time,Modality\nA-1,P-1,Doe,2026-05-04,10:30,CT\n"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "entries.csv"
    path.write_text(GOOD)
    return path


def run(*arguments: object) -> tuple[int, str, str]:
    """Return exit status, output and complaints of the command."""
    out, err = io.StringIO(), io.StringIO()
    try:
        call_command("import_worklist", *map(str, arguments), stdout=out, stderr=err)
    except CommandError as error:
        return error.returncode, out.getvalue(), f"{err.getvalue()}{error}"
    return 0, out.getvalue(), err.getvalue()


def test_a_file_is_taken(file: Path) -> None:
    assert run(file) == (0, "1 row: 1 made, 0 updated, 0 unchanged, 0 wrong\n", "")
    assert run(file) == (0, "1 row: 0 made, 0 updated, 1 unchanged, 0 wrong\n", "")
    order = RequestedProcedure.objects.get()
    assert order.history.first().history_change_reason == "import of entries.csv"


def test_a_dry_run_changes_nothing(file: Path) -> None:
    status, out, _ = run(file, "--dry-run")
    assert status == 0
    assert "1 would be made" in out
    assert not RequestedProcedure.objects.exists()


def test_a_wrong_row_ends_with_status_1_and_no_change(file: Path) -> None:
    file.write_text(f"{GOOD}A-2,P-2,Doe,2026-05-04,noon,CT\n")
    status, _, complaints = run(file)
    assert status == 1
    assert "row 3, Time: must be a time of day" in complaints
    assert "nothing was changed" in complaints
    assert not RequestedProcedure.objects.exists()


@pytest.mark.parametrize("content", ["", "Accession number,Shoe size\n1,2\n"])
def test_a_file_that_is_no_table_ends_with_status_2(file: Path, content: str) -> None:
    file.write_text(content)
    assert run(file)[0] == 2


def test_a_file_that_is_not_there_ends_with_status_2(tmp_path: Path) -> None:
    status, _, complaints = run(tmp_path / "none.csv")
    assert status == 2
    assert "No such file" in complaints


def test_json_for_scripts(file: Path) -> None:
    file.write_text(f"{GOOD}A-2,P-2,Doe,2026-05-04,noon,CT\n")
    status, out, _ = run(file, "--json")
    told = json.loads(out)
    assert status == 1
    assert told["applied"] is False
    assert (told["rows"], told["wrong"]) == (2, 1)
    assert told["problems"] == [{"row": 3, "column": "Time", "message": "must be a time of day, such as 10:30."}]
    file.write_text("")
    status, out, _ = run(file, "--json")
    assert (status, json.loads(out)) == (2, {"applied": False, "error": "The file is empty."})
    file.write_text(GOOD)
    assert json.loads(run(file, "--json")[1])["applied"] is True
