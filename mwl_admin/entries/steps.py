"""The steps of an entry from outside: which of those there are is meant, and what becomes of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any

from django.utils.translation import gettext, ngettext

from mwl_admin.entries import examinations, pairing
from mwl_admin.entries.entry import StoredEntry
from mwl_admin.entries.entry_attributes import STATUS, STEPS
from mwl_admin.entries.problems import Problem
from mwl_admin.entries.step import STEP_ID, StepWrite
from mwl_admin.models import RequestedProcedure, ScheduledProcedureStep, StepStatus
from mwl_admin.models.prepared import PreparedInstances
from mwl_admin.models.status import ENDED, WAITING

_STEPS_OF = PreparedInstances(
    ScheduledProcedureStep,
    lambda order: ScheduledProcedureStep.objects.select_for_update().filter(requested_procedure=order).order_by("pk"),
    int,
)


class StepWriter:
    """Writes the steps of one order.

    ``replace``: attributes that are absent become empty, and waiting steps that are absent are cancelled. ``lenient``:
    a step that is over is passed over; otherwise changing it is a conflict.
    """

    def __init__(
        self,
        order: RequestedProcedure,
        problems: list[Problem],
        conflicts: list[Problem],
        *,
        replace: bool,
        lenient: bool,
    ) -> None:
        self.order = order
        self.problems = problems
        self._conflicts = conflicts
        self._replace = replace
        self._lenient = lenient
        self.writes: list[StepWrite] = []
        self.existing: list[ScheduledProcedureStep] = []
        self._ended: list[ScheduledProcedureStep] = []
        self._absent: list[ScheduledProcedureStep] = []

    def take(self, items: Sequence[Mapping[str, Any]]) -> None:
        """Find the step that each item means, and set what it gives."""
        if self.order.pk is not None:
            self.existing = _STEPS_OF.all(self.order.pk)
            for existing in self.existing:
                existing.requested_procedure = self.order
        for number, (item, step) in enumerate(self.paired(items), start=1):
            path = f"{STEPS}[{number}]."
            write = self.write_of(step, path)
            write.is_read = step is not None and step.pk in self.read
            write.take(item, replace=self._replace)
            if write.is_read:
                self._refuse_another_examination(write)
            if step is not None and step.status in ENDED and write.changed:
                self._ended.append(step)
                if not self._lenient:
                    self._conflicts.append(
                        Problem(
                            path + STATUS,
                            gettext("The step is %(status)s.") % {"status": step.get_status_display()},
                            "status",
                        )
                    )
                continue
            write.check()
            self.writes.append(write)

    @cached_property
    def read(self) -> frozenset[int]:
        """The primary keys of those steps that a modality has on its list."""
        return examinations.read_among(self.existing)

    @property
    def is_on_a_list(self) -> bool:
        """Whether a step that a modality has read stays when this is written."""
        absent = {step.pk for step in self._absent}
        return any(
            step.pk in self.read and step.pk not in absent and step.status != StepStatus.CANCELLED
            for step in self.existing
        )

    def _refuse_another_examination(self, write: StepWrite) -> None:
        changed = write.other_examination()
        text = examinations.refusal(changed)
        self._conflicts += [Problem(write.path + keyword, text, "read") for keyword in changed]

    def write_of(self, step: ScheduledProcedureStep | None, path: str) -> StepWrite:
        """Return what sets a step's attributes; a new step's when there is none."""
        return StepWrite(step, self.order, self.problems, path)

    def paired(
        self, items: Sequence[Mapping[str, Any]]
    ) -> list[tuple[Mapping[str, Any], ScheduledProcedureStep | None]]:
        """Return each item with the step that it means, or None for a new one."""
        by_id = {step.scheduled_procedure_step_id: step for step in self.existing}
        ids = [str(item.get(STEP_ID) or "").strip(" ") for item in items]
        self._refuse_repeated(ids)
        self._refuse_foreign([step_id for step_id in ids if step_id and step_id not in by_id])
        # Those without an ID are the remaining ones, in the order in which they were made.
        remaining = [step for step in self.existing if step.scheduled_procedure_step_id not in ids]
        nameless = ids.count("")
        if nameless and not self._replace and len(remaining) > nameless:
            self.problems.append(
                Problem(
                    f"{STEPS}[{ids.index('') + 1}].{STEP_ID}",
                    ngettext(
                        "The entry has %(n)d step: say by its ID which one is meant.",
                        "The entry has %(n)d steps: say by its ID which one is meant.",
                        len(self.existing),
                    )
                    % {"n": len(self.existing)},
                    "ambiguous",
                )
            )
        meant = self._meant([item for item, step_id in zip(items, ids, strict=True) if not step_id], remaining, ids)
        nameless_steps = iter(meant)
        paired = [by_id.get(step_id) if step_id else next(nameless_steps) for step_id in ids]
        if self._replace:
            self._absent = [step for step in remaining if step not in meant and step.status in WAITING]
        return list(zip(items, paired, strict=True))

    def _meant(
        self, items: Sequence[Mapping[str, Any]], remaining: list[ScheduledProcedureStep], ids: list[str]
    ) -> list[ScheduledProcedureStep | None]:
        """Return the steps that items without an ID mean."""
        in_order = [*remaining, *(None for _ in items)][: len(items)]
        try:
            return pairing.pair(items, remaining, replace=self._replace)
        except pairing.AmbiguousError as error:
            number = [number for number, step_id in enumerate(ids, start=1) if not step_id][error.index]
            text = gettext("may mean one step or another of this entry: say by its ID which one is meant.")
            if not self.problems:
                self.problems.append(Problem(f"{STEPS}[{number}].{STEP_ID}", text, "ambiguous"))
            return in_order

    def _refuse_repeated(self, ids: list[str]) -> None:
        for number, step_id in enumerate(ids, start=1):
            if step_id and step_id in ids[: number - 1]:
                self.problems.append(
                    Problem(f"{STEPS}[{number}].{STEP_ID}", gettext("stands twice in this entry."), "repeated")
                )

    def _refuse_foreign(self, ids: list[str]) -> None:
        others = ScheduledProcedureStep.objects.filter(scheduled_procedure_step_id__in=ids)
        if ids and others.exclude(requested_procedure=self.order.pk).exists():
            self._conflicts.append(Problem(STEP_ID, gettext("belongs to a step of another entry."), "other_entry"))

    def save(self, stored: StoredEntry) -> None:
        """Save all steps of an order that has been saved, and note what was done."""
        for write in self.writes:
            stored.steps_created += write.is_new
            stored.changed += write.save(self.order)
        for step in self._absent:
            self.cancel(step)
        stored.steps_cancelled = len(self._absent)
        stored.changed += [STEPS] if self._absent else []
        stored.ended = self._ended
        stored.steps = [*(write.instance for write in self.writes), *self._ended]

    @staticmethod
    def cancel(step: ScheduledProcedureStep, reason: str = "") -> None:
        """Cancel a waiting step."""
        step.transition(StepStatus.CANCELLED)
        if reason:
            step.status_reason = reason
            step.save(update_fields=["status_reason"])
