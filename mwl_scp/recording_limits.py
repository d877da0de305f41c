"""How much the record of queries may take."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class RecordingLimits:
    """Bytes that are kept: ``keys`` of one query, ``waiting`` of those still to be written, ``total``; 0 is no end."""

    keys: int = 16_384
    waiting: int = 16 * 1024 * 1024
    total: int = 1024 * 1024 * 1024
