"""Which of an entry's steps an item without a step ID means: only what can't be mistaken for another."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from mwl_admin.exchange.attributes import PROTOCOLS
from mwl_admin.models import ScheduledProcedureStep as Step

Item = Mapping[str, Any]
_DESCRIPTION = "ScheduledProcedureStepDescription"


class AmbiguousError(Exception):
    """An item may mean one step or another; ``index`` is its place among those that were to be paired."""

    def __init__(self, index: int) -> None:
        super().__init__(index)
        self.index = index


def pair(items: Sequence[Item], steps: Sequence[Step], *, replace: bool) -> list[Step | None]:
    """Return for each item the step that it means, None for a new one.

    Items are of the step of their modality and examination. By order, as they were made, go only those among which
    nothing but the order can tell. ``replace``: items need not be as many as steps.

    :raises AmbiguousError: the step can't be told for certain.
    """
    if len(items) == len(steps) == 1 and not replace:
        return [steps[0]]
    free = list(steps)
    found: dict[int, Step] = {}
    for index, item in enumerate(items):
        same = [step for step in free if _says_examination(item) and _is_same_examination(item, step)]
        if same and _are_alike(same):
            found[index] = same[0]
            free.remove(same[0])
    for modality in dict.fromkeys(_modality(item) for index, item in enumerate(items) if index not in found):
        indexes = [index for index, item in enumerate(items) if index not in found and _modality(item) == modality]
        rest = [step for step in free if not modality or step.modality == modality]
        if rest and len(indexes) != len(rest) and not _are_alike(rest):
            raise AmbiguousError(indexes[0])
        for index, step in zip(indexes, rest, strict=False):
            found[index] = step
            free.remove(step)
    return [found.get(index) for index in range(len(items))]


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
