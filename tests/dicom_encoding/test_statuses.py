"""The statuses have the numbers of the standard, and those that say that it was done are known."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest
from pynetdicom.status import (
    GENERAL_STATUS,
    MODALITY_WORKLIST_SERVICE_CLASS_STATUS,
    STORAGE_SERVICE_CLASS_STATUS,
)

from dicom_encoding.statuses import Status, is_success

ROOT = Path(__file__).parents[2]
KNOWN = GENERAL_STATUS | STORAGE_SERVICE_CLASS_STATUS | MODALITY_WORKLIST_SERVICE_CLASS_STATUS


@pytest.mark.parametrize("status", list(Status))
def test_each_is_one_of_the_standards(status: Status) -> None:
    assert status in KNOWN or status is Status.ATTRIBUTES_NOT_SUPPORTED


@pytest.mark.parametrize("status", list(Status))
def test_success_and_warnings_mean_that_it_was_done(status: Status) -> None:
    category = KNOWN.get(status, ("Warning",))[0]
    assert is_success(status) == (category in ("Success", "Warning"))


@pytest.mark.parametrize("status", [0xB000, 0xB006, 0xB007])
def test_warnings_of_a_storage_mean_that_it_was_done(status: int) -> None:
    assert is_success(status)


@pytest.mark.parametrize("package", ["dicom_listener", "mwl_admin", "mwl_scp", "pacs_receiver"])
def test_no_other_module_states_one(package: str) -> None:
    """A number where a response or a refusal is made would be a second place."""
    found = [
        f"{path.relative_to(ROOT)}:{node.lineno}"
        for path in (ROOT / package).rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Name)
        and node.func.id in ("Refused", "Response")
        and node.args
        and isinstance(node.args[0], ast.Constant)
        and isinstance(node.args[0].value, int)
    ]
    assert found == []
