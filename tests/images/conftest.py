"""Fixtures of the tests of images, as the site knows them."""

from tests.databases import database

__all__ = ["database"]
