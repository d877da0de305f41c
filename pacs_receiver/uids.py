"""UIDs from the network (PS3.5 §9.1): what may become a file name, and what may not."""

from __future__ import annotations

import logging
import re

logger = logging.getLogger(__name__)

MAX_LENGTH = 64
_LEGAL = re.compile(r"[0-9]+(?:\.[0-9]+)*")
_LEADING_ZERO = re.compile(r"(?:^|\.)0[0-9]")


def is_legal(uid: str) -> bool:
    """Say whether ``uid`` is made of digits and single dots and at most 64 characters long (PS3.5 §9.1).

    A component with leading zeros is against the standard, but real devices send it and it harms nobody: it is let
    through. Whatever is legal here is also safe as the name of a file or folder.
    """
    if not uid or len(uid) > MAX_LENGTH or _LEGAL.fullmatch(uid) is None or not uid.isascii():
        return False
    if logger.isEnabledFor(logging.DEBUG) and _LEADING_ZERO.search(uid):
        logger.debug("UID with leading zeros in a component", extra={"fields": {"uid": uid}})
    return True


def decode(value: bytes | None) -> str:
    """Give the text of a UI value without its padding (PS3.5 §6.2); what is not ASCII comes out as an illegal UID."""
    if not value:
        return ""
    return value.rstrip(b"\0 ").decode("ascii", "replace")
