"""Which exception is answered by which status: the one place where that is decided (PS3.4 Table K.4-2)."""

from __future__ import annotations

from django.db import DatabaseError, InterfaceError

from dicom_encoding.statuses import Status
from dicom_listener.service import Refused
from mwl_admin.worklist.query_errors import IdentifierError, MatchingKeyError, QueryError, TooManyMatchesError

_STATUSES: tuple[tuple[type[Exception], int], ...] = (
    (IdentifierError, Status.CANNOT_UNDERSTAND),
    (MatchingKeyError, Status.DATA_SET_DOES_NOT_MATCH),
    (TooManyMatchesError, Status.OUT_OF_RESOURCES),
)

ANSWERED = (QueryError, DatabaseError, InterfaceError)
"""Exceptions that become a status; any other is a fault of ours, and the listener's to answer."""


def refused(error: Exception) -> Refused:
    """Return the refusal that tells a peer of ``error``."""
    if isinstance(error, QueryError):
        status = next(status for kind, status in _STATUSES if isinstance(error, kind))
        return Refused(status, error.comment, offending=error.offending)
    return Refused(Status.OUT_OF_RESOURCES, "The worklist database cannot be reached")
