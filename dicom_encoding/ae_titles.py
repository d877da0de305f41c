"""AE titles (VR AE, PS3.5 §6.2): 1 to 16 printable characters of ASCII, no backslash, not only spaces."""

from __future__ import annotations

import re

MAX_LENGTH = 16
_WRONG_CHARACTER = re.compile(r"[^\x20-\x7e]|\\")


def wrong_character(title: str) -> str:
    """Return the first character that no AE title may hold, empty when there is none."""
    match = _WRONG_CHARACTER.search(title)
    return match[0] if match else ""


def is_legal(title: str) -> bool:
    """Tell whether this can be an AE title. Spaces around it are padding, and count as long as they are there."""
    return bool(title.strip(" ")) and len(title) <= MAX_LENGTH and not wrong_character(title)
