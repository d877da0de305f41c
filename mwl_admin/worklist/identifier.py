"""The identifier of a C-FIND request: from bytes to the keys that were asked for (PS3.4 §C.2.2.1, PS3.5 §7).

The walk is that of all readers (:mod:`dicom_encoding.walk`); here each fault is told apart, since the modality's
engineer reads its name.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from dicom_encoding.elements import ITEM_GROUP, LONG_VRS, SHORT_VRS, standard_vr, tag_name
from dicom_encoding.faults import Fault, MalformedDataSet, NestedTooDeep
from dicom_encoding.syntaxes import SYNTAXES, InflatesTooFar, NotDeflated, Syntax
from dicom_encoding.walk import Kind, Walk
from mwl_admin.worklist.charset import CharacterSet, split_terms
from mwl_admin.worklist.query_errors import IdentifierError, NestingError

MAX_KEYS = 4096
MAX_NESTING = 32
"""How deep sequences may nest where no setting says otherwise; ``MWL_MAX_NESTING`` has the same default."""
MAX_INFLATED = 1024 * 1024
"""What a deflated identifier may grow to unless a setting says otherwise, in bytes: no query is that large."""

SPECIFIC_CHARACTER_SET = 0x00080005
_PADDING = "\0 "


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
        """Return the first item of a sequence: one item is all that a query's sequence has (PS3.4 §C.2.2.2.6)."""
        key = self.keys.get(tag)
        return key.items[0] if key is not None and key.items else None


def parse(
    data: bytes,
    transfer_syntax: str,
    *,
    max_keys: int = MAX_KEYS,
    max_inflated: int = MAX_INFLATED,
    max_nesting: int = MAX_NESTING,
) -> Identifier:
    """Read an identifier.

    :raises IdentifierError: when it is none, or longer than ``max_inflated`` bytes.
    :raises NestingError: when its sequences nest deeper than ``max_nesting``.
    """
    syntax = SYNTAXES.get(transfer_syntax)
    if syntax is None:
        raise IdentifierError("The transfer syntax is not one for identifiers")
    limits = _Limits(max_keys, max_inflated, max_nesting)
    try:
        found = _read(data, syntax, limits)
    except IdentifierError as error:
        _refuse_another_syntax(data, syntax, limits)
        raise error
    if found.keys and all(standard_vr(tag) == "UN" for tag in found.keys):
        # Read to the end by chance: what no dictionary has may still be a data set in another transfer syntax.
        _refuse_another_syntax(data, syntax, limits)
    return found


@dataclass(frozen=True, slots=True)
class _Limits:
    keys: int
    inflated: int
    nesting: int


def _read(data: bytes, syntax: Syntax, limits: _Limits) -> Identifier:
    try:
        inflated = syntax.unwrap(data, limits.inflated)
    except NotDeflated:
        raise IdentifierError("The deflated identifier cannot be inflated") from None
    except InflatesTooFar:
        raise IdentifierError(f"The identifier is longer than {limits.inflated} bytes when inflated") from None
    reader = _Reader(syntax, limits)
    try:
        reader.run(inflated)
    except NestedTooDeep as error:
        raise NestingError(str(error), error.tag) from None
    except MalformedDataSet as error:
        raise reader.told(error) from None
    return reader.identifier()


def _refuse_another_syntax(data: bytes, syntax: Syntax, limits: _Limits) -> None:
    """Say so when what cannot be read is a data set of elements that are known in another transfer syntax."""
    for other in SYNTAXES.values():
        if other is syntax:
            continue
        try:
            found = _read(data, other, limits)
        except IdentifierError:
            continue
        if found.keys and all(standard_vr(tag) != "UN" or tag >> 16 & 1 for tag in found.keys):
            raise IdentifierError(f"The data set is in {other.name}, not in {syntax.name}")


class _Reader(Walk):
    """Makes keys of what the walk finds."""

    every = True

    def __init__(self, syntax: Syntax, limits: _Limits) -> None:
        super().__init__(syntax.uid, limits.nesting)
        self._max_keys = limits.keys
        self._count = 0
        self._keys: dict[int, Key] = {}  # of the data set, or of the innermost item
        self._charset = CharacterSet(())
        self._outer: list[tuple[dict[int, Key], CharacterSet]] = []  # of what holds the innermost item
        self._sequences: list[tuple[int, list[Identifier]]] = []

    def identifier(self) -> Identifier:
        """Return what was read, or the innermost item."""
        return Identifier(dict(sorted(self._keys.items())), self._charset)

    def element(self, tag: int, vr: bytes, value: bytes) -> None:
        self._counted()
        name = _VR_NAMES.get(vr) or vr.decode("ascii")
        self._add(Key(tag, standard_vr(tag) if name in ("", "UN") else name, value))
        if tag == SPECIFIC_CHARACTER_SET:
            self._charset = _charset(value, self._charset)

    def fragments(self, tag: int, vr: bytes) -> None:
        self.element(tag, vr, b"")

    def opened(self, tag: int, offset: int) -> None:
        self._counted()
        self._sequences.append((tag, []))

    def item_began(self) -> None:
        self._outer.append((self._keys, self._charset))
        self._keys = {}

    def item_ended(self) -> None:
        self._sequences[-1][1].append(self.identifier())
        self._keys, self._charset = self._outer.pop()

    def closed(self) -> None:
        tag, items = self._sequences.pop()
        self._add(Key(tag, "SQ", items=tuple(items)))

    def _add(self, key: Key) -> None:
        if key.tag & 0xFFFF:  # group lengths say nothing that is still true
            self._keys.setdefault(key.tag, key)

    def _counted(self) -> None:
        self._count += 1
        if self._count > self._max_keys:
            raise IdentifierError(f"More than {self._max_keys} keys")

    def told(self, error: MalformedDataSet) -> IdentifierError:
        """Return the fault in words for the modality's engineer, who reads its name."""
        in_item = bool(self._frames) and self._frames[-1][0] is Kind.ITEM
        holder = self._sequences[-1][0] if self._sequences else 0
        if error.fault in _WITHOUT_END:
            return IdentifierError("An item has no end") if in_item else _about(holder, "{} has no end")
        is_delimiter = error.tag >> 16 == ITEM_GROUP
        if holder and not in_item and (is_delimiter or error.fault is Fault.NO_ITEM):
            return _about(holder, "{} holds something that is no item")
        if is_delimiter:
            return IdentifierError(f"An item delimiter {tag_name(error.tag)} where an element belongs")
        return _about(error.tag, _WORDS.get(error.fault) or f"{{}}: {error.fault}")


_WITHOUT_END = frozenset({Fault.NO_END, Fault.ENDS_IN_SEQUENCE})
_WORDS = {
    Fault.NO_VR: "{} has no valid VR",
    Fault.ODD_VR: "{} has no valid VR",
    Fault.TOO_LONG: "{} is longer than what holds it",
    Fault.ENDS_IN_ELEMENT: "The identifier ends inside an element",
}


def _about(tag: int, text: str) -> IdentifierError:
    """Return the error that ``text`` tells of, with the element's name where it says {}."""
    return IdentifierError(text.format(tag_name(tag))[:64], *([tag] if "{}" in text else []))


_VR_NAMES = {vr: vr.decode() for vr in (*SHORT_VRS, *LONG_VRS, b"")}


def _charset(value: bytes, inherited: CharacterSet) -> CharacterSet:
    text = value.decode("ascii", "replace").strip(_PADDING)
    return CharacterSet(split_terms(text)) if text else inherited
