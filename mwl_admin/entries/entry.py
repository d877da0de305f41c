"""An entry as it comes from outside, what is wanted with it, and what became of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from mwl_admin.entries.problems import Problem
from mwl_admin.models import RequestedProcedure, ScheduledProcedureStep


class Mode(Enum):
    """What is wanted.

    CREATE makes an entry, and finds nothing to do when the same one exists; what exists and differs is a conflict.
    PUT makes or replaces: attributes of order and steps that are absent become empty, waiting steps that are absent are
    cancelled. UPDATE changes what is given in an entry that exists. UPSERT is UPDATE that makes what is not there.
    """

    CREATE = "create"
    PUT = "put"
    UPDATE = "update"
    UPSERT = "upsert"


@dataclass(frozen=True, slots=True)
class Entry:
    """An order with its steps, as it came from outside: values by keyword.

    A keyword that is absent says nothing; an empty value empties the attribute. ``procedure`` names a procedure of the
    catalogue, which fills what is left empty in a new entry.
    """

    values: Mapping[str, Any]
    steps: tuple[Mapping[str, Any], ...] = ()
    procedure: str = ""

    @property
    def accession_number(self) -> str:
        """The accession number; empty when none is given."""
        return str(self.values.get("AccessionNumber") or "").strip(" ")


@dataclass(slots=True)
class StoredEntry:
    """What became of an entry: ``changed`` are keywords; ``ended`` are steps that are over and stayed as they are.

    ``notes`` are what somebody should look at although the entry was taken; ``steps`` are those that it named.
    """

    requested: RequestedProcedure
    created: bool
    changed: list[str] = field(default_factory=list)
    steps_created: int = 0
    steps_cancelled: int = 0
    ended: list[ScheduledProcedureStep] = field(default_factory=list)
    notes: list[Problem] = field(default_factory=list)
    steps: list[ScheduledProcedureStep] = field(default_factory=list)
