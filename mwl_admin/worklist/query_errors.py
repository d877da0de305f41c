"""Why a query cannot be answered; the DICOM service turns these into statuses in one place."""

from __future__ import annotations


class QueryError(Exception):
    """A query is refused.

    The text goes to the peer as Error Comment (0000,0902): it says what is wrong in at most 64 characters, and repeats
    no value, since a value may name a patient. ``offending`` are the tags of Offending Element (0000,0901).
    """

    def __init__(self, comment: str, *offending: int) -> None:
        super().__init__(comment)
        self.comment = comment
        self.offending = offending


class IdentifierError(QueryError):
    """The identifier is not a data set in the transfer syntax that was negotiated."""


class NestingError(IdentifierError):
    """The identifier's sequences nest deeper than the limit."""


class MatchingKeyError(QueryError):
    """The identifier is a data set, but a key's value breaks the rules of its VR or of matching (PS3.4 §C.2.2.2)."""


class TooManyMatchesError(QueryError):
    """More entries match than the service is set to send, and it is set to refuse rather than to cut."""
