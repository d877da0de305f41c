"""From a file to its data set: with or without a Part 10 header, in the character set that it is really in.

Read by the same parser as a modality's identifiers.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from django.utils.translation import gettext as _

from dicom_encoding.elements import LONG_VRS, TEXT_VRS
from dicom_encoding.syntaxes import EXPLICIT_LITTLE, IMPLICIT_LITTLE, SYNTAXES
from mwl_admin.entries.problems import Problem
from mwl_admin.wlfiles.file_errors import FileError
from mwl_admin.worklist.attributes import ATTRIBUTES, WorklistAttribute
from mwl_admin.worklist.charset import CharacterSet
from mwl_admin.worklist.identifier import Identifier, Key, parse
from mwl_admin.worklist.query_errors import IdentifierError

SUFFIXES = frozenset({".wl", ".dcm", ".wklist"})
"""How the names of worklist files end: those of wlmscpfs and Orthanc, and the general one."""

_PREAMBLE = 128
_META = 0x0002
_TRANSFER_SYNTAX = 0x0010
_ONE_BYTE = frozenset(f"ISO_IR {number}" for number in (100, 101, 109, 110, 126, 127, 138, 144, 148, 203))
"""Sets in whose languages no word happens to be UTF-8. Thai and half-width katakana have such words."""


def worklist_files(path: Path) -> Iterator[Path]:
    """Yield the worklist files at a path: the file itself, or those below a folder, by their names' endings."""
    if path.is_file():
        yield path
        return
    yield from sorted(found for found in path.rglob("*") if found.suffix.lower() in SUFFIXES and found.is_file())


def read_file(path: Path, assumed: CharacterSet | None = None) -> tuple[Identifier, list[Problem]]:
    """Read a worklist file; return its data set, and notes of what was assumed about it.

    ``assumed`` is the character set of files that name none, or one that they are not in.

    :raises FileError: it is no worklist file, or text in it can't be read for certain.
    """
    try:
        ds = _read(path.read_bytes())
    except OSError as error:
        raise FileError(Problem("", _("cannot be read: %(why)s") % {"why": error.strerror or ""})) from error
    except IdentifierError as error:
        raise FileError(Problem("", _("is not DICOM: %(why)s") % {"why": error})) from error
    return _in_character_set(ds, assumed)


def _read(data: bytes) -> Identifier:
    start = _PREAMBLE + 4 if data[_PREAMBLE : _PREAMBLE + 4] == b"DICM" else 0
    transfer_syntax, start = _meta(data, start)
    content = data[start:]
    if transfer_syntax not in SYNTAXES:
        # wlmscpfs takes bare data sets too; a VR after the first tag tells which of the two syntaxes it is.
        explicit = content[4:6].isalpha() and content[4:6].isupper()
        transfer_syntax = EXPLICIT_LITTLE if explicit else IMPLICIT_LITTLE
    return parse(content, transfer_syntax)


def _meta(data: bytes, offset: int) -> tuple[str, int]:
    """Return the transfer syntax and where the data set begins, whatever the group's length says, or if it is there."""
    transfer_syntax = ""
    while data[offset : offset + 2] == struct.pack("<H", _META):
        if len(data) < offset + 12:
            raise IdentifierError("The file ends inside its meta information")
        element, vr = struct.unpack_from("<H2s", data, offset + 2)
        long = vr in LONG_VRS
        length = struct.unpack_from("<L" if long else "<H", data, offset + (8 if long else 6))[0]
        start = offset + (12 if long else 8)
        offset = start + length
        if element == _TRANSFER_SYNTAX:
            transfer_syntax = data[start:offset].decode("ascii", "replace").strip("\0 ")
    return transfer_syntax, offset


def _in_character_set(ds: Identifier, assumed: CharacterSet | None) -> tuple[Identifier, list[Problem]]:
    broken = next(_broken(ds, ATTRIBUTES), None)
    if broken is None:
        return ds, []
    keyword, charset = broken
    if assumed is not None:
        ds = _decoded_as(ds, assumed)
        broken = next(_broken(ds, ATTRIBUTES), None)
        if broken is None:
            text = _("the file names %(named)s, and %(assumed)s was assumed.")
            named = charset.value or _("no character set")
            return ds, [Problem("SpecificCharacterSet", text % {"named": named, "assumed": assumed.value})]
        keyword, charset = broken
    if charset.value:
        text = _("is not written in %(charset)s, which the file names.") % {"charset": charset.value}
    else:
        text = _("is not ASCII, and the file names no character set.")
    hint = _("--character-set says what to assume.")
    raise FileError(Problem(keyword, f"{text} {hint}", "character_set"))


def _broken(ds: Identifier, attributes: Sequence[WorklistAttribute]) -> Iterator[tuple[str, CharacterSet]]:
    """Yield the texts that are not in the character set that is named, of all that would be taken."""
    for attribute in attributes:
        key = ds.get(attribute.tag)
        if key is None:
            continue
        for item in key.items or ():
            yield from _broken(item, attribute.children)
        if attribute.vr in TEXT_VRS and not _is_in(key, ds.charset, name=attribute.vr == "PN"):
            yield attribute.keyword, ds.charset


def _is_in(key: Key, charset: CharacterSet, *, name: bool) -> bool:
    if key.value.isascii() and b"\x1b" not in key.value:
        return True
    text = charset.decode(key.value, name=name)
    # The controls above 7F are in no text, but they are what Windows' letters and quotation marks become in Latin-1.
    if any(sign in "\ufffd\x1b" or "\x80" <= sign <= "\x9f" for sign in text):
        return False
    return not (charset.terms[0] in _ONE_BYTE and len(charset.terms) == 1 and _is_utf8(key.value))


def _is_utf8(value: bytes) -> bool:
    try:
        value.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


def _decoded_as(ds: Identifier, charset: CharacterSet) -> Identifier:
    keys = {
        tag: replace(key, items=tuple(_decoded_as(item, charset) for item in key.items)) if key.items else key
        for tag, key in ds.keys.items()
    }
    return Identifier(keys, charset)
