"""What real devices get wrong in the encoding of a data set (PS3.5 §7): the rules for one element, without a walk.

An oddity is something that a reader can step over. The data set is kept as it came, and the first oddity is told.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from dicom_encoding.elements import tag_name
from pacs_receiver.indexed_attributes import (
    PATIENT_ID,
    PATIENT_ID_ISSUER,
    SERIES_INSTANCE_UID,
    SOP_CLASS_UID,
    SOP_INSTANCE_UID,
    STUDY_INSTANCE_UID,
)

_UIDS = frozenset({SOP_CLASS_UID, SOP_INSTANCE_UID, STUDY_INSTANCE_UID, SERIES_INSTANCE_UID})
_IDENTIFYING = _UIDS | {PATIENT_ID, PATIENT_ID_ISSUER}


class Malformed(ValueError):
    """The data set's encoding is broken; the text says how and holds no value of it. ``at`` is the place, if any."""

    def __init__(self, what: str, at: str = "") -> None:
        super().__init__(what)
        self.at = at


@dataclass(frozen=True, slots=True)
class Oddity:
    """What is odd, at which element; ``offset`` in bytes from the beginning of the data set, inflated if need be."""

    what: str
    tag: int
    offset: int

    @property
    def at(self) -> str:
        return f"{tag_name(self.tag)} at byte {self.offset}"

    def __str__(self) -> str:
        return f"{self.what}: {self.at}"


class Oddities:
    """The oddities of one data set: the first, and how many there are. The ``strict`` take none."""

    def __init__(self, *, strict: bool) -> None:
        self._strict = strict
        self._first: Oddity | None = None
        self._latest = -1
        self._count = 0

    def __str__(self) -> str:
        """Say what is odd; empty when nothing is."""
        if self._first is None:
            return ""
        return str(self._first) + (f", and {self._count - 1} more" if self._count > 1 else "")

    def note(self, oddity: Oddity) -> None:
        """Remember an oddity, one for each element.

        :raises Malformed: when none is taken.
        """
        if self._strict:
            raise Malformed(oddity.what, oddity.at)
        if oddity.offset > self._latest:  # an element that arrives in pieces is looked at again
            self._first = self._first or oddity
            self._latest = oddity.offset
            self._count += 1


def is_identified(values: Mapping[int, bytes], *, in_order: bool) -> bool:
    """Tell whether the elements that identify an instance have been read: what follows can't change who it is of.

    As long as elements come in order (PS3.5 §7.1) the patient's stand before the study's UID.
    """
    return values.keys() >= _UIDS and (in_order or PATIENT_ID in values)


def says_nothing(value: bytes) -> bool:
    """Tell whether a value is absent or made of padding."""
    return not value.strip(b"\0 ")


def disagree(tag: int, first: bytes, second: bytes) -> bool:
    """Tell whether an element that occurs twice names two instances or patients: nobody can know whose image it is."""
    either_is_empty = says_nothing(first) or says_nothing(second)
    return tag in _IDENTIFYING and not either_is_empty and first.strip(b"\0 ") != second.strip(b"\0 ")
