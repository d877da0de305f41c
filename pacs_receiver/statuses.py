"""Which failure of storage or index is answered by which status: the one place where that is decided."""

from __future__ import annotations

from dicom_encoding.statuses import Status
from dicom_listener.service import Refused
from pacs_receiver.exceptions import IndexUnavailable, ReceiverError, StorageFull


def refusal(error: ReceiverError) -> Refused:
    """Turn a failure of storage or index into the answer that the sender gets; it names no cause inside the house."""
    if isinstance(error, StorageFull):
        return Refused(Status.OUT_OF_RESOURCES, "no space left for images")
    if isinstance(error, IndexUnavailable):
        return Refused(Status.OUT_OF_RESOURCES, "index not available, try again")
    return Refused(Status.PROCESSING_FAILURE, "instance could not be stored")
