"""Fixtures of the worklist's tests."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from django.db import transaction

from tests.databases import database

__all__ = ["database"]


class _Undo(Exception):
    pass


@pytest.fixture
def rolled_back(database: str) -> Iterator[str]:
    """The module's database; what the test writes is gone after it."""
    try:
        with transaction.atomic():
            yield database
            raise _Undo
    except _Undo:
        pass
