"""Entries as the API shows them: an order with its steps, made by the response builder of C-FIND."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from typing import Any
from zoneinfo import ZoneInfo

from django.conf import settings
from django.db.models import Q, QuerySet

from dicom_encoding.syntaxes import EXPLICIT_LITTLE, SYNTAXES
from mwl_admin.api.dicomjson import DataSet, to_dicom_json
from mwl_admin.api.parameters import everything
from mwl_admin.models import RequestedProcedure, ScheduledProcedureStep
from mwl_admin.models.prepared import Prepared
from mwl_admin.models.status import ENDED
from mwl_admin.worklist.attributes import STEP_SEQUENCE
from mwl_admin.worklist.charset import DEFAULT_TERM, CharacterSet, split_terms
from mwl_admin.worklist.directory import Directory
from mwl_admin.worklist.identifier import parse
from mwl_admin.worklist.matching import EVERYTHING, Condition
from mwl_admin.worklist.query import select
from mwl_admin.worklist.response import ResponsePlan, compile_plan
from mwl_admin.worklist.values import ResponseContext

_STEPS = f"{STEP_SEQUENCE:08X}"
_STATUS = "00400020"
_REASON = "00741238"
_FIRST = (
    "pk",
    "requested_procedure_id",
    "status",
    "status_reason",
    "version",
    "requested_procedure__version",
    "requested_procedure__patient__version",
)
"""What each row of an entry begins with."""
_VERSIONS = Prepared(
    lambda pk: RequestedProcedure.objects.filter(pk=pk).order_by().values_list("version", "patient__version"), int
)
_STEP_VERSIONS = Prepared(
    lambda pk: (
        ScheduledProcedureStep.objects.filter(requested_procedure=pk).order_by("pk").values_list("pk", "version")
    ),
    int,
)
_TIMEZONE = "00080201"


def shown(orders: QuerySet[RequestedProcedure], seen: Q) -> list[DataSet]:
    """Return entries as DICOM JSON, each with all of its steps that are ``seen``, in the order of ``orders``.

    The status of a step that is over is told too, by words of our own: COMPLETED, DISCONTINUED, CANCELLED; and why, as
    Reason For Cancellation (0074,1238), which DICOM has for a Unified Procedure Step (PS3.3 §C.30.1).
    """
    pks = list(orders.values_list("pk", flat=True))
    plan = _plan()
    conditions = (Condition("asked for", Q(requested_procedure__in=pks)), Condition("seen", seen))
    found = _data_sets(plan, select(conditions, plan.columns))
    return [found[pk] for pk in pks if pk in found]


def shown_alone(order: RequestedProcedure, shows: Q, seen: Q) -> tuple[list[DataSet], str]:
    """Return one entry, or none without steps, with the steps that ``shows`` names; and its tag for who has ``seen``.

    Where all steps are seen it takes one statement, which is made only once.
    """
    if shows != EVERYTHING or seen != EVERYTHING:
        return shown(RequestedProcedure.objects.filter(pk=order.pk), shows), tag_of(order, seen)
    plan = _plan()
    rows = _statement(plan.columns).rows(order.pk)
    tag = _tag([row[5:7] for row in rows[:1]], sorted((row[0], row[4]) for row in rows))
    return list(_data_sets(plan, rows).values()), tag


@cache
def _statement(columns: tuple[str, ...]) -> Prepared:
    return Prepared(lambda pk: select((Condition("asked for", Q(requested_procedure=pk)),), columns), int)


def _plan() -> ResponsePlan:
    context = ResponseContext(Directory.read(), None, ZoneInfo(settings.TIME_ZONE), assigned_only=True)
    charset = CharacterSet(split_terms(DEFAULT_TERM))
    return compile_plan(_everything(), SYNTAXES[EXPLICIT_LITTLE], charset, context, first=_FIRST)


_everything = cache(everything)


def _data_sets(plan: ResponsePlan, rows: Iterable[tuple[Any, ...]]) -> dict[int, DataSet]:
    """Return entries by their primary keys, made of the rows of their steps."""
    found: dict[int, DataSet] = {}
    steps: dict[int, list[tuple[int, DataSet]]] = {}
    for row in rows:
        data_set = to_dicom_json(parse(plan.encode(row), EXPLICIT_LITTLE))
        (step,) = data_set[_STEPS]["Value"]
        step[_STATUS] = {"vr": "CS", "Value": [row[2]]}
        if row[3] and row[2] in ENDED:
            step[_REASON] = {"vr": "LT", "Value": [row[3]]}
        steps.setdefault(row[1], []).append((row[0], step))
        found.setdefault(row[1], data_set)
    for pk, data_set in found.items():
        # In the order in which the steps were made, which is the one in which an entry names them.
        data_set[_STEPS]["Value"] = [step for _, step in sorted(steps[pk], key=lambda made: made[0])]
        data_set.pop(_TIMEZONE, None)  # it is a step's, and several of them may lie on both sides of a change of clocks
    return found


def tag_of(order: RequestedProcedure, seen: Q) -> str:
    """Return the entity tag (RFC 9110 section 8.8.3): another one whenever anything of the entry has changed."""
    if seen == EVERYTHING:
        steps = _STEP_VERSIONS.rows(order.pk)
    else:
        steps = list(order.scheduled_procedure_steps.filter(seen).order_by("pk").values_list("pk", "version"))
    return _tag(_VERSIONS.rows(order.pk), steps)


def _tag(versions: Iterable[tuple[Any, ...]], steps: Iterable[tuple[Any, ...]]) -> str:
    parts = [*(version for row in versions for version in row), *(f"{pk}.{version}" for pk, version in steps)]
    return f'"{"-".join(map(str, parts))}"'
