"""Fixtures of the exchange's tests."""

from tests.databases import database

__all__ = ["database"]
