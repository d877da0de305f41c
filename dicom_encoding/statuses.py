"""The statuses of DIMSE responses (PS3.7 Annex C) and those of the service classes (PS3.4), each stated once."""

from __future__ import annotations

from enum import IntEnum


class Status(IntEnum):
    """Status (0000,0900) of a response, of all services that are here."""

    # PS3.7 Annex C
    SUCCESS = 0x0000
    ATTRIBUTE_LIST_ERROR = 0x0107
    """A warning: some of the attributes that were sent are not known."""
    CLASS_INSTANCE_CONFLICT = 0x0119
    ATTRIBUTE_VALUE_OUT_OF_RANGE = 0x0116
    """A warning."""
    NO_SUCH_ATTRIBUTE = 0x0105
    INVALID_ATTRIBUTE_VALUE = 0x0106
    PROCESSING_FAILURE = 0x0110
    DUPLICATE_SOP_INSTANCE = 0x0111
    NO_SUCH_SOP_INSTANCE = 0x0112
    INVALID_ARGUMENT_VALUE = 0x0115
    INVALID_SOP_INSTANCE = 0x0117
    NO_SUCH_SOP_CLASS = 0x0118
    MISSING_ATTRIBUTE = 0x0120
    MISSING_ATTRIBUTE_VALUE = 0x0121
    SOP_CLASS_NOT_SUPPORTED = 0x0122
    NO_SUCH_ACTION_TYPE = 0x0123
    NOT_AUTHORIZED = 0x0124
    UNRECOGNIZED_OPERATION = 0x0211
    MISTYPED_ARGUMENT = 0x0212
    RESOURCE_LIMITATION = 0x0213

    # of more than one service class, as PS3.4 §B.2.3, §C.4.1.1.4 and Table K.4-2
    ATTRIBUTES_NOT_SUPPORTED = 0x0001
    """A warning of N-GET (PS3.4 §F.8.2.2)."""
    OUT_OF_RESOURCES = 0xA700
    DATA_SET_DOES_NOT_MATCH = 0xA900
    """The data set does not match the SOP class; of a query: the identifier does not."""
    CANNOT_UNDERSTAND = 0xC000
    UNABLE_TO_PROCESS = 0xC001
    """Of an image here: Study or Series Instance UID is missing or no UID, so that it can't be filed."""
    CANCEL = 0xFE00
    PENDING = 0xFF00
    PENDING_WARNING = 0xFF01


NO_LONGER_UPDATABLE = 0xA710
"""Error ID (0000,0903) of an MPPS that is over (PS3.4 Table F.7.2-2)."""


def is_success(status: int) -> bool:
    """Tell whether the operation was done, if only with a warning (PS3.7 §C.1, §C.2 and Table C-1)."""
    return status in _DONE or status >> 12 == 0xB


_DONE = frozenset(
    {
        Status.SUCCESS,
        Status.ATTRIBUTES_NOT_SUPPORTED,
        Status.ATTRIBUTE_LIST_ERROR,
        Status.ATTRIBUTE_VALUE_OUT_OF_RANGE,
    }
)
