"""One worklist query, from identifier to a stream of encoded responses: one statement, read row by row."""

from __future__ import annotations

import dataclasses
import datetime
from collections.abc import Generator
from contextlib import ExitStack, closing
from dataclasses import dataclass
from typing import Any
from zoneinfo import ZoneInfo

from django.conf import settings
from django.core.exceptions import ValidationError
from django.db import connection, transaction
from django.db.models import OuterRef, QuerySet, Subquery
from django.utils import timezone

from dicom_encoding.syntaxes import SYNTAXES
from mwl_admin.models import ScheduledProcedureStep
from mwl_admin.validators import validate_ae_title
from mwl_admin.worklist import scope, strangers
from mwl_admin.worklist.attributes import PROTOCOL_CODES, STATION_IDS
from mwl_admin.worklist.charset import CharacterSet, split_terms
from mwl_admin.worklist.directory import Directory, StationEntry
from mwl_admin.worklist.guessing import readable
from mwl_admin.worklist.identifier import SPECIFIC_CHARACTER_SET, Identifier
from mwl_admin.worklist.lookups import JoinedLists, JoinedNumbers
from mwl_admin.worklist.matching import Condition, match
from mwl_admin.worklist.policy import Policy
from mwl_admin.worklist.query_errors import MatchingKeyError, TooManyMatchesError
from mwl_admin.worklist.response import ResponsePlan, compile_plan
from mwl_admin.worklist.spans import Zoned
from mwl_admin.worklist.values import ResponseContext

CHUNK = 200
"""Rows that are fetched at a time."""

_StationLink = ScheduledProcedureStep.stations.through
_CodeLink = ScheduledProcedureStep.protocol_codes.through


@dataclass(frozen=True, slots=True)
class Match:
    """One response: the step that it tells of, and its encoded identifier."""

    step_pk: int
    identifier: bytes


@dataclass(slots=True)
class PreparedQuery:
    """A query that is ready to be run.

    ``warn``: keys were asked for, or given a value, that are not supported (status FF01). ``truncated`` becomes true
    when the list was cut at ``maximum``.
    """

    identifier: Identifier
    caller: StationEntry | None
    conditions: tuple[Condition, ...]
    plan: ResponsePlan
    maximum: int
    refuse_above: bool
    truncated: bool = False

    @property
    def warn(self) -> bool:
        """Whether pending responses carry the warning status."""
        return self.plan.unsupported

    def rows(self) -> QuerySet[ScheduledProcedureStep, tuple[Any, ...]]:
        """Return the statement, without its limit."""
        return select(self.conditions, self.plan.columns)

    def run(self) -> Generator[Match, None, None]:
        """Yield the matches by start.

        :raises TooManyMatchesError: before the first one, when so set.
        """
        rows = self.rows()
        if self.refuse_above and rows[self.maximum : self.maximum + 1].exists():
            raise TooManyMatchesError(f"More than {self.maximum} entries match: ask for less")
        encode = self.plan.encode
        with ExitStack() as stack:
            if connection.vendor == "postgresql":
                # A cursor outside a transaction would have the server compute all rows before the first.
                stack.enter_context(transaction.atomic())
            found = rows[: self.maximum + 1].iterator(chunk_size=CHUNK)
            stack.enter_context(closing(found))  # type: ignore[type-var]  # it is a generator
            for count, row in enumerate(found):
                if count == self.maximum:
                    self.truncated = True
                    return
                yield Match(row[0], encode(row))


def select(
    conditions: tuple[Condition, ...], columns: tuple[str, ...]
) -> QuerySet[ScheduledProcedureStep, tuple[Any, ...]]:
    """Return the statement for all conditions together, sorted by start."""
    # A station's own key and its scope are often the same condition.
    steps = ScheduledProcedureStep.objects.filter(*dict.fromkeys(condition.q for condition in conditions))
    annotations = {name: expression for name, expression in _AGGREGATES.items() if name in columns}
    return steps.annotate(**annotations).order_by("scheduled_date", "scheduled_time", "pk").values_list(*columns)


_AGGREGATES = {
    STATION_IDS: Subquery(
        _StationLink.objects.filter(scheduledprocedurestep=OuterRef("pk"))
        .order_by()
        .values_list(JoinedNumbers("station_id"))
    ),
    PROTOCOL_CODES: Subquery(
        _CodeLink.objects.filter(scheduledprocedurestep=OuterRef("pk"))
        .order_by()
        .values_list(
            JoinedLists(
                "protocolcode__code_value",
                "protocolcode__coding_scheme_designator",
                "protocolcode__coding_scheme_version",
                "protocolcode__code_meaning",
            )
        )
    ),
}


def prepare(
    identifier: Identifier,
    calling_ae: str,
    transfer_syntax: str,
    policy: Policy,
    *,
    address: str = "",
    directory: Directory | None = None,
    now: datetime.datetime | None = None,
) -> PreparedQuery:
    """Make a query of an identifier.

    ``address`` is where the caller calls from; empty where it does not matter. ``now`` is the department's wall clock
    without zone; it and the directory are read when not given.

    :raises QueryError: when that is impossible.
    """
    zone = ZoneInfo(settings.TIME_ZONE)
    now = now or timezone.localtime(timezone=zone).replace(tzinfo=None)
    directory = directory or Directory.read()
    caller = directory.find(calling_ae)
    identifier = readable(identifier, caller.response_character_set if caller else "")
    _check_character_set(identifier)
    if caller is None and calling_ae:
        policy = dataclasses.replace(policy, unknown_see=strangers.is_served(calling_ae, policy))
    matched = match(identifier, directory, caller, ignore_accents=policy.ignore_accents, zone=Zoned(zone, now))
    plan = compile_plan(
        identifier,
        SYNTAXES[transfer_syntax],
        CharacterSet(split_terms(caller.response_character_set if caller else "ISO_IR 192")),
        ResponseContext(
            directory,
            caller,
            zone,
            transliterate=caller is not None and caller.transliterate_names,
            asker=caller or _stranger(calling_ae),
        ),
        omitted=caller.omitted_when_empty if caller else frozenset(),
        first=("pk",),
    )
    plan.unsupported |= matched.unsupported
    maximum = min(policy.maximum_matches, (caller.maximum_matches if caller else None) or policy.maximum_matches)
    return PreparedQuery(
        identifier,
        caller,
        (*matched.conditions, *scope.conditions(identifier, caller, policy, now, address, calling_ae=calling_ae)),
        plan,
        maximum,
        policy.refuse_above,
    )


def _stranger(calling_ae: str) -> StationEntry | None:
    """Return who asks and is no station, where its name may stand as an AE title."""
    try:
        validate_ae_title(calling_ae.strip(" "))
    except ValidationError:
        return None
    return StationEntry(0, calling_ae.strip(" ")) if calling_ae.strip(" ") else None


def _check_character_set(identifier: Identifier) -> None:
    """Refuse text in a set that is not known; without such text the set does not matter."""
    for key in identifier:
        for item in key.items or ():
            _check_character_set(item)
        if not identifier.charset.known and not key.value.isascii():
            raise MatchingKeyError("The Specific Character Set is not known", SPECIFIC_CHARACTER_SET)
