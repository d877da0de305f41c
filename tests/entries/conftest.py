"""Fixtures of the entries's tests."""

from tests.databases import database

__all__ = ["database"]
