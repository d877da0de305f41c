"""Text to bytes and back in every character set that DICOM defines (PS3.3 §C.12.1.1.2, PS3.5 §6.1).

The codecs and the code extensions are pydicom's. What it leaves to its caller is decided here: what a set cannot carry
becomes a visible `?`, the default repertoire is ASCII and no more, and nothing that a peer sends raises.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Sequence
from functools import lru_cache

from pydicom import charset as codecs
from pydicom.valuerep import PN_DELIMS, TEXT_VR_DELIMS

DEFAULT_TERM = "ISO_IR 192"
"""What responses are encoded in when a station has no set of its own."""

_LATIN_9 = {"ISO_IR 203": "iso8859_15", "ISO 2022 IR 203": "iso8859_15"}
_CODECS: dict[str, str] = {**codecs.python_encoding, **_LATIN_9}
"""Codecs by defined term: pydicom's, and Latin 9, which is newer than its table."""

_ASCII = "ascii"
_ASCII_ESCAPE = b"\x1b(B"
_GB2312 = "iso_ir_58"
_GB2312_ESCAPE = b"\x1b$)A"
_FRAGMENTS = re.compile(rb"[^\x1b]+|\x1b[^\x1b]*")
_REPLACEMENT = "?"


class CharacterSet:
    """The character sets that one data set is written in: the values of Specific Character Set (0008,0005).

    ``terms`` are defined terms of PS3.3 §C.12.1.1.2; the first may be empty. A term that is not known counts as the
    default repertoire, and ``known`` is then false.
    """

    def __init__(self, terms: Sequence[str]) -> None:
        self.terms = tuple(terms) or ("",)
        self.known = all(term in _CODECS for term in self.terms)
        self._encodings = _encodings(self.terms)

    @property
    def value(self) -> str:
        """The value of (0008,0005), empty for the default repertoire, which needs no naming."""
        return "" if self.terms in {("",), ("ISO_IR 6",)} else "\\".join(self.terms)

    def encode(self, text: str) -> bytes:
        """Encode text of one value of SH, LO, ST, LT, UC or UT, or one component of PN."""
        if text.isascii():
            return text.encode(_ASCII)
        return _encode(text, self._encodings)

    def encode_name(self, text: str) -> bytes:
        """Encode a value of PN: each component by itself, since `^` and `=` end a code extension (PS3.5 §6.1.2.5.3)."""
        if text.isascii():
            return text.encode(_ASCII)
        return b"=".join(b"^".join(self.encode(part) for part in group.split("^")) for group in text.split("="))

    def encode_values(self, text: str) -> bytes:
        """Encode values separated by backslashes."""
        if text.isascii():
            return text.encode(_ASCII)
        return b"\\".join(self.encode(value) for value in text.split("\\"))

    def decode(self, value: bytes, *, name: bool = False) -> str:
        """Decode an element's value; what cannot be decoded becomes U+FFFD, which no stored value contains."""
        if value.isascii() and b"\x1b" not in value:
            return value.decode(_ASCII)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what a modality sends is not worth a warning in this process
            delimiters = set(PN_DELIMS if name else TEXT_VR_DELIMS)
            fragments = _FRAGMENTS.findall(value)
            text = "".join(_decode(fragment, self._encodings, delimiters) for fragment in fragments)
        return text.encode("utf-8", "replace").decode("utf-8")

    def loses(self, text: str) -> frozenset[str]:
        """Return the characters that :meth:`encode` would replace."""
        return frozenset(sign for sign in text if not _carried(sign, self._encodings))


def split_terms(value: str) -> tuple[str, ...]:
    """Return the values of a Specific Character Set element."""
    terms = (term.strip(" ") for term in value.split("\\"))
    # A common slip of the pen: ISO-IR 100, ISO IR 100.
    return tuple(re.sub(r"^ISO[- ]IR", "ISO_IR", term) for term in terms)


@lru_cache(maxsize=64)
def _encodings(terms: tuple[str, ...]) -> tuple[str, ...]:
    found = [_CODECS.get(term, codecs.default_encoding) for term in terms]
    if terms[0] in codecs.STAND_ALONE_ENCODINGS:
        found = found[:1]  # these allow no code extensions
    # For pydicom the default repertoire is Latin-1, so that é would leave in a set that does not have it.
    return tuple(_ASCII if encoding == codecs.default_encoding else encoding for encoding in found)


def _decode(fragment: bytes, encodings: tuple[str, ...], delimiters: set[int]) -> str:
    if fragment.startswith(_GB2312_ESCAPE) and _GB2312 in encodings:
        # pydicom leaves this escape to the codec, which does not know it.
        return fragment.removeprefix(_GB2312_ESCAPE).decode(_GB2312, "replace")
    try:
        return codecs.decode_bytes(fragment, encodings, delimiters)
    except (UnicodeError, LookupError):
        return fragment.decode(_ASCII, "replace")


@lru_cache(maxsize=16384)
def _carried(character: str, encodings: tuple[str, ...]) -> bool:
    return any(_encoded(character, encoding) is not None for encoding in encodings)


def _encoded(text: str, encoding: str) -> bytes | None:
    try:
        # The part of pydicom that knows which half of JIS X 0201 and which plane of JIS a set may use.
        encoded: bytes = codecs._encode_string_impl(text, encoding)
    except UnicodeError:
        return None
    return encoded


@lru_cache(maxsize=4096)
def _encode(text: str, encodings: tuple[str, ...]) -> bytes:
    carried = "".join(sign if _carried(sign, encodings) else _REPLACEMENT for sign in text)
    for index, encoding in enumerate(encodings):
        encoded = _encoded(carried, encoding)
        if encoded is not None:
            start = _escape(encoding, encoded) if index else b""
            return start + encoded + _end(encoding, encodings)
    return _encode_parts(carried, encodings)


def _encode_parts(text: str, encodings: tuple[str, ...]) -> bytes:
    """Encode text that needs several sets, each part in the set that carries the longest part (PS3.5 §6.1.2.5)."""
    if len(encodings) == 1:
        # JIS X 0201: its two halves are G0 and G1, and one value may hold both without an escape.
        return b"".join(_encoded(sign, encodings[0]) or b"" for sign in text)
    written = b""
    encoding = encodings[0]
    while text:
        length, encoding = max(
            ((_prefix(text, encoding), encoding) for encoding in encodings), key=lambda candidate: candidate[0]
        )
        encoded = _encoded(text[:length], encoding) or b""
        written += _escape(encoding, encoded) + encoded
        text = text[length:]
    return written + _end(encoding, encodings)


def _prefix(text: str, encoding: str) -> int:
    """Return how many of the first characters the set carries without another escape."""
    try:
        codecs._encode_string_impl(text, encoding)
    except UnicodeError as error:
        return error.start if isinstance(error, UnicodeEncodeError) else 0
    return len(text)


def _escape(encoding: str, encoded: bytes) -> bytes:
    if encoding == _ASCII:
        return _ASCII_ESCAPE
    if encoding == _GB2312:
        return _GB2312_ESCAPE
    if encoding in codecs.handled_encodings:
        return b""  # the codec writes it
    escape: bytes = codecs._get_escape_sequence_for_encoding(encoding, encoded)
    return escape


def _end(encoding: str, encodings: tuple[str, ...]) -> bytes:
    """Return what makes ASCII the G0 set again, where the value left it (PS3.5 §6.1.2.5.3)."""
    if encoding not in codecs.need_tail_escape_sequence_encodings:
        return b""
    first = encodings[0]
    return _ASCII_ESCAPE if first == _ASCII else codecs._get_escape_sequence_for_encoding(first)
