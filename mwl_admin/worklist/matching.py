"""From an identifier to conditions on the worklist: pure, nothing here touches a database (PS3.4 §C.2.2.2, §K.4.1.1).

Every key, and every rule of the department, becomes one named condition. The query is all of them together; the
explanation of a query takes them one by one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import reduce
from operator import and_, or_
from typing import TypeVar

from django.db.models import Exists, F, OuterRef, Q
from django.db.models.lookups import Exact

from dicom_encoding.elements import tag_name
from mwl_admin.models import Patient, ScheduledProcedureStep
from mwl_admin.worklist import keys
from mwl_admin.worklist.attributes import (
    BY_TAG,
    SPECIFIC_CHARACTER_SET,
    STEP_BY_TAG,
    STEP_SEQUENCE,
    TIMEZONE_OFFSET,
    Matching,
    WorklistAttribute,
)
from mwl_admin.worklist.directory import Directory, StationEntry
from mwl_admin.worklist.identifier import Identifier, Key
from mwl_admin.worklist.lookups import NameGroup, Wildcard
from mwl_admin.worklist.query_errors import MatchingKeyError
from mwl_admin.worklist.spans import Zoned, any_span, start_condition

T = TypeVar("T")

_StationLink = ScheduledProcedureStep.stations.through
_CodeLink = ScheduledProcedureStep.protocol_codes.through

_PATIENT = "requested_procedure__patient__"
_START_DATE = 0x00400002
_START_TIME = 0x00400003
_STATION_AE = 0x00400001

EVERYTHING = Q()
NOTHING = Q(pk__in=())


@dataclass(frozen=True, slots=True)
class Condition:
    """One thing that a step has to fulfil to be sent.

    ``keyword`` names the attribute of the key; it is empty for a rule of the department, which ``name`` tells.
    """

    name: str
    q: Q
    keyword: str = ""


@dataclass(frozen=True, slots=True)
class Matched:
    """What an identifier asks for: conditions, and whether a key was given that is not supported for matching."""

    conditions: tuple[Condition, ...]
    unsupported: bool


def is_undated(identifier: Identifier) -> bool:
    """Whether no start date is asked for."""
    step = identifier.first_item(STEP_SEQUENCE)
    return step is None or keys.is_universal(step.text(_START_DATE))


def match(
    identifier: Identifier,
    directory: Directory,
    caller: StationEntry | None,
    *,
    ignore_accents: bool,
    zone: Zoned,
) -> Matched:
    """Return the conditions of an identifier's matching keys (PS3.4 §C.2.2.2).

    :raises MatchingKeyError: a key's value is not of its VR.
    """
    return _Matcher(identifier, directory, caller, ignore_accents=ignore_accents, zone=zone).run()


class _Matcher:
    def __init__(
        self,
        identifier: Identifier,
        directory: Directory,
        caller: StationEntry | None,
        *,
        ignore_accents: bool,
        zone: Zoned,
    ) -> None:
        self._identifier = identifier
        self._directory = directory
        self._caller = caller
        self._ignore_accents = ignore_accents
        self._zone = zone
        self._conditions: list[Condition] = []
        self._unsupported = False

    def run(self) -> Matched:
        self._start(self._identifier.first_item(STEP_SEQUENCE) or Identifier())
        for key in self._identifier:
            if key.tag in {SPECIFIC_CHARACTER_SET, TIMEZONE_OFFSET}:
                continue
            attribute = BY_TAG.get(key.tag)
            if attribute is None:
                self._unsupported = True
            elif key.tag == STEP_SEQUENCE:
                self._step(key, self._identifier.first_item(STEP_SEQUENCE) or Identifier())
            else:
                self._key(self._identifier, key, attribute)
        return Matched(tuple(self._conditions), self._unsupported)

    def _step(self, sequence: Key, step: Identifier) -> None:
        if sequence.items is None and sequence.value:
            raise MatchingKeyError(f"{sequence.name} is not a sequence", sequence.tag)
        for key in step:
            attribute = STEP_BY_TAG.get(key.tag)
            if attribute is None:
                self._unsupported = True
            elif key.tag == _STATION_AE and self._caller is not None and self._caller.station_ae_key != "USE":
                continue  # the profile answers for the key; see scope.py
            elif key.tag not in {_START_DATE, _START_TIME}:
                self._key(step, key, attribute)

    def _start(self, step: Identifier) -> None:
        """Match start date and time: they may be one span (PS3.4 §K.6.1.2.2)."""
        dates = self._parsed(step, _START_DATE, keys.dates)
        times = self._parsed(step, _START_TIME, keys.times)
        offset = self._parsed(self._identifier, TIMEZONE_OFFSET, keys.offset)
        for keyword, q in start_condition(dates, times, self._zone.asked_at(offset)):
            self._conditions.append(Condition(keyword, q, keyword))

    def _parsed(self, holder: Identifier, tag: int, parse: Callable[[str], T]) -> T:
        try:
            return parse(holder.text(tag))
        except keys.BadValueError as error:
            raise MatchingKeyError(f"{tag_name(tag)} {error}", tag) from error

    def _key(self, holder: Identifier, key: Key, attribute: WorklistAttribute) -> None:
        if attribute.matching is Matching.SEQUENCE:
            q = self._code(holder, key, attribute)
        else:
            q = self._element(holder, key, attribute)
        if q != EVERYTHING:
            self._conditions.append(Condition(attribute.keyword, q, attribute.keyword))

    def _element(self, holder: Identifier, key: Key, attribute: WorklistAttribute) -> Q:
        if attribute.matching is Matching.NONE:
            if key.items is None and not keys.is_universal(holder.text(key.tag)):
                self._unsupported = True
            return EVERYTHING
        if key.items is not None:
            raise MatchingKeyError(f"{key.name} is a sequence and should not be", key.tag)
        return self._parsed(holder, key.tag, lambda text: self._value(attribute, text))

    def _value(self, attribute: WorklistAttribute, text: str) -> Q:
        build: dict[Matching, Callable[[Sequence[str], str], Q]] = {
            Matching.TEXT: lambda paths, text: text_q(paths[0], keys.texts(text)),
            Matching.CODE_STRING: lambda paths, text: text_q(paths[0], keys.texts(text, capitals=True)),
            Matching.UID: lambda paths, text: text_q(paths[0], keys.uids(text)),
            Matching.DATE: lambda paths, text: any_span(paths[0], keys.dates(text)),
            Matching.NAME: self._name,
            Matching.STATION: lambda paths, text: self._station(paths[0], keys.texts(text)),
            Matching.LOCATION: self._location,
        }
        return build[attribute.matching](attribute.paths, text)

    def _name(self, paths: Sequence[str], text: str) -> Q:
        values = keys.texts(text)
        if paths[0] != _PATIENT + "name_key" or not (is_undated(self._identifier) and keys.are_anchored(values)):
            return name_q(paths, values, ignore_accents=self._ignore_accents)
        # Without a date the name's index is the way in, and SQLite does not see that by itself: it would walk along
        # the whole list by start.
        own = [path.removeprefix(_PATIENT) for path in paths]
        patients = Patient.objects.filter(name_q(own, values, ignore_accents=self._ignore_accents))
        return Q(**{_PATIENT + "in": patients.order_by().values("pk")})

    def _location(self, paths: Sequence[str], text: str) -> Q:
        values = keys.texts(text)
        inherited = Q(**{paths[0]: ""}) & self._station(paths[1], values)
        return text_q(paths[0], values) | inherited if values else EVERYTHING

    def _station(self, column: str, values: tuple[str, ...]) -> Q:
        if not values:
            return EVERYTHING
        patterns = [keys.compile_pattern(value) for value in values]
        return stations_q(
            station
            for station in self._directory.stations
            if any(pattern.fullmatch(getattr(station, column)) for pattern in patterns if getattr(station, column))
        )

    def _code(self, holder: Identifier, key: Key, attribute: WorklistAttribute) -> Q:
        """Match a code sequence: value and scheme of one and the same item (PS3.4 §C.2.2.2.6)."""
        if key.items is None and key.value:
            raise MatchingKeyError(f"{key.name} is not a sequence", key.tag)
        item = holder.first_item(key.tag) or Identifier()
        children = {child.tag: child for child in attribute.children}
        found = EVERYTHING
        for part in item:
            child = children.get(part.tag)
            if child is None:
                self._unsupported = True
            else:
                found &= self._element(item, part, child)
        if found == EVERYTHING or attribute.keyword != "ScheduledProtocolCodeSequence":
            return found
        return Q(Exists(_CodeLink.objects.filter(found, scheduledprocedurestep=OuterRef("pk"))))


def text_q(path: str, values: Sequence[str]) -> Q:
    """Return the condition that a text column matches one of ``values``; every column does when there is none."""
    exact = [value for value in values if not keys.has_wildcard(value)]
    alternatives = [Q(**{f"{path}__wildcard": value}) for value in values if keys.has_wildcard(value)]
    if len(exact) == 1:
        alternatives.append(Q(**{path: exact[0]}))
    elif exact:
        alternatives.append(Q(**{f"{path}__in": exact}))
    return _any(alternatives)


def stations_q(stations: Iterable[StationEntry]) -> Q:
    """Return the condition that one of ``stations`` may do the step: assigned to it, or to none and of its modality."""
    matching = list(stations)
    assigned = _StationLink.objects.filter(scheduledprocedurestep=OuterRef("pk"))
    modalities = sorted({station.modality for station in matching if station.enabled})
    if not matching:
        return NOTHING
    q = Q(Exists(assigned.filter(station_id__in=[station.pk for station in matching])))
    return q | (Q(modality__in=modalities) & ~Q(Exists(assigned))) if modalities else q


def name_q(paths: Sequence[str], values: Sequence[str], *, ignore_accents: bool) -> Q:
    """Return the condition that a name matches: a value without `=` in any of the component groups, else in each.

    ``paths`` are the normalised keys: of each group in a column of its own (with and without accents, ideographic,
    phonetic), or of all groups in one (with and without accents).
    """
    return _any(_name_value_q(paths, value, ignore_accents=ignore_accents) for value in values)


def _name_value_q(paths: Sequence[str], value: str, *, ignore_accents: bool) -> Q:
    groups = keys.name_groups(value)

    def in_group(group: str, number: int) -> Q:
        if len(paths) == 2:
            patterns = keys.name_patterns(group, folded=ignore_accents)
            return _any(_joined_q(NameGroup(F(paths[int(ignore_accents)]), number), pattern) for pattern in patterns)
        folded = ignore_accents and number == 1
        path = paths[int(folded)] if number == 1 else paths[number]
        return text_q(path, keys.name_patterns(group, folded=folded))

    if len(groups) == 1:
        if not keys.name_patterns(groups[0]):
            return EVERYTHING
        return _any(in_group(groups[0], number) for number in (1, 2, 3))
    return reduce(and_, (in_group(group, number) for number, group in enumerate(groups, 1)), EVERYTHING)


def _joined_q(group: NameGroup, pattern: str) -> Q:
    return Q(Wildcard(group, pattern) if keys.has_wildcard(pattern) else Exact(group, pattern))


def _any(alternatives: Iterable[Q]) -> Q:
    listed = list(alternatives)
    if any(q == EVERYTHING for q in listed):
        return EVERYTHING
    return reduce(or_, listed) if listed else EVERYTHING
