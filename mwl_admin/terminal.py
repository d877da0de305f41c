"""Text from outside on a terminal: what would steer the terminal, or turn its text around, is shown as its code."""

import unicodedata


def plain(text: str) -> str:
    """Return one line of text in which every control and format character is escaped.

    C0 and C1 controls start escape sequences; bidirectional controls and characters without width (Unicode category
    Cf) make a line read otherwise than it is written; lone surrogates can't be encoded.
    """
    return "".join(_escaped(character) if _steers(character) else character for character in text)


def _steers(character: str) -> bool:
    return unicodedata.category(character) in {"Cc", "Cf", "Cs", "Zl", "Zp"}


def _escaped(character: str) -> str:
    return character.encode("unicode_escape").decode("ascii")
