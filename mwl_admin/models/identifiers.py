"""Identifiers that are made when left empty.

Requested procedure ID, scheduled procedure step ID and accession number are three different things (PS3.3
§7.3.1), so they never look alike: each has its own letter and its own counter.
"""

import uuid
from collections import deque
from collections.abc import Sequence as Items
from functools import cache

from django.db import models

from mwl_admin.models.prepared import Prepared
from mwl_admin.models.sequence import Sequence

CHUNK = 500
"""How many identifiers are looked up by one statement; SQLite takes only so many parameters."""


def study_instance_uid() -> str:
    """A UID without a registered root: 2.25. and a random UUID as one decimal number (PS3.5 §B.2)."""
    return f"2.25.{uuid.uuid4().int}"


def fill(entries: Items[models.Model], field: str, letter: str) -> None:
    """Give each of ``entries`` whose ``field`` is empty the next free identifier, e.g. ``A00000123``."""
    waiting = deque(entry for entry in entries if not getattr(entry, field))
    if not waiting:
        return
    while waiting:
        count = min(len(waiting), CHUNK)
        candidates = [f"{letter}{number:08d}" for number in Sequence.take(field, count)]
        # Someone may have typed, or imported, what would have been next.
        taken = _taken(type(waiting[0]), field, candidates)
        for candidate in candidates:
            if candidate not in taken:
                setattr(waiting.popleft(), field, candidate)


def _taken(model: type[models.Model], field: str, candidates: Items[str]) -> set[str]:
    if len(candidates) == 1:
        return {value for (value,) in _one(model, field).rows(candidates[0])}
    return set(model._default_manager.filter(**{f"{field}__in": candidates}).values_list(field, flat=True))


@cache
def _one(model: type[models.Model], field: str) -> Prepared:
    return Prepared(lambda value: model._default_manager.filter(**{field: value}).order_by().values_list(field), str)
