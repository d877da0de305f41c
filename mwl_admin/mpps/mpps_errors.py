"""Why a report of a modality is not taken; the DICOM service turns these into statuses in one place."""

from __future__ import annotations

from mwl_admin.exceptions import WorklistError


class MPPSError(WorklistError):
    """A request is refused.

    The text goes to the peer as Error Comment (0000,0902): at most 64 characters, and no value, since a value may name
    a patient. ``offending`` are the tags of the attributes at fault.
    """

    def __init__(self, comment: str, *offending: int) -> None:
        super().__init__(comment)
        self.comment = comment
        self.offending = offending


class InvalidInstanceUIDError(MPPSError):
    """The SOP Instance UID is not a UID."""


class DuplicateInstanceError(MPPSError):
    """There is a performed procedure step with this SOP Instance UID already."""


class NoSuchInstanceError(MPPSError):
    """There is no performed procedure step with this SOP Instance UID."""


class MissingAttributeError(MPPSError):
    """A mandatory attribute (type 1) is absent."""


class MissingValueError(MPPSError):
    """A mandatory attribute (type 1) is there, but empty."""


class InvalidValueError(MPPSError):
    """An attribute has a value that it may not have at this point."""


class NotAllowedError(MPPSError):
    """An attribute was given once and for all when the instance was created (PS3.4 Table F.7.2-1)."""


class NoLongerUpdatableError(MPPSError):
    """The performed procedure step is in its final state (PS3.4 Table F.7.2-2)."""


class TooLargeError(MPPSError):
    """The report is larger than what is kept of one, or its sender has reported too much in a day."""


class NotAuthorizedError(MPPSError):
    """The caller is switched off, or belongs to no station and the performed procedure step is another's."""
