"""Whose a study is, when the site has made one patient another: by update, merge, or a move of the order.

What the images say decides, and the changes in their order. A change takes what names the old patient and no other: the
patient ID and its issuer are the old ones, neither name nor birth date contradicts, and one of them confirms, or the
study is of an order that the site told of. So images that come late under the old ID are the new patient's, and those
of somebody who was given the old ID later are not.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from itertools import zip_longest
from typing import Any, Literal, cast

from gateway_link import names

Kind = Literal["updated", "merged", "moved"]
KINDS = ("updated", "merged", "moved")

_LONGEST = 1024
_MOST_STUDIES = 10_000
_NOBODY = frozenset({"UNKNOWN", "UNK", "NONE", "NULL", "NIL", "NA", "NOID", "ANON", "ANONYMOUS", "TBD"})


@dataclass(frozen=True, slots=True)
class IndexedPatient:
    """A patient as the index knows one; empty where there is no value. ``birth_date`` is a value of DA."""

    patient_id: str
    issuer: str
    name: str
    birth_date: str
    sex: str


@dataclass(frozen=True, slots=True)
class Change:
    """``before`` became ``after``. ``issuers`` are all spellings of the old ID's issuer; ``studies`` the UIDs told."""

    kind: Kind
    before: IndexedPatient
    after: IndexedPatient
    issuers: frozenset[str]
    studies: frozenset[str]

    def takes(self, person: IndexedPatient, study_uid: str) -> bool:
        """Say whether a study of ``person`` is the new patient's by this change."""
        if person.patient_id != self.before.patient_id or person.issuer not in self.issuers:
            return False
        is_told = study_uid in self.studies
        if self.kind == "moved" and not is_told:
            return False
        # A name that was typed at the console before the record had it is the new one.
        known = (self.before, self.after)
        same_name = _any_same(_same_name(one.name, person.name) for one in known)
        same_date = _any_same(_same(one.birth_date, person.birth_date) for one in known)
        if same_name is False or same_date is False:
            return False
        if is_placeholder(person.patient_id) and not is_told:
            return bool(same_name and same_date)
        return bool(is_told or same_name or same_date)


def resolve(
    person: IndexedPatient, study_uid: str, changes_of: Callable[[str, int], Iterable[tuple[int, Change]]]
) -> IndexedPatient:
    """Return whose a study is now that was stored as ``person``'s.

    ``changes_of`` gives the changes of a patient ID behind a position, in their order.
    """
    position = -1
    while True:
        found = changes_of(person.patient_id, position)
        step = next(((place, change) for place, change in found if change.takes(person, study_uid)), None)
        if step is None:
            return person
        position, person = step[0], step[1].after


def is_placeholder(patient_id: str) -> bool:
    """Say whether a patient ID stands for nobody: none, only zeros or punctuation, or a word such as UNKNOWN."""
    plain = re.sub(r"[\W_]+", "", patient_id).upper()
    return not plain.strip("0") or plain in _NOBODY


def parse(body: Mapping[str, Any]) -> Change:
    """Read a change as the site tells it (docs/devices.md).

    :raises ValueError: for what is none.
    """
    kind = body.get("kind")
    if kind not in KINDS:
        raise ValueError("kind")
    before, after = _person(body.get("before")), _person(body.get("after"))
    return Change(
        cast(Kind, kind),
        before,
        after,
        frozenset({before.issuer, *_texts(body.get("issuers"), 16)}),
        frozenset(_texts(body.get("studies"), _MOST_STUDIES)),
    )


def _person(value: object) -> IndexedPatient:
    if not isinstance(value, dict):
        raise ValueError("person")
    person = IndexedPatient(*(_text(value.get(key)) for key in ("id", "issuer", "name", "birth_date", "sex")))
    if not person.patient_id:
        raise ValueError("patient ID")
    return person


def _texts(value: object, most: int) -> list[str]:
    if not isinstance(value, list) or len(value) > most:
        raise ValueError("list")
    return [_text(part) for part in value]


def _text(value: object) -> str:
    if not isinstance(value, str) or len(value) > _LONGEST:
        raise ValueError("text")
    return "".join(character for character in value if character >= " " and character != "\x7f").strip()


def _any_same(answers: Iterable[bool | None]) -> bool | None:
    found = {answer for answer in answers if answer is not None}
    return None if not found else True in found


def _same(known: str, told: str) -> bool | None:
    return known == told if known and told else None


def _same_name(known: str, told: str) -> bool | None:
    """Compare family and given name in each form that both have; None when there is nothing to compare."""
    groups = zip_longest(*(names.folded(name).split("=") for name in (known, told)), fillvalue="")
    answers = {
        one == two
        for mine, other in groups
        for one, two in zip(mine.split("^")[:2], other.split("^")[:2], strict=False)
        if one and two
    }
    return None if not answers else all(answers)
