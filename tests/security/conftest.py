"""What the attacks need: the services as real processes."""

from __future__ import annotations

from tests.pacs_receiver.conftest import start_receiver

__all__ = ["start_receiver"]
