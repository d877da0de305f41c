"""UIDs (PS3.5 §9.1): by the letter of the standard, and as devices send them."""

from __future__ import annotations

import re

MAX_LENGTH = 64
_WRONG_CHARACTER = re.compile(r"[^0-9.]")
_USABLE = re.compile(r"[0-9]+(?:\.[0-9]+)*")
_WITH_LEADING_ZERO = re.compile(r"(?<![0-9])0[0-9]+")


def wrong_character(uid: str) -> str:
    """Return the first character that no UID may hold, empty when there is none."""
    match = _WRONG_CHARACTER.search(uid)
    return match[0] if match else ""


def leading_zero(uid: str) -> str:
    """Return the first component that begins with a zero and goes on, empty when there is none."""
    match = _WITH_LEADING_ZERO.search(uid)
    return match[0] if match else ""


def is_usable(uid: str) -> bool:
    """Tell whether ``uid`` is made of digits and single dots and at most 64 characters long.

    A component with leading zeros is against the standard, but real devices send it and it harms nobody: it is let
    through. Whatever is usable is also safe as the name of a file or folder.
    """
    return len(uid) <= MAX_LENGTH and _USABLE.fullmatch(uid) is not None


def is_legal(uid: str) -> bool:
    """Tell whether ``uid`` is a UID by the letter of the standard: what we make ourselves is."""
    return is_usable(uid) and not leading_zero(uid)


def decode(value: bytes | None) -> str:
    """Give the text of a UI value without its padding (PS3.5 §6.2); what is not ASCII comes out as an illegal UID."""
    if not value:
        return ""
    return value.rstrip(b"\0 ").decode("ascii", "replace")
