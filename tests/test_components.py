"""A test whose component is missing is skipped with the reason; in CI it fails."""

from __future__ import annotations

import pytest

from tests import components
from tests.components import Component


@pytest.fixture
def _missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(components.COMPONENTS, "scanner", Component("scanner-tools", lambda: False))


@pytest.mark.usefixtures("_missing")
def test_a_missing_component_skips_with_the_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CI", raising=False)
    with pytest.raises(pytest.skip.Exception, match=r"scanner is not on this machine .*scanner-tools"):
        components.demand("scanner")


@pytest.mark.usefixtures("_missing")
def test_a_missing_component_fails_in_ci(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CI", "true")
    with pytest.raises(pytest.fail.Exception, match="scanner is not on this machine"):
        components.demand("scanner")


def test_an_unknown_component_is_an_error_where_it_is_named() -> None:
    with pytest.raises(ValueError, match="scaner"):
        components.requires("scaner")
