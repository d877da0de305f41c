"""The identifier of a C-FIND request: from bytes to the keys that were asked for (PS3.4 C.2.2.1, PS3.5 section 7).

Own code and not pydicom's reader, which passes over values that end too early, guesses another transfer syntax and
recurses as deep as the sender likes: here each fault is told apart, since the modality's engineer reads its name.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import lru_cache

from pydicom.datadict import dictionary_VR

from mwl_admin.worklist.charset import CharacterSet, split_terms
from mwl_admin.worklist.errors import IdentifierError
from mwl_admin.worklist.syntax import ITEM, ITEM_END, LONG_VRS, MAX_INFLATED, SEQUENCE_END, SYNTAXES, UNDEFINED, Syntax

MAX_DEPTH = 16
MAX_KEYS = 4096

SPECIFIC_CHARACTER_SET = 0x00080005
_PADDING = "\0 "
_IMPLICIT = SYNTAXES["1.2.840.10008.1.2"]


@dataclass(frozen=True, slots=True)
class Key:
    """One element of an identifier.

    ``vr`` is what the request says, or the dictionary's where it says nothing. ``items`` is None unless the element is
    a sequence; ``value`` is then empty.
    """

    tag: int
    vr: str
    value: bytes = b""
    items: tuple[Identifier, ...] | None = None

    @property
    def name(self) -> str:
        """How the key is named to the peer, e.g. `(0040,0002)`."""
        return tag_name(self.tag)


@dataclass(frozen=True, slots=True)
class Identifier:
    """The keys of an identifier, or of one item of a sequence in it, by ascending tag."""

    keys: dict[int, Key] = field(default_factory=dict)
    charset: CharacterSet = field(default_factory=lambda: CharacterSet(()))

    @classmethod
    def in_unicode(cls, keys: dict[int, Key]) -> Identifier:
        """Return an identifier whose values are in UTF-8, whatever it says of character sets itself."""
        return cls(keys, CharacterSet(("ISO_IR 192",)))

    def __iter__(self) -> Iterator[Key]:
        return iter(self.keys.values())

    def get(self, tag: int) -> Key | None:
        """Return the key, or None when it is absent."""
        return self.keys.get(tag)

    def text(self, tag: int) -> str:
        """Return a key's value as text, without padding; empty when the key is absent."""
        key = self.keys.get(tag)
        if key is None or key.items is not None:
            return ""
        text = self.charset.decode(key.value, name=key.vr == "PN")
        return text.strip(_PADDING)

    def first_item(self, tag: int) -> Identifier | None:
        """Return the first item of a sequence: one item is all that a query's sequence has (PS3.4 C.2.2.2.6)."""
        key = self.keys.get(tag)
        return key.items[0] if key is not None and key.items else None


def tag_name(tag: int) -> str:
    """Write a tag as the standard does."""
    return f"({tag >> 16:04X},{tag & 0xFFFF:04X})"


def parse(
    data: bytes, transfer_syntax: str, *, max_keys: int = MAX_KEYS, max_inflated: int = MAX_INFLATED
) -> Identifier:
    """Read an identifier; raise :class:`IdentifierError` when it is none, or longer than ``max_inflated`` bytes."""
    syntax = SYNTAXES.get(transfer_syntax)
    if syntax is None:
        raise IdentifierError("The transfer syntax is not one for identifiers")
    try:
        found = _read(data, syntax, max_keys, max_inflated)
    except IdentifierError as error:
        _refuse_another_syntax(data, syntax, max_keys, max_inflated)
        raise error
    if found.keys and all(standard_vr(tag) == "UN" for tag in found.keys):
        # Read to the end by chance: what no dictionary has may still be a data set in another transfer syntax.
        _refuse_another_syntax(data, syntax, max_keys, max_inflated)
    return found


def _read(data: bytes, syntax: Syntax, max_keys: int, max_inflated: int) -> Identifier:
    inflated = syntax.unwrap(data, max_inflated)
    return _Reader(inflated, syntax, max_keys).data_set(0, len(inflated), depth=0, charset=CharacterSet(()))[0]


def _refuse_another_syntax(data: bytes, syntax: Syntax, max_keys: int, max_inflated: int) -> None:
    """Say so when what cannot be read is a data set of elements that are known in another transfer syntax."""
    for other in SYNTAXES.values():
        if other is syntax:
            continue
        try:
            found = _read(data, other, max_keys, max_inflated)
        except IdentifierError:
            continue
        if found.keys and all(standard_vr(tag) != "UN" or tag >> 16 & 1 for tag in found.keys):
            raise IdentifierError(f"The data set is in {other.name}, not in {syntax.name}")


@lru_cache(maxsize=4096)
def standard_vr(tag: int) -> str:
    """Return the dictionary's VR; `UN` for private and unknown tags."""
    try:
        return str(dictionary_VR(tag))[:2]  # "US or SS" is either
    except KeyError:
        return "UN"


