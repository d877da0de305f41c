"""Text from outside on a terminal: what would steer the terminal, or turn its text around, is shown as its code."""

from __future__ import annotations

import unicodedata

_INVISIBLE = frozenset(
    map(
        chr,
        (
            *(0x061C, 0x200B, 0x200E, 0x200F, 0xFEFF),
            *range(0x202A, 0x202F),  # embeddings and overrides of direction
            *range(0x2060, 0x2070),  # isolates of direction, and what has no width
            *range(0xE0000, 0xE0080),  # tags
        ),
    )
)
"""What makes a line read otherwise than it is written. Joiners, which some scripts need, are not among these."""


def plain(text: str) -> str:
    """Return one line of text in which every control is written as its code, in the way of JSON.

    C0 and C1 controls start escape sequences, bidirectional controls reorder a line, and lone surrogates can't be
    encoded.
    """
    return "".join(_code(character) if _steers(character) else character for character in text)


def _steers(character: str) -> bool:
    return character in _INVISIBLE or unicodedata.category(character) in {"Cc", "Cs", "Zl", "Zp"}


def _code(character: str) -> str:
    number = ord(character)
    if number < 0x10000:
        return f"\\u{number:04x}"
    high, low = divmod(number - 0x10000, 0x400)
    return f"\\u{0xD800 + high:04x}\\u{0xDC00 + low:04x}"
