"""Which of an entry's steps an item without a step ID means: only what can't be mistaken for another."""

from __future__ import annotations

import datetime
from collections.abc import Mapping, Sequence
from typing import Any

from mwl_admin.entries import values
from mwl_admin.entries.entry_attributes import PROTOCOLS, STATIONS
from mwl_admin.models import ScheduledProcedureStep as Step

Item = Mapping[str, Any]
_DATE, _TIME = "ScheduledProcedureStepStartDate", "ScheduledProcedureStepStartTime"
_DESCRIPTION = "ScheduledProcedureStepDescription"


class AmbiguousError(Exception):
    """An item may mean one step or another; ``index`` is its place among those that were to be paired."""

    def __init__(self, index: int) -> None:
        super().__init__(index)
        self.index = index


def pair(items: Sequence[Item], steps: Sequence[Step], *, replace: bool) -> list[Step | None]:
    """Return for each item the step that it means, None for a new one.

    Items are of the step of their modality and examination; among several alike ones, of that at their station and
    time. By order, as they were made, go only those among which nothing but the order can tell. ``replace``: items need
    not be as many as steps.

    :raises AmbiguousError: the step can't be told for certain.
    """
    if len(items) == len(steps) == 1 and not replace:
        return [steps[0]]
    free = list(steps)
    found: dict[int, Step] = {}
    for index, item in enumerate(items):
        same = [step for step in free if _says_examination(item) and _is_same_examination(item, step)]
        if index in found or not same or not _are_alike(same):
            continue
        rivals = [other for other in range(index, len(items)) if other not in found and _means(items[other], same[0])]
        for paired, step in _assigned(rivals, items, same).items():
            found[paired] = step
            free.remove(step)
    for modality in dict.fromkeys(_modality(item) for index, item in enumerate(items) if index not in found):
        indexes = [index for index, item in enumerate(items) if index not in found and _modality(item) == modality]
        rest = [step for step in free if not modality or step.modality == modality]
        if rest and len(indexes) != len(rest) and not _are_alike(rest):
            raise AmbiguousError(indexes[0])
        for index, step in _assigned(indexes, items, rest).items():
            found[index] = step
            free.remove(step)
    return [found.get(index) for index in range(len(items))]


def _assigned(indexes: Sequence[int], items: Sequence[Item], steps: Sequence[Step]) -> dict[int, Step]:
    """Return which of alike steps each of these items means; an item that is left out is a new step.

    :raises AmbiguousError: fewer items than steps, or more, and one of them is neither where nor when any step is.
    """
    if len(indexes) == len(steps) == 1:
        return {indexes[0]: steps[0]}
    places = {step.pk: _place(step) for step in steps}
    moments = {step.pk: (step.scheduled_date, step.scheduled_time) for step in steps}
    found: dict[int, Step] = {}
    free = list(steps)
    for by_place, by_moment in ((True, True), (True, False), (False, True)):
        for index in indexes:
            if index in found:
                continue
            item = items[index]
            fitting = [
                step
                for step in free
                if (not by_place or _place_of(item) == places[step.pk])
                and (not by_moment or _is_at(item, *moments[step.pk]))
            ]
            # Several that fit are told apart by nothing; by one of both alone, they are told apart by the other.
            if fitting and (len(fitting) == 1 or (by_place and by_moment)):
                found[index] = fitting[0]
                free.remove(fitting[0])
    rest = [index for index in indexes if index not in found]
    if rest and free and len(rest) != len(free) and len({(places[step.pk], moments[step.pk]) for step in free}) > 1:
        raise AmbiguousError(rest[0])
    return found | dict(zip(rest, free, strict=False))


def _means(item: Item, step: Step) -> bool:
    return _says_examination(item) and _is_same_examination(item, step)


def _place(step: Step) -> frozenset[str]:
    return frozenset(step.stations.values_list("ae_title", flat=True))


def _place_of(item: Item) -> frozenset[str]:
    try:
        return frozenset(values.texts(item[STATIONS]) if item.get(STATIONS) else ())
    except ValueError:
        return frozenset()  # refused elsewhere


def _is_at(item: Item, date: datetime.date, time: datetime.time) -> bool:
    """Whether an item says this day and time; a value that is none is refused elsewhere."""
    try:
        return values.date(item.get(_DATE)) == date and values.time(item.get(_TIME)) == time
    except ValueError:
        return False


def _modality(item: Item) -> str:
    return str(item.get("Modality") or "").strip(" ").upper()


def _says_examination(item: Item) -> bool:
    return bool(_modality(item) and (item.get(_DESCRIPTION) or item.get(PROTOCOLS)))


def _is_same_examination(item: Item, step: Step) -> bool:
    if _modality(item) != step.modality:
        return False
    described = str(item.get(_DESCRIPTION) or step.scheduled_procedure_step_description).strip(" ")
    return described == step.scheduled_procedure_step_description and (
        not item.get(PROTOCOLS) or _codes(item) == _codes_of(step)
    )


def _codes(item: Item) -> set[str]:
    given = item.get(PROTOCOLS)
    return {str(code.get("CodeValue")) for code in given if isinstance(code, Mapping)} if given else set()


def _codes_of(step: Step) -> set[str]:
    return set(step.protocol_codes.values_list("code_value", flat=True))


def _are_alike(steps: Sequence[Step]) -> bool:
    """Whether steps are one examination, so that any of them will do."""
    first = steps[0]
    return all(
        step.modality == first.modality
        and step.scheduled_procedure_step_description == first.scheduled_procedure_step_description
        and _codes_of(step) == _codes_of(first)
        for step in steps[1:]
    )
