"""What a pipe gets of a table: every column, and every UID whole."""

from __future__ import annotations

from typing import Any

import pytest

from pacs_receiver import output

UID = "2.25." + "123456789" * 6 + "12345"
LONG = {
    "study_date": "20261124", "patient_id": "P-" + "1" * 62, "patient_name": "Mustermann^" + "Maria " * 20,
    "accession_number": "A" * 16, "modalities": ["CT", "MR", "PR", "SR"], "description": "Abdomen [with contrast] " * 9,
    "series_count": 12, "instance_count": 12345, "file_bytes": 1 << 33, "last_arrival": 1.8e9, "odd_count": 7,
    "original_patient_id": None, "mixed_up": False,
    "study_uid": UID,
}  # fmt: skip
COLUMNS = "date patient ID patient accession modality description series images size arrived odd study"


@pytest.mark.parametrize("columns", ["", "20", "400"])
def test_no_column_is_dropped_and_no_uid_is_cut(
    columns: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", columns)
    output.studies([LONG, {**LONG, "description": "", "patient_name": ""}], as_json=False)
    head, first, second = capsys.readouterr().out.splitlines()
    assert head.split() == COLUMNS.split()
    for row in (first, second):
        assert row.split()[-1] == UID
        assert len(UID) == 64
        for text in ("20261124", LONG["patient_id"], "A" * 16, "CT MR PR SR", "12345", "8.6 GB", " 7 "):
            assert str(text) in row
    assert str(LONG["description"]).strip() in first
    assert str(LONG["patient_name"]).strip() in first


def test_an_empty_list_is_its_heading(capsys: pytest.CaptureFixture[str]) -> None:
    nothing: list[dict[str, Any]] = []
    output.studies(nothing, as_json=False)
    assert capsys.readouterr().out.split() == COLUMNS.split()
