"""An instance as it goes into the index."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class InstanceRecord:
    """All that the index keeps of an instance. ``values`` are its encoded attributes by tag, as the header was read."""

    study_uid: str
    series_uid: str
    sop_instance_uid: str
    sop_class_uid: str
    transfer_syntax: str
    data_bytes: int
    file_bytes: int
    sha256: bytes
    calling_ae: str
    address: str
    arrived_at: float
    values: Mapping[int, bytes] = field(repr=False)
    odd: str = ""
    """What is odd about its encoding, with tag and offset; empty when nothing is."""
