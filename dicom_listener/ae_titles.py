"""AE titles as settings and files of this product give them."""

from __future__ import annotations


def ae_title(text: str) -> str:
    """Parse an AE title (VR AE, PS3.5 §6.2): 1 to 16 characters of the default repertoire, no backslash, no control."""
    title = text.strip(" ")
    if not 1 <= len(title) <= 16:
        raise ValueError(f"{text!r} is not an AE title: it needs 1 to 16 characters")
    if any(not " " <= character <= "~" or character == "\\" for character in title):
        raise ValueError(f"{text!r} is not an AE title: only printable ASCII without backslash")
    return title


def ae_titles(text: str) -> frozenset[str]:
    """Parse a comma-separated list of AE titles; empty means no restriction."""
    return frozenset(ae_title(part) for part in text.split(",") if part.strip())