class _Reader:
    """Walks one encoded identifier. Every method takes and returns offsets."""

    def __init__(self, data: bytes, syntax: Syntax, max_keys: int) -> None:
        self._data = data
        self._syntax = syntax
        self._max_keys = max_keys
        self._keys = 0

    def data_set(
        self, offset: int, end: int, *, depth: int, charset: CharacterSet, delimited: bool = False
    ) -> tuple[Identifier, int]:
        """Read elements up to ``end``, or to the item's delimiter when ``delimited``."""
        if depth > MAX_DEPTH:
            raise IdentifierError(f"Sequences are nested deeper than {MAX_DEPTH}")
        keys: dict[int, Key] = {}
        while offset < end:
            tag = self._tag(offset, end)
            if tag == ITEM_END and delimited:
                return _identifier(keys, charset), self._skip(offset, 8, end)
            if tag >> 16 == 0xFFFE:
                raise IdentifierError(f"An item delimiter {tag_name(tag)} where an element belongs")
            key, offset = self._element(offset, end, depth=depth, charset=charset)
            if tag == SPECIFIC_CHARACTER_SET:
                charset = _charset(key, charset)
            if tag & 0xFFFF:  # group lengths say nothing that is still true
                keys.setdefault(tag, key)
        if delimited:
            raise IdentifierError("An item has no end")
        return _identifier(keys, charset), offset

    def _element(self, offset: int, end: int, *, depth: int, charset: CharacterSet) -> tuple[Key, int]:
        self._keys += 1
        if self._keys > self._max_keys:
            raise IdentifierError(f"More than {self._max_keys} keys")
        tag, vr, length, offset = self._header(offset, end)
        syntax = self._syntax
        if vr == "UN":
            # PS3.5 6.2.2: what is inside is implicit VR, whatever is outside.
            vr = standard_vr(tag)
            syntax = _IMPLICIT if vr == "SQ" or length == UNDEFINED else syntax
        if vr == "SQ" or length == UNDEFINED:
            self._syntax, outer = syntax, self._syntax
            items, offset = self._sequence(tag, length, offset, end, depth=depth, charset=charset)
            self._syntax = outer
            return Key(tag, "SQ", items=items), offset
        stop = self._skip(offset, length, end, tag)
        return Key(tag, vr, bytes(self._data[offset:stop])), stop

    def _header(self, offset: int, end: int) -> tuple[int, str, int, int]:
        tag = self._tag(offset, end)
        order = self._syntax.order
        if self._syntax.implicit:
            start = self._skip(offset, 8, end, tag)
            return tag, standard_vr(tag), struct.unpack_from(order + "L", self._data, offset + 4)[0], start
        start = self._skip(offset, 8, end, tag)
        vr = self._data[offset + 4 : offset + 6].decode("ascii", "replace")
        if not (vr.isalpha() and vr.isupper() and vr.isascii()):
            raise IdentifierError(f"{tag_name(tag)} has no valid VR", tag)
        if vr not in LONG_VRS:
            return tag, vr, struct.unpack_from(order + "H", self._data, offset + 6)[0], start
        start = self._skip(offset, 12, end, tag)
        return tag, vr, struct.unpack_from(order + "L", self._data, offset + 8)[0], start

    def _sequence(
        self, tag: int, length: int, offset: int, end: int, *, depth: int, charset: CharacterSet
    ) -> tuple[tuple[Identifier, ...], int]:
        delimited = length == UNDEFINED
        stop = end if delimited else self._skip(offset, length, end, tag)
        items: list[Identifier] = []
        while offset < stop:
            found = self._tag(offset, stop)
            item_length = struct.unpack_from(
                self._syntax.order + "L", self._data, self._skip(offset, 8, stop, tag) - 4
            )[0]
            offset += 8
            if found == SEQUENCE_END and delimited:
                return tuple(items), offset
            if found != ITEM:
                raise IdentifierError(f"{tag_name(tag)} holds something that is no item", tag)
            undefined = item_length == UNDEFINED
            item_end = stop if undefined else self._skip(offset, item_length, stop, tag)
            item, offset = self.data_set(offset, item_end, depth=depth + 1, charset=charset, delimited=undefined)
            items.append(item)
        if delimited:
            raise IdentifierError(f"{tag_name(tag)} has no end", tag)
        return tuple(items), offset

    def _tag(self, offset: int, end: int) -> int:
        self._skip(offset, 8, end)
        group, element = struct.unpack_from(self._syntax.order + "HH", self._data, offset)
        return int(group << 16 | element)

    def _skip(self, offset: int, length: int, end: int, tag: int | None = None) -> int:
        stop = offset + length
        if stop <= end:
            return stop
        if tag is None:
            raise IdentifierError("The identifier ends inside an element")
        raise IdentifierError(f"{tag_name(tag)} is longer than what holds it", tag)


def _identifier(keys: dict[int, Key], charset: CharacterSet) -> Identifier:
    return Identifier(dict(sorted(keys.items())), charset)


def _charset(key: Key, inherited: CharacterSet) -> CharacterSet:
    value = key.value.decode("ascii", "replace").strip(_PADDING)
    return CharacterSet(split_terms(value)) if value else inherited
