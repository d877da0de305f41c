"""From a row to the identifier of a pending response: compiled once per query, then only bytes are put together.

No data set is built per row: the identifier that a query asks for has the same elements each time, so that headers,
empty elements and unsupported keys are made once (PS3.4 §C.4.1.1.3.2, PS3.5 §7).
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from dicom_encoding.elements import LONG_VRS, SHORT_LIMIT, TEXT_VRS, WHOLE_VRS
from dicom_encoding.syntaxes import Syntax
from mwl_admin.worklist.attributes import (
    ATTRIBUTES,
    SPECIFIC_CHARACTER_SET,
    STEP_SEQUENCE,
    WorklistAttribute,
)
from mwl_admin.worklist.charset import CharacterSet
from mwl_admin.worklist.identifier import Identifier, Key
from mwl_admin.worklist.values import ResponseContext, no_items

Row = Sequence[Any]
Part = Callable[[Row], bytes]


@dataclass(slots=True)
class ResponsePlan:
    """How each row of one query becomes an identifier.

    ``columns`` are the columns of a row, in order; ``unsupported`` tells that a requested key is not supported, which
    makes the pending status FF01.
    """

    columns: tuple[str, ...]
    unsupported: bool
    encode: Callable[[Row], bytes]


@dataclass(slots=True)
class _Compiler:
    syntax: Syntax
    charset: CharacterSet
    context: ResponseContext
    omitted: frozenset[str]
    columns: dict[str, int] = field(default_factory=dict)
    unsupported: bool = False
    expanded: list[bool] = field(default_factory=lambda: [False])
    """Whether the present row needed more than the default repertoire."""

    def column(self, name: str) -> int:
        return self.columns.setdefault(name, len(self.columns))

    def data_set(
        self, requested: Iterable[Key], supported: Sequence[WorklistAttribute], place: _Place
    ) -> list[bytes | Part]:
        """Return the parts of a data set: what was asked for, and what always is sent, by ascending tag."""
        asked = {key.tag: key for key in requested}
        known = {attribute.tag: attribute for attribute in supported}
        always = {tag for tag, attribute in known.items() if attribute.always}
        parts: list[bytes | Part] = []
        for tag in sorted(asked.keys() | always):
            if tag == SPECIFIC_CHARACTER_SET:
                continue
            attribute, key = known.get(tag), asked.get(tag)
            if attribute is None:
                self.unsupported = True
                parts.append(self.syntax.header(tag, asked[tag].vr, 0))
            elif tag == STEP_SEQUENCE:
                parts.append(self.step(attribute, key))
            elif attribute.items is not None:
                parts.append(self.sequence(attribute, key))
            else:
                parts.append(self.element(attribute, place(attribute), asked_for=place.explicit))
        return parts

    def step(self, attribute: WorklistAttribute, key: Key | None) -> Part:
        """The Scheduled Procedure Step Sequence: one item, since every step has a response of its own."""
        place = _Columns(self)
        requested: Iterable[Key] = key.items[0] if key is not None and key.items else ()
        if key is not None and not list(requested):
            # An empty sequence, or one empty item, asks for all of the step (PS3.4 §C.2.2.2.6).
            place.explicit = False
            requested = _all(attribute.children)
        content = self.joined(self.data_set(requested, attribute.children, place))
        header, item = self.syntax.header, self.syntax.item

        def encode(row: Row) -> bytes:
            step = item(content(row))
            return header(STEP_SEQUENCE, "SQ", len(step)) + step

        return encode

    def sequence(self, attribute: WorklistAttribute, key: Key | None) -> bytes | Part:
        """A sequence whose items come from the row; without items it is left out (1C) or has zero length (2)."""
        none = b"" if self._left_out(attribute) or "C" in attribute.return_type else self.header(attribute, 0)
        if not attribute.children:
            return none
        requested: Iterable[Key] = key.items[0] if key is not None and key.items else ()
        place = _Children(attribute.children)
        if not list(requested):
            requested = _all(attribute.children)
            place.explicit = False
        content = self.joined(self.data_set(requested, attribute.children, place))
        indexes = [self.column(column) for column in attribute.columns]
        items, context, item, header = attribute.items or no_items, self.context, self.syntax.item, self.header

        def encode(row: Row) -> bytes:
            found = items(context, *[row[index] for index in indexes])
            if not found:
                return none
            written = b"".join([item(content(values)) for values in found])
            return header(attribute, len(written)) + written

        return encode

    def element(self, attribute: WorklistAttribute, value: Callable[[Row], str | None], *, asked_for: bool) -> Part:
        """An element of text; one without a value has zero length, or is left out where it may be."""
        may_be_absent = not asked_for and "C" in attribute.return_type
        empty = b"" if self._left_out(attribute) or may_be_absent else self.header(attribute, 0)
        to_bytes = self._to_bytes(attribute)
        pad = b"\0" if attribute.vr == "UI" else b" "
        headers: dict[int, bytes] = {}

        def encode(row: Row) -> bytes:
            text = value(row)
            if not text:
                return empty
            written = to_bytes(text)
            if len(written) & 1:
                written += pad
            length = len(written)
            try:
                return headers[length] + written
            except KeyError:
                headers[length] = self.header(attribute, length)
                return headers[length] + written

        return encode

    def _to_bytes(self, attribute: WorklistAttribute) -> Callable[[str], bytes]:
        vr = attribute.vr
        if vr == "US":
            order = self.syntax.order
            return lambda text: struct.pack(order + "H", int(text))
        if vr not in TEXT_VRS:
            return lambda text: text.encode("ascii", "replace")
        charset, expanded = self.charset, self.expanded
        encode = (
            charset.encode_name
            if vr == "PN"
            else charset.encode_values
            if attribute.multiple and vr not in WHOLE_VRS
            else charset.encode
        )
        limited = vr.encode() not in LONG_VRS and not self.syntax.implicit

        def to_bytes(text: str) -> bytes:
            if not text.isascii():
                expanded[0] = True
            written = encode(text)
            # Only many lines of allergies come here: the header's length has 16 bits.
            return written[:SHORT_LIMIT] if limited and len(written) > SHORT_LIMIT else written

        return to_bytes

    def header(self, attribute: WorklistAttribute, length: int) -> bytes:
        return self.syntax.header(attribute.tag, attribute.vr, length)

    def _left_out(self, attribute: WorklistAttribute) -> bool:
        return attribute.keyword in self.omitted

    @staticmethod
    def joined(parts: Sequence[bytes | Part]) -> Part:
        """Return one part for many, with neighbouring constants put together."""
        merged: list[bytes | Part] = []
        for part in parts:
            if isinstance(part, bytes) and merged and isinstance(merged[-1], bytes):
                merged[-1] += part
            else:
                merged.append(part)
        calls = [_constant(part) if isinstance(part, bytes) else part for part in merged]
        return lambda row: b"".join([call(row) for call in calls])


class _Place:
    """Where an attribute's value is found in a row; ``explicit`` unless the key was put in for an empty sequence."""

    explicit = True

    def __call__(self, attribute: WorklistAttribute) -> Callable[[Row], str | None]:
        raise NotImplementedError


