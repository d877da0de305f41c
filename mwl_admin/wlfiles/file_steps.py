"""The steps of a file's entry: which of those there are is meant, and in what status each is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from django.core.exceptions import ValidationError
from django.utils.translation import gettext as _

from mwl_admin.entries.entry import StoredEntry
from mwl_admin.entries.entry_attributes import STATIONS, STATUS, STEPS
from mwl_admin.entries.problems import Problem
from mwl_admin.entries.step import STEP_ID, StepWrite
from mwl_admin.entries.steps import StepWriter
from mwl_admin.models import ScheduledProcedureStep, Station, StepStatus
from mwl_admin.models.status import OPEN, SOURCES
from mwl_admin.validators import SH_LENGTH
from mwl_admin.wlfiles.file_entry import START_DATE, START_TIME, time_of

Item = Mapping[str, Any]
Step = ScheduledProcedureStep

_RANK = {status: rank for rank, status in enumerate(StepStatus) if status in OPEN}
_WORDS = {
    "CANCELED": StepStatus.CANCELLED,
    "IN PROGRESS": StepStatus.STARTED,
    "DEPARTED": StepStatus.COMPLETED,
}
"""How other systems call a status, and DICOM's fifth term: who has departed is not to be called in again."""


class FileStepWriter(StepWriter):
    """Writes the steps of a file's order. A step is its ID within the order (and the order its Study Instance UID).

    ``claimed`` are the primary keys of steps that other files of this run stand for: the same ID in two files of one
    order, with another examination or another time, is two steps. ``named`` are those of them that a file of this run
    stands for by their own ID: what has another ID is no copy of them.
    """

    def __init__(self, *args: Any, claimed: frozenset[int], named: frozenset[int], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._claimed = set(claimed)
        self._named = set(named)
        self._renamed: list[tuple[StepWrite, str]] = []
        self.notes: list[Problem] = []
        self.new_stations: dict[str, Station] = {}

    def paired(self, items: Sequence[Item]) -> list[tuple[Item, Step | None]]:
        """Return each item with its step; an item loses an ID that is another step's."""
        taken = {step.scheduled_procedure_step_id for step in self.existing}
        return [self._pair(item, taken) for item in items]

    def _pair(self, item: Item, taken: set[str]) -> tuple[Item, Step | None]:
        step_id = str(item.get(STEP_ID, ""))
        step = self._of_same_id(item, step_id)
        if step is not None:
            self._claimed.add(step.pk)
            self._named.add(step.pk)
            return item, step
        if step_id and step_id not in taken:
            taken.add(step_id)
            return item, None
        unnamed = {keyword: value for keyword, value in item.items() if keyword != STEP_ID}
        # Under a doubled ID the same again is a copy; without any ID it may well be a second step.
        others = self._named if step_id else self._claimed
        free = [step for step in self.existing if step.pk not in others]
        step = next((step for step in free if _is_same(item, step)), None)
        if step is not None:
            self._claimed.add(step.pk)
        return {**unnamed, _DOUBLED: step_id}, step

    def _of_same_id(self, item: Item, step_id: str) -> Step | None:
        for step in self.existing:
            if step_id and step.scheduled_procedure_step_id == step_id:
                if _is_same(item, step):
                    return step
                # What a station has read under an ID never becomes another examination.
                modality = item.get("Modality", step.modality)
                return step if modality == step.modality and step.pk not in self._claimed else None
        return None

    def write_of(self, step: Step | None, path: str) -> StepWrite:
        return _FileStep(step, self, path)

    def note(self, keyword: str, text: str) -> None:
        """Note what somebody should look at."""
        self.notes.append(Problem(keyword, text))

    def renamed(self, write: StepWrite, step_id: str) -> None:
        """Remember that a new step can't have the ID that its file gives it."""
        self._renamed.append((write, step_id))

    def save(self, stored: StoredEntry) -> None:
        super().save(stored)
        for write, step_id in self._renamed:
            made = write.instance.scheduled_procedure_step_id
            text = _("%(id)s is another step's of this order; %(made)s was made.")
            self.notes.append(Problem(write.path + STEP_ID, text % {"id": step_id, "made": made}))
        stored.notes += self.notes


_DOUBLED = "doubled step ID"


def _is_same(item: Item, step: Step) -> bool:
    """Whether a step is what an item tells, its identifiers aside."""
    description = item.get("ScheduledProcedureStepDescription", "")
    return (
        item.get("Modality", step.modality) == step.modality
        and item.get(START_DATE, step.scheduled_date) == step.scheduled_date
        and time_of(dict(item)) == step.scheduled_time
        and description in {"", step.scheduled_procedure_step_description}
    )


class _FileStep(StepWrite):
    def __init__(self, step: Step | None, writer: FileStepWriter, path: str) -> None:
        super().__init__(step, writer.order, writer.problems, path)
        self._writer = writer
        self._names: dict[str, str] = {}

    def take(self, given: Item, *args: Any, **kwargs: Any) -> None:
        titles, names = given.get(STATIONS) or [], given.get("ScheduledStationName") or []
        # With fewer names than titles nobody knows whose they are.
        self._names = dict(zip(titles, names, strict=True)) if len(titles) == len(names) else {}
        if self.is_new:
            given = {**given, START_TIME: time_of(dict(given))}
            if given.get(_DOUBLED):
                self._writer.renamed(self, str(given[_DOUBLED]))
        super().take(given, *args, **kwargs)

    def fill(self) -> None:
        """A file says all that there is: nothing is added to it."""

    def unknown_station(self, ae_title: str) -> Station | None:
        """Make the station: the worklist that is taken over knows it."""
        name = self._names.get(ae_title, "")
        station = Station(ae_title=ae_title, station_name=name if len(name) <= SH_LENGTH else "")
        try:
            station.clean_fields(exclude={"modality"})
        except ValidationError as error:
            why = " ".join(message for messages in error.message_dict.values() for message in messages)
            text = _("“%(value)s” is left out: %(why)s") % {"value": ae_title, "why": why}
            self._writer.note(self.path + STATIONS, text)
            return None
        return self._writer.new_stations.setdefault(ae_title, station)

    def take_status(self, word: str) -> None:
        """A new step is in the status of its file; one that is known only goes on."""
        status = _WORDS.get(word) or next((known for known in StepStatus if known == word), None)
        current = StepStatus(self.instance.status)
        if status is None:
            text = _("“%(value)s” is left out: it is no status.") % {"value": word}
            self._writer.note(self.path + STATUS, text)
        elif self.is_new:
            self.instance.status = status
        elif status in OPEN and current in OPEN:
            if _RANK[status] > _RANK[current]:
                self.move_to(status)
        elif current in SOURCES.get(status, ()):
            self.move_to(status)
        elif status != current:
            text = _("the step is %(current)s here and stays so; the file says %(status)s.")
            self._writer.note(self.path + STATUS, text % {"current": current.label, "status": status.label})

    def save(self, order: Any = None, **kwargs: Any) -> list[str]:
        for station in self.stations or ():
            if station._state.adding:
                station.modality = self.instance.modality
                station.save()
        return super().save(order, **kwargs)


def step_of(attribute: str) -> tuple[int, str]:
    """Return the number of the step that a problem is about, from 0, and the keyword in it; -1 where it is none's."""
    if not attribute.startswith(f"{STEPS}["):
        return -1, attribute
    number, _bracket, keyword = attribute.removeprefix(f"{STEPS}[").partition("].")
    return int(number) - 1, keyword
