"""Fixtures of the entries's tests."""

from tests.clock import steady_clock
from tests.databases import database

__all__ = ["database", "steady_clock"]
