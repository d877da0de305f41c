"""The real services, and what is left of each test taken away."""

from __future__ import annotations

from tests.mpps.conftest import _no_reports
from tests.mwl_scp.conftest import _empty, database, provider

__all__ = ["_empty", "_no_reports", "database", "provider"]
