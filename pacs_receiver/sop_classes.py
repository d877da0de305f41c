"""What is accepted in a presentation context: storage SOP classes (PS3.4 §B.5) and transfer syntaxes (PS3.5 §10)."""

from __future__ import annotations

from collections.abc import Callable

from pydicom.uid import UID_dictionary
from pynetdicom import sop_class

from dicom_encoding import uids
from dicom_encoding.syntaxes import UNCOMPRESSED, transfer_syntaxes

STORAGE_COMMITMENT = "1.2.840.10008.1.20.1"
"""Storage Commitment Push Model (PS3.4 §J.3)."""

VERIFICATION = "1.2.840.10008.1.1"

_STANDARD = "1.2.840.10008."
_STANDARD_STORAGE = "1.2.840.10008.5.1.4.1.1."
TRANSFER_SYNTAXES = transfer_syntaxes()

_KNOWN_STORAGE = frozenset(sop_class._STORAGE_CLASSES.values())
_RETIRED_STORAGE = frozenset(
    uid
    for uid, (name, kind, *_) in UID_dictionary.items()
    if kind == "SOP Class" and uid.startswith(_STANDARD_STORAGE) and "Storage" in name
)
"""Storage SOP classes that left the standard, and that old scanners still send."""

# Objects without a patient (PS3.4 Annex GG) have no study to be filed in.
_NO_STUDY = frozenset(sop_class._NON_PATIENT_OBJECT_CLASSES.values())

STORAGE = (_KNOWN_STORAGE | _RETIRED_STORAGE) - _NO_STUDY

_OTHER_SERVICES = (
    frozenset(uid for uid, (_, kind, *_) in UID_dictionary.items() if kind in ("SOP Class", "Meta SOP Class")) - STORAGE
)
"""What the standard knows and what is no storage: query/retrieve, print, worklist and the like."""


def is_storage(abstract_syntax: str, *, unknown: bool) -> bool:
    """Say whether instances of ``abstract_syntax`` are stored; ``unknown`` lets in private and newer classes too."""
    if abstract_syntax in STORAGE:
        return True
    if not unknown or abstract_syntax in _OTHER_SERVICES or abstract_syntax in _NO_STUDY:
        return False
    if abstract_syntax.startswith(_STANDARD):
        return abstract_syntax.startswith(_STANDARD_STORAGE) and uids.is_usable(abstract_syntax)
    return uids.is_usable(abstract_syntax)


def negotiator(*, unknown: bool, only: frozenset[str]) -> Callable[[str, tuple[str, ...]], tuple[str, ...] | None]:
    """Return the service's ``transfer_syntaxes`` rule; ``only`` restricts the storage classes when it is not empty.

    The requestor's order is kept: it knows what it has, and nothing is transcoded here.
    """

    def transfer_syntaxes(abstract_syntax: str, proposed: tuple[str, ...]) -> tuple[str, ...] | None:
        if abstract_syntax in (VERIFICATION, STORAGE_COMMITMENT):
            return tuple(uid for uid in proposed if uid in UNCOMPRESSED)
        if (only and abstract_syntax not in only) or not is_storage(abstract_syntax, unknown=unknown):
            return None
        return tuple(uid for uid in proposed if uid in TRANSFER_SYNTAXES)

    return transfer_syntaxes


def sop_class_named(name: str) -> str:
    """Return the UID for a storage SOP class's keyword, or the UID that ``name`` is.

    :raises ValueError: when it is neither.
    """
    known: str | None = sop_class._STORAGE_CLASSES.get(name)
    if known is not None:
        return str(known)
    if uids.is_usable(name):
        return name
    raise ValueError(f"{name!r} is neither a storage SOP class keyword nor a UID")
