"""Writing in one transaction, and once more when others have written the same in between."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from django.db import IntegrityError, transaction
from django.utils.translation import gettext as _

from mwl_admin.entries import fair_lock
from mwl_admin.entries.problems import ConflictError, Problem
from mwl_admin.exceptions import StaleError
from mwl_admin.models.base import history_reason

T = TypeVar("T")
ATTEMPTS = 3
"""How often an entry is tried when others write the same one at the same moment."""


def attempted(write: Callable[[], T], source: str) -> T:
    """Write in one transaction; again when others have made the same patient or order in between."""
    for attempt in range(ATTEMPTS):
        try:
            with fair_lock.writing(), transaction.atomic(), history_reason(source):
                return write()
        except (IntegrityError, StaleError) as error:
            # Somebody else made or changed the same patient or order since we looked: now it is there to be found.
            if attempt + 1 == ATTEMPTS:
                raise ConflictError([Problem("", _("Others keep changing this entry; try again."), "busy")]) from error
    raise AssertionError  # pragma: no cover - the loop returns or raises