class _Columns(_Place):
    """In the columns that the table names."""

    def __init__(self, compiler: _Compiler) -> None:
        self._compiler = compiler

    def __call__(self, attribute: WorklistAttribute) -> Callable[[Row], str | None]:
        indexes = [self._compiler.column(column) for column in attribute.columns]
        compose, context = attribute.compose, self._compiler.context
        if compose is None:
            (index,) = indexes
            return lambda row: row[index]
        if len(indexes) == 1:
            (index,) = indexes
            return lambda row: compose(context, row[index])
        return lambda row: compose(context, *[row[index] for index in indexes])


class _Children(_Place):
    """In the item itself, by the order of the sequence's attributes."""

    def __init__(self, children: Sequence[WorklistAttribute]) -> None:
        self._index = {child.keyword: index for index, child in enumerate(children)}

    def __call__(self, attribute: WorklistAttribute) -> Callable[[Row], str | None]:
        index = self._index[attribute.keyword]
        return lambda values: values[index]


def _constant(part: bytes) -> Part:
    return lambda _row: part


def _all(attributes: Sequence[WorklistAttribute]) -> list[Key]:
    return [Key(attribute.tag, attribute.vr) for attribute in attributes if attribute.return_type != "3"]


def compile_plan(
    identifier: Identifier,
    syntax: Syntax,
    charset: CharacterSet,
    context: ResponseContext,
    *,
    omitted: frozenset[str] = frozenset(),
    first: Sequence[str] = (),
) -> ResponsePlan:
    """Return how the rows of a query become identifiers.

    ``omitted`` are keywords of attributes that are left out when they have no value; ``first`` are columns that the
    caller wants at the beginning of each row.
    """
    compiler = _Compiler(syntax, charset, context, omitted)
    for column in first:
        compiler.column(column)
    asked = identifier.get(SPECIFIC_CHARACTER_SET) is not None
    place = _Columns(compiler)
    before = compiler.joined(
        compiler.data_set((key for key in identifier if key.tag < SPECIFIC_CHARACTER_SET), (), place)
    )
    after = compiler.joined(
        compiler.data_set((key for key in identifier if key.tag > SPECIFIC_CHARACTER_SET), ATTRIBUTES, place)
    )
    named = _charset_element(charset, syntax)
    expanded, wrap = compiler.expanded, syntax.wrap

    def encode(row: Row) -> bytes:
        expanded[0] = False
        rest = after(row)
        return wrap(before(row) + (named if asked or expanded[0] else b"") + rest)

    return ResponsePlan(tuple(compiler.columns), compiler.unsupported, encode)


def _charset_element(charset: CharacterSet, syntax: Syntax) -> bytes:
    # Never of zero length (PS3.4 §C.2.2.2): the default repertoire is told by leaving it out.
    value = charset.value.encode("ascii")
    value += b" " * (len(value) % 2)
    return syntax.header(SPECIFIC_CHARACTER_SET, "CS", len(value)) + value if value else b""
