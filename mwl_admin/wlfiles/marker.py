"""A private element in our own files: the step has no stations, and those named are all of its modality.

wlmscpfs offers no file without an AE title, so that a step for any station has to name some.
"""

from __future__ import annotations

import struct

from mwl_admin.worklist.identifier import Identifier

_GROUP = 0x4009
"""Above all groups of the worklist's attributes: a data set is sorted by tag (PS3.5 §7.1)."""
_CREATOR = "GATEWAY WORKLIST"
_RESERVED, _ANY_STATION = 0x0010, 0x1001


def of_any_station(ae_titles: str) -> bytes:
    """Return the elements that end a data set whose AE titles are those of all stations, in Explicit VR Little."""
    return _element(_RESERVED, "LO", _CREATOR) + _element(_ANY_STATION, "AE", ae_titles)


def is_for_any_station(ds: Identifier, ae_titles: list[str]) -> bool:
    """Whether a file is marked so, and nobody has changed its AE titles since."""
    if ds.text(_GROUP << 16 | _RESERVED) != _CREATOR:
        return False
    marked = ds.text(_GROUP << 16 | _ANY_STATION)
    return bool(marked) and [title.strip(" ") for title in marked.split("\\")] == ae_titles


def _element(number: int, vr: str, text: str) -> bytes:
    value = text.encode("ascii")
    value += b" " * (len(value) % 2)
    return struct.pack("<HH2sH", _GROUP, number, vr.encode(), len(value)) + value
