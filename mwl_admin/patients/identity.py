"""Who is who: a person is patient ID and issuer, confirmed by name and birth date.

The one rule for form, files, web API and MPPS. What is absent neither confirms nor contradicts; an absent issuer is the
department's own; names are compared by their folded keys, so that case, accents and parts that are missing make nobody
another person. Whoever differs is never merged with a record, and no record is renamed, unless an update says so.
"""

from __future__ import annotations

import datetime
import re
from collections.abc import Collection
from dataclasses import dataclass
from enum import Enum
from itertools import zip_longest
from typing import Any, Protocol, TypeVar

from django.conf import settings
from django.db.models import Model, QuerySet
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from gateway_link import names

KEYWORDS = ("PatientID", "IssuerOfPatientID", "PatientName", "PatientBirthDate", "PatientSex")
"""What a person is known and confirmed by."""

IDENTIFIERS = ("PatientID", "IssuerOfPatientID")
"""What names a record; the others confirm it."""

_LABELS = {
    "PatientID": _("patient ID"),
    "IssuerOfPatientID": _("issuer"),
    "PatientName": _("name"),
    "PatientBirthDate": _("birth date"),
    "PatientSex": _("sex"),
}
_SEXES = frozenset("MFO")
_NOBODY = frozenset({"UNKNOWN", "UNK", "NONE", "NULL", "NIL", "NA", "NOID", "ANON", "ANONYMOUS", "TBD"})
_LOST = "?\ufffd"
"""What stands where a character set could not carry a letter."""
_CUT = 8
"""From this length on, a name that a station gives back may be the beginning of a longer one."""


@dataclass(frozen=True, slots=True)
class Demographics:
    """Demographics as they are compared; what is empty or None is not known. ``name`` is a value of PN."""

    patient_id: str = ""
    issuer: str = ""
    name: str = ""
    birth_date: datetime.date | None = None
    sex: str = ""


class IdentityVerdict(Enum):
    """Whether two are one. UNKNOWN: nothing contradicts, and nothing confirms."""

    SAME = "same"
    DIFFERS = "differs"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Judgement:
    """``differs`` are the keywords that contradict, ``confirmed`` those of name and birth date that are the same."""

    differs: tuple[str, ...]
    confirmed: tuple[str, ...]

    @property
    def verdict(self) -> IdentityVerdict:
        """The judgement in one word."""
        if self.differs:
            return IdentityVerdict.DIFFERS
        return IdentityVerdict.SAME if self.confirmed else IdentityVerdict.UNKNOWN


def judge(known: Demographics, told: Demographics, *, lossy: bool = False) -> Judgement:
    """Compare a record with what comes in.

    ``lossy``: what comes in has been through a station, which may write umlauts with an e, cut long names, and put a
    question mark where its character set has no letter.
    """
    same = {
        "PatientID": _same(known.patient_id.strip(" "), told.patient_id.strip(" ")),
        "IssuerOfPatientID": same_issuer(known.issuer, told.issuer),
        "PatientName": same_name(known.name, told.name, lossy=lossy),
        "PatientBirthDate": _same(known.birth_date, told.birth_date),
        "PatientSex": _same(_sex(known.sex), _sex(told.sex)),
    }
    return Judgement(
        tuple(keyword for keyword in KEYWORDS if same[keyword] is False),
        tuple(keyword for keyword in ("PatientName", "PatientBirthDate") if same[keyword]),
    )


def contradictions(known: Demographics, told: Demographics, *, by_id_alone: bool = False) -> tuple[str, ...]:
    """Return the keywords for which what comes in must not be taken for this record; none when it may.

    ``by_id_alone``: nothing but the patient ID led to the record. An ID that stands for nobody is then not enough: name
    and birth date must both be there and be the same.
    """
    judgement = judge(known, told)
    if by_id_alone and not judgement.differs and is_placeholder(told.patient_id) and len(judgement.confirmed) < 2:
        return ("PatientID",)
    return judgement.differs


