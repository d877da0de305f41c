"""One step of an entry from outside: what is given is set, what a new one lacks is filled in, and it is saved."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.core.exceptions import ValidationError
from django.utils.translation import gettext

from mwl_admin.entries import examinations, making, values
from mwl_admin.entries.entry_attributes import COLUMNS, PROTOCOLS, STATIONS, STATUS, STEPS, Level
from mwl_admin.entries.problems import Problem
from mwl_admin.entries.writing import WrittenRecord, required
from mwl_admin.models import ProtocolCode, RequestedProcedure, ScheduledProcedureStep, Station, StepStatus
from mwl_admin.models.prepared import Prepared
from mwl_admin.models.status import OPEN

STEP_ID = "ScheduledProcedureStepID"
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


class StepWrite(WrittenRecord):
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
