"""The statuses that a C-STORE gets (PS3.7 §9.1.1.1.9, PS3.4 §B.2.3), stated once."""

from __future__ import annotations

from enum import IntEnum

from dicom_listener.service import Refused
from pacs_receiver.exceptions import IndexUnavailable, ReceiverError, StorageFull


class Status(IntEnum):
    """Statuses of the receiver's services."""

    SUCCESS = 0x0000
    PROCESSING_FAILURE = 0x0110
    DUPLICATE_SOP_INSTANCE = 0x0111
    INVALID_SOP_INSTANCE = 0x0117
    SOP_CLASS_NOT_SUPPORTED = 0x0122
    NOT_AUTHORIZED = 0x0124
    RESOURCE_LIMITATION = 0x0213
    OUT_OF_RESOURCES = 0xA700
    DATA_SET_DOES_NOT_MATCH = 0xA900
    CANNOT_UNDERSTAND = 0xC000
    NO_PLACE = 0xC001
    """Study or Series Instance UID is missing or no UID: the instance can't be filed."""


def refusal(error: ReceiverError) -> Refused:
    """Turn a failure of storage or index into the answer that the sender gets; it names no cause inside the house."""
    if isinstance(error, StorageFull):
        return Refused(Status.OUT_OF_RESOURCES, "no space left for images")
    if isinstance(error, IndexUnavailable):
        return Refused(Status.OUT_OF_RESOURCES, "index not available, try again")
    return Refused(Status.PROCESSING_FAILURE, "instance could not be stored")