def same_issuer(known: str, told: str) -> bool:
    """Whether two issuers are one; the absent one is the department's."""
    return not {*issuers(known)}.isdisjoint(issuers(told))


def issuers(issuer: str) -> tuple[str, ...]:
    """Return all spellings of an issuer, its own first: the department's is also left out."""
    issuer, own = issuer.strip(" "), str(settings.PATIENT_ID_ISSUER)
    return tuple(dict.fromkeys((issuer, "", own))) if issuer in {"", own} else (issuer,)


def same_name(known: str, told: str, *, lossy: bool = False) -> bool | None:
    """Whether family and given name are the same, in each form that both have; None when there is nothing to compare.

    The parts after them are no matter of identity: middle names and titles come and go.
    """
    answers: set[bool] = set()
    groups = zip_longest(*(names.folded(name).split("=") for name in (known, told)), fillvalue="")
    for mine, other in groups:
        for one, two in zip(mine.split("^")[:2], other.split("^")[:2], strict=False):
            if one and two:
                answers.add(_same_part(one, two, lossy=lossy))
    return None if not answers else all(answers)


def _same_part(known: str, told: str, *, lossy: bool) -> bool:
    if known == told or not lossy:
        return known == told
    pattern = "".join("." if sign in _LOST else re.escape(sign) for sign in _plainest(told))
    found = re.match(pattern, _plainest(known), re.DOTALL)
    return found is not None and (len(told) >= _CUT or found.end() == len(_plainest(known)))


def _plainest(part: str) -> str:
    """A part of a name without the e that stands for an umlaut where a console has none: Mueller is Muller then."""
    return re.sub(r"([aou])e", r"\1", part)


def _same(known: object, told: object) -> bool | None:
    return known == told if known and told else None


def _sex(value: str) -> str:
    """A sex that is no term of the standard says nothing."""
    plain = value.strip(" ").upper()
    return plain if plain in _SEXES else ""


def is_placeholder(patient_id: str) -> bool:
    """Whether a patient ID stands for nobody: none, only zeros or punctuation, or a word such as UNKNOWN."""
    plain = re.sub(r"[\W_]+", "", patient_id).upper()
    return not plain.strip("0") or plain in _NOBODY


class PatientRecord(Protocol):
    """A record that holds demographics: a patient of the worklist. This module stands below the models."""

    patient_id: Any
    issuer_of_patient_id: Any
    patient_birth_date: Any
    patient_sex: Any

    @property
    def patient_name(self) -> str: ...


R = TypeVar("R", bound=Model)


def of_record(patient: PatientRecord) -> Demographics:
    """Return a record's demographics."""
    return Demographics(
        patient.patient_id,
        patient.issuer_of_patient_id,
        patient.patient_name,
        patient.patient_birth_date,
        patient.patient_sex,
    )


def find(patients: QuerySet[R], patient_id: str, issuer: str) -> R | None:
    """Return the record that a patient ID and an issuer name, or None; its demographics are still to be compared."""
    spellings = issuers(issuer)
    found: dict[str, R] = {
        patient.issuer_of_patient_id: patient  # type: ignore[attr-defined]
        for patient in patients.filter(patient_id=patient_id.strip(" "), issuer_of_patient_id__in=spellings)
    }
    return next((found[spelling] for spelling in spellings if spelling in found), None)


def in_words(keywords: Collection[str]) -> str:
    """Return what differs, in words: `name, birth date`."""
    return ", ".join(str(_LABELS[keyword]) for keyword in KEYWORDS if keyword in keywords)


def refusal(keywords: Collection[str]) -> str:
    """Return why a patient ID is refused, in words for staff."""
    if {*keywords} == {"PatientID"}:
        return gettext("stands for nobody, and name and birth date do not both confirm who it is.")
    return gettext("belongs to a patient with another %(what)s.") % {"what": in_words(keywords)}
