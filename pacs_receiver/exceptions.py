"""What can go wrong in the receiver; :mod:`pacs_receiver.statuses` gives each its DICOM status."""

from __future__ import annotations


class ReceiverError(Exception):
    """Base of what this package raises on purpose"""


class StorageFull(ReceiverError):
    """No space left for images"""


class StorageFailed(ReceiverError):
    """The storage could not keep the instance"""


class IndexUnavailable(ReceiverError):
    """The index can't be written now"""
