"""What the attacks need: the services as real processes, and the worklist's database."""

from __future__ import annotations

from tests.mpps.conftest import _no_reports
from tests.mwl_scp.conftest import _empty, database
from tests.pacs_receiver.conftest import start_receiver
from tests.site.conftest import roles

__all__ = ["_empty", "_no_reports", "database", "roles", "start_receiver"]
