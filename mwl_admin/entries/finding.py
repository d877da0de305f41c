"""Finding by any part of a name, patient ID, accession number, step ID or requested procedure ID.

A condition across patient, entry and step at once would have the database read all of them. So each table is asked by
itself, by its own indexes, and only what it found is brought together.
"""

import re
from collections.abc import Iterable, Sequence
from functools import reduce
from operator import and_, or_

from django.db.models import Q

from gateway_link import names
from mwl_admin.models import Patient, RequestedProcedure, ScheduledProcedureStep

MAXIMUM = 200
"""How many patients, or entries, a search takes from each table; who finds more has to type more."""

SHORTEST = 3
"""Signs that a word needs for PostgreSQL to find any part by its index (pg_trgm)."""

_PATIENT = "requested_procedure__patient__"
_IDENTIFIERS = ("accession_number", "requested_procedure_id")
_LONG_IDENTIFIER = ("study_instance_uid",)


def words(text: str) -> list[str]:
    """Return what has to be found, each of it; none when no name and no identifier could hold such a text."""
    if not text.isprintable():
        return []
    return [word for word in re.split(r"[\s,^=]+", text.strip()) if word]


def _telling(found: list[str]) -> list[str]:
    """Return the words that an index can find: with three characters or more, unless there are only shorter ones."""
    return [word for word in found if len(word) >= SHORTEST] or found


def reaches_all_days(text: str) -> bool:
    """Whether a text says enough to be looked for among all days; names in other scripts may have two characters."""
    return any(len(word) >= SHORTEST or not word.isascii() for word in words(text))


def _any(conditions: Iterable[Q]) -> Q:
    return reduce(or_, conditions)


def _all(conditions: Iterable[Q]) -> Q:
    return reduce(and_, conditions)


def _in_patient(word: str, path: str = "") -> Q:
    return _any(
        [
            Q(**{f"{path}name_folded__contains": names.folded(word)}),
            Q(**{f"{path}ideographic_name_key__contains": names.key(word)}),
            Q(**{f"{path}phonetic_name_key__contains": names.key(word)}),
            Q(**{f"{path}patient_id__icontains": word}),
        ]
    )


def _in(word: str, fields: Sequence[str], path: str = "") -> Q:
    return _any(Q(**{f"{path}{name}__icontains": word}) for name in fields)


NOTHING = Q(pk__in=())


def _without_words(text: str) -> Q:
    return NOTHING if text.strip() else Q()


def patients(text: str) -> Q:
    """Return the condition on patients whose name or ID has all words of ``text``."""
    found = words(text)
    return _all(_in_patient(word) for word in found) if found else _without_words(text)


def requested_procedures(text: str) -> Q:
    """Return the condition on entries: a list of primary keys, read from the database here, and no join."""
    found = words(text)
    if not found:
        return _without_words(text)
    whole = _all(_in_patient(word, "patient__") | _in(word, (*_IDENTIFIERS, *_LONG_IDENTIFIER), "") for word in found)
    some = _any(_in(word, _IDENTIFIERS) | Q(study_instance_uid=word) for word in _telling(found))
    entries = RequestedProcedure.objects.order_by("-pk").filter(some)
    if len(found) > 1:
        entries = entries.filter(whole)
    return Q(patient__in=_keys(Patient.objects.filter(patients(text)).order_by("-pk"))) | Q(pk__in=_keys(entries))


def steps(text: str) -> Q:
    """Return the condition on steps of any day: a list of primary keys, read from the database here, and no join."""
    found = words(text)
    if not found:
        return _without_words(text)
    by_step = ScheduledProcedureStep.objects.order_by("-pk").filter(
        _any(_in(word, ("scheduled_procedure_step_id",)) for word in _telling(found))
    )
    if len(found) > 1:
        by_step = by_step.filter(steps_among(text))
    entries = RequestedProcedure.objects.order_by("-pk").filter(requested_procedures(text))
    return Q(requested_procedure__in=_keys(entries)) | Q(pk__in=_keys(by_step))


def steps_among(text: str) -> Q:
    """Return the condition on steps for a few of them, such as those of one day: exact, and slow for all."""
    found = words(text)
    if not found:
        return _without_words(text)
    return _all(
        _in_patient(word, _PATIENT)
        | _in(word, _IDENTIFIERS, "requested_procedure__")
        | _in(word, ("scheduled_procedure_step_id",))
        for word in found
    )


def _keys(rows: object) -> list[int]:
    return list(rows.values_list("pk", flat=True)[:MAXIMUM])  # type: ignore[attr-defined]
