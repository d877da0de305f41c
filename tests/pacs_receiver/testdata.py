"""The files that pydicom ships, as far as they are instances that can be sent."""

from __future__ import annotations

import struct
from pathlib import Path

import pydicom

FOLDER = Path(pydicom.__file__).parent / "data" / "test_files"


def data_set_of(path: Path) -> bytes:
    """The data set's bytes, found by the group length that stands first in the file meta information (PS3.10 §7.1)."""
    whole = path.read_bytes()
    return whole[144 + struct.unpack_from("<L", whole, 140)[0] :]


def _is_regular(path: Path) -> bool:
    head = path.read_bytes()[:144]
    if path.name in ("meta_missing_tsyntax.dcm", "SC_rgb_jpeg.dcm"):
        # no transfer syntax, and an encoding that is not that of its transfer syntax
        return False
    return head[128:132] == b"DICM" and head[132:138] == b"\x02\0\0\0UL"


REGULAR = tuple(path for path in sorted(FOLDER.glob("*.dcm")) if _is_regular(path))
