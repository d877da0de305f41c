"""What the attacks need: the services as real processes."""

from __future__ import annotations

from tests.pacs_receiver.conftest import start_receiver
from tests.site.conftest import roles

__all__ = ["roles", "start_receiver"]
