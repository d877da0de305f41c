"""AE titles."""

from __future__ import annotations

import pytest

from dicom_encoding.ae_titles import is_legal


@pytest.mark.parametrize("title", ["CT1", "ct 1", " CT1", "A" * 16, "CT-1/[x]~"])
def test_a_title_is_legal(title: str) -> None:
    assert is_legal(title)


@pytest.mark.parametrize("title", ["", " ", "A" * 17, "CT\\1", "CT\n", "CT\0", "CTé", "\x7f"])
def test_anything_else_is_not(title: str) -> None:
    assert not is_legal(title)
