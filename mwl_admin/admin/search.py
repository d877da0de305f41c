"""Search boxes: names without regard to case and accents, identifiers by how they begin."""

import re
from collections.abc import Iterable, Sequence

from django.db.models import Q

from mwl_admin import names


def matching(text: str, *, patient: str, identifiers: Sequence[str]) -> Q:
    """Return the condition that every word of ``text`` is part of the name or begins one of the ``identifiers``.

    ``patient`` is the path to the patient, e.g. ``requested_procedure__patient__``, empty for the patient itself.
    """
    if not text.isprintable():
        return Q(pk__in=[])  # no name and no identifier has such characters, and PostgreSQL refuses some of them
    condition = Q()
    for word in re.split(r"[\s,^=]+", text.strip()):
        if word:
            condition &= _any(
                [
                    *(Q(**{f"{name}__istartswith": word}) for name in identifiers),
                    Q(**{f"{patient}name_folded__contains": names.folded(word)}),
                    Q(**{f"{patient}ideographic_name_key__contains": names.key(word)}),
                    Q(**{f"{patient}phonetic_name_key__contains": names.key(word)}),
                ]
            )
    return condition


def _any(conditions: Iterable[Q]) -> Q:
    combined = Q()
    for condition in conditions:
        combined |= condition
    return combined
