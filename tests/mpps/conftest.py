"""The real worklist provider, and what is left of each test taken away."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from mwl_admin.models import PerformedProcedureStep
from tests.clock import steady_clock
from tests.mwl_scp.conftest import _empty, database, provider

__all__ = ["_empty", "database", "provider", "steady_clock"]


@pytest.fixture(autouse=True)
def _no_reports(request: pytest.FixtureRequest) -> Iterator[None]:
    yield
    if "database" in request.fixturenames:
        PerformedProcedureStep.objects.all().delete()
