"""Fixtures of the tests of identity."""

from tests.databases import database

__all__ = ["database"]
