"""Person names (VR PN, PS3.5 §6.2.1) and the keys by which they are found.

Databases differ in what they hold to be the same letter, so the comparison is made here, once, for site and receiver.
The site stores its result beside the name: SQLite and PostgreSQL then answer alike.
"""

import unicodedata
from collections.abc import Iterable

# Letters that Unicode does not take apart into a base letter and a mark.
_PLAIN = str.maketrans(
    {"ß": "ss", "æ": "ae", "œ": "oe", "ø": "o", "đ": "d", "ð": "d", "ł": "l", "ħ": "h", "ŧ": "t", "þ": "th", "ı": "i"}
)


def join(parts: Iterable[str], separator: str = "^") -> str:
    """Components or groups in one string, trailing empty ones left out."""
    return separator.join(parts).rstrip(separator)


def key(name: str) -> str:
    """What a name is compared by when case does not matter.

    Trailing empty components and groups, and spaces around components, carry no meaning.
    """
    if not name:
        return ""
    folded = name.lower() if name.isascii() else _casefold(name)
    return join((join(part.strip(" ") for part in group.split("^")) for group in folded.split("=")), "=")


def folded(name: str) -> str:
    """What a name is compared by when neither case nor accents matter."""
    plain = key(name)
    if plain.isascii():
        return plain
    apart = unicodedata.normalize("NFD", plain)
    # Only marks on Latin, Greek and Cyrillic letters are accents; a Japanese voicing mark makes another sound.
    kept = "".join(sign for sign in apart if not "\u0300" <= sign <= "\u036f")
    return unicodedata.normalize("NFC", kept).translate(_PLAIN)


def _casefold(name: str) -> str:
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).casefold())
