"""The steps of an entry from outside: which of those there are is meant, and what becomes of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any

from django.core.exceptions import ValidationError
from django.utils.translation import gettext, ngettext

from mwl_admin.entries import examinations, making, pairing, values
from mwl_admin.entries.attributes import COLUMNS, PROTOCOLS, STATIONS, STATUS, STEPS, Level
from mwl_admin.entries.entry import Stored
from mwl_admin.entries.problems import Problem
from mwl_admin.entries.writing import Record, required
from mwl_admin.models import ProtocolCode, RequestedProcedure, ScheduledProcedureStep, Station, StepStatus
from mwl_admin.models.prepared import Prepared, PreparedInstances
from mwl_admin.models.status import ENDED, OPEN, WAITING

STEP_ID = "ScheduledProcedureStepID"
_STEPS_OF = PreparedInstances(
    ScheduledProcedureStep,
    lambda order: ScheduledProcedureStep.objects.select_for_update().filter(requested_procedure=order).order_by("pk"),
    int,
)
_STATIONS_OF = Prepared(
    lambda step: (
        ScheduledProcedureStep.stations.through.objects.filter(scheduledprocedurestep=step)
        .order_by()
        .values_list("station")
    ),
    int,
)
_PROTOCOLS_OF = Prepared(
    lambda step: (
        ScheduledProcedureStep.protocol_codes.through.objects.filter(scheduledprocedurestep=step)
        .order_by()
        .values_list(
            "protocolcode__code_value", "protocolcode__coding_scheme_designator", "protocolcode__coding_scheme_version"
        )
    ),
    int,
)
_KEYWORDS = [name for name, column in COLUMNS.items() if column.level is Level.STEP]
_ORDER = [StepStatus.SCHEDULED, StepStatus.ARRIVED, StepStatus.READY, StepStatus.STARTED]


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

    def save(self, stored: Stored) -> None:
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


class StepWrite(Record):
    """A step being written."""

    def __init__(
        self,
        step: ScheduledProcedureStep | None,
        order: RequestedProcedure,
        problems: list[Problem],
        path: str,
    ) -> None:
        super().__init__(
            step or ScheduledProcedureStep(requested_procedure=order),
            Level.STEP,
            problems,
            path=path,
            exclude={"requested_procedure"},
        )
        self.is_new = step is None
        self._order = order
        self._order_is_new = order.pk is None
        self.stations: list[Station] | None = None
        self.is_read = False
        self._protocols: list[dict[str, str]] | None = None
        self._protocols_before: list[tuple[str, ...]] = []
        self._target: StepStatus | None = None

    def take(self, given: Mapping[str, Any], *_: Any, replace: bool = False, **__: Any) -> None:
        """Set what is given; what a step that is replaced leaves empty is filled as it is in a new one.

        Of a step that a modality has on its list, what is absent of the examination stays.
        """
        kept = {keyword for keyword in examinations.STEP if self.is_read and not given.get(keyword)}
        if replace and not self.is_new:
            given = {**self._usual(given), **{keyword: value for keyword, value in given.items() if value}}
        if replace:
            given = {keyword: value for keyword, value in given.items() if keyword not in kept}
        always = {STEP_ID, "Modality", _START + "Date", _START + "Time"}
        super().take(given, _KEYWORDS, replace=replace, keep=always | kept)
        if STATIONS in given or replace:
            self._take_stations(given.get(STATIONS))
        if PROTOCOLS in given or (replace and PROTOCOLS not in kept):
            self._take_protocols(given.get(PROTOCOLS))
        if given.get(STATUS):
            self.take_status(str(given[STATUS]).strip(" ").upper())
        if self.is_new:
            self.fill()
            self._require(given)

    def _usual(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """Return what order and catalogue say of a step (PS3.4 table K.6-1: a description or a protocol code)."""
        usual: dict[str, Any] = {"ScheduledProcedureStepDescription": self._order.requested_procedure_description}
        modality = str(given.get("Modality") or self.instance.modality).strip(" ").upper()
        station = making.usual_station(self._order, modality)
        if station is not None:
            usual[STATIONS] = [station.ae_title]
        usual[PROTOCOLS] = [
            dict(zip(_CODE, code, strict=True))
            for code in making.usual_protocols(self._order).values_list(
                "code_value", "coding_scheme_designator", "coding_scheme_version", "code_meaning"
            )
        ]
        return usual

    def fill(self) -> None:
        """Take what a new step leaves empty from its stations and the catalogue."""
        making.fill_step(self.instance, self.stations or ())

    def _require(self, given: Mapping[str, Any]) -> None:
        step = self.instance
        needed = {_START + "Date": "scheduled_date", _START + "Time": "scheduled_time"}
        if not step.modality:
            needed["Modality"] = "modality"
        missing = [*required(given, *needed, path=self.path)]
        self._problems += missing
        self._exclude |= {needed[problem.attribute.removeprefix(self.path)] for problem in missing}

    def _take_stations(self, value: Any) -> None:
        try:
            titles = list(dict.fromkeys(values.texts(value) if value else []))
        except ValueError as error:
            self.complain(STATIONS, str(error))
            return
        found = {station.ae_title: station for station in Station.objects.modalities().filter(ae_title__in=titles)}
        self.stations = [
            station for title in titles if (station := found.get(title) or self.unknown_station(title)) is not None
        ]
        if not self.is_new and {station.pk for station in self.stations} != {
            pk for (pk,) in _STATIONS_OF.rows(self.instance.pk)
        }:
            self.note(STATIONS)

    def unknown_station(self, ae_title: str) -> Station | None:
        """Complain of an AE title that no modality has."""
        if Station.objects.filter(ae_title=ae_title).exists():
            text = gettext("%(title)s is no modality: nothing can be planned on it.") % {"title": repr(ae_title)}
        else:
            text = gettext("No station has the AE title %(title)s.") % {"title": repr(ae_title)}
        self.complain(STATIONS, text, "unknown_station")
        return None

    def _take_protocols(self, value: Any) -> None:
        try:
            self._protocols = values.codes(value)
            for code in self._protocols:
                ProtocolCode(**code).clean_fields()
        except (ValueError, ValidationError) as error:
            self.complain(PROTOCOLS, " ".join(error.messages) if isinstance(error, ValidationError) else str(error))
            self._protocols = None
            return
        # The catalogue's own words for a code stay, whatever the sender calls it.
        wanted = [tuple(code.values())[:-1] for code in self._protocols]
        self._protocols_before = [] if self.is_new else _PROTOCOLS_OF.rows(self.instance.pk)
        if not self.is_new and sorted(wanted) != sorted(self._protocols_before):
            self.note(PROTOCOLS)

    def other_examination(self) -> list[str]:
        """Return the keywords that make the step another examination than it was."""
        description, protocols = examinations.STEP
        if not {examinations.MODALITY, description, protocols} & {*self.changed}:
            return []
        step = self.instance
        column = "scheduled_procedure_step_description"
        if self._protocols is None:
            before = after = [*step.protocol_codes.values_list("code_value", "coding_scheme_designator")]
        else:
            before = [(value, scheme) for value, scheme, *_ in self._protocols_before]
            after = [(code["code_value"], code["coding_scheme_designator"]) for code in self._protocols]
        return examinations.changes(
            {
                examinations.MODALITY: self.was(examinations.MODALITY, "modality"),
                description: self.was(description, column),
                protocols: examinations.codes(*before),
            },
            {
                examinations.MODALITY: step.modality,
                description: step.scheduled_procedure_step_description,
                protocols: examinations.codes(*after),
            },
        )

    def take_status(self, word: str) -> None:
        """Statuses only go on: an order that is sent again does not take back that the patient has arrived."""
        if word == self.instance.status:
            return
        if word not in OPEN:
            text = gettext("must be one of %(known)s; steps are cancelled by DELETE.")
            self.complain(STATUS, text % {"known": ", ".join(_ORDER)})
            return
        status, current = StepStatus(word), self.instance.status
        if self.is_new:
            self.instance.status = status
        elif current in OPEN and _ORDER.index(status) > _ORDER.index(StepStatus(current)):
            self.move_to(status)

    def move_to(self, status: StepStatus) -> None:
        """Change the status when the step is saved."""
        self._target = status
        self.note(STATUS)

    def save(self, order: Any = None, **_: Any) -> list[str]:
        if self.is_new:
            self._save_new(order)
        else:
            self._save_changed(order)
        if self._target:
            self.instance.transition(self._target)
        if self.is_new:
            return [] if self._order_is_new else [STEPS]
        return [self.path + keyword for keyword in self.changed]

    def _save_new(self, order: RequestedProcedure) -> None:
        self.instance.requested_procedure = order
        making.save_step(self.instance, self.stations or (), map(_protocol, self._protocols or ()))

    def _save_changed(self, order: RequestedProcedure) -> None:
        step = self.instance
        if set(self.changed) - {STATIONS, PROTOCOLS, STATUS}:
            step.requested_procedure = order
            step.save()
        if self.stations is not None and STATIONS in self.changed:
            step.stations.set(self.stations)
        if self._protocols is not None and PROTOCOLS in self.changed:
            step.protocol_codes.set([_protocol(code) for code in self._protocols])


def _protocol(code: dict[str, str]) -> ProtocolCode:
    known = {name: value for name, value in code.items() if name != "code_meaning"}
    found, _ = ProtocolCode.objects.get_or_create(**known, defaults={"code_meaning": code["code_meaning"]})
    return found


_START = "ScheduledProcedureStepStart"
_CODE = ("CodeValue", "CodingSchemeDesignator", "CodingSchemeVersion", "CodeMeaning")
