"""`dry_run`: a writing operation carried out in full, answered as it would be, and taken back."""

from __future__ import annotations

from collections.abc import Callable

from django.db import transaction
from django.http import HttpResponse

HEADER = "X-Gateway-Dry-Run"
"""Stands in the answer to a rehearsal, so that nobody takes it for the deed."""

_OF_WHAT_IS_THERE = ("ETag", "Location")


def carry_out(write: Callable[[], HttpResponse], *, dry_run: bool) -> HttpResponse:
    """Return the answer of ``write``; with ``dry_run`` all that it did to the database is taken back.

    What is refused is refused by the same rules, since it is the same code that runs. Numbers taken from a sequence are
    given again, and what waits for the commit (notices to others) is never called. Of what was never there the answer
    gives no address and no entity tag.
    """
    if not dry_run:
        return write()
    with transaction.atomic():
        response = write()
        transaction.set_rollback(True)
    for name in _OF_WHAT_IS_THERE:
        response.headers.pop(name, None)
    response[HEADER] = "1"
    return response
