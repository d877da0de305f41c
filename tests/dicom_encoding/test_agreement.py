"""The same bytes go through every reader that walks an encoded data set: they agree on what they take and what it says.

Data sets are generated, legal ones and damaged ones: in three transfer syntaxes, with lengths defined and undefined,
private UN of undefined length, VRs of later editions, sequences in sequences. Legal ones agree with pydicom too.
``AGREEMENT_EXAMPLES`` says how many of each there are.
"""

from __future__ import annotations

import os
import warnings
from io import BytesIO
from typing import Any

from hypothesis import HealthCheck, assume, event, given, settings
from hypothesis import strategies as st
from pydicom import Dataset, config
from pydicom.filereader import read_dataset

from dicom_encoding.faults import MalformedDataSet, NestedTooDeep
from dicom_encoding.walk import check_nesting
from mwl_admin.mpps import dataset as mpps
from mwl_admin.worklist.identifier import Identifier, parse
from mwl_admin.worklist.query_errors import IdentifierError, NestingError
from pacs_receiver.header import Scan
from pacs_receiver.indexed_attributes import WANTED
from pacs_receiver.oddities import Malformed
from tests.dicom_encoding.making import BIG, EXPLICIT, IMPLICIT, UNDEFINED, element, head, item, sequence

EXAMPLES = int(os.environ.get("AGREEMENT_EXAMPLES", "150"))
LONG_RUN = settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=[HealthCheck.too_slow])
SYNTAXES = st.sampled_from([EXPLICIT, IMPLICIT, BIG])
DEEP = 5

Tree = dict[int, Any]
"""What a data set says: a value, or a list of items, by tag."""

PLAIN = {
    0x00080018: "UI", 0x00080050: "SH", 0x00080060: "CS", 0x00081030: "LO", 0x00100010: "PN", 0x00100020: "LO",
    0x00104000: "LT", 0x0020000D: "UI", 0x00280010: "US", 0x00291001: "LO", 0x00291002: "OB", 0x00291003: "UN",
    0x00400400: "LT", 0x0040A160: "UT", 0x00420011: "OB",
}  # fmt: skip
LATER = 0x00291009
SEQUENCES = (0x00081140, 0x00400100, 0x00400275, 0x50002600)
PRIVATE_SEQUENCE, PRIVATE_UNKNOWN = 0x00291020, 0x00291021

values = st.binary(max_size=6).map(lambda value: value + b"\0" * (len(value) % 2))
plain = st.tuples(st.sampled_from(sorted(PLAIN)), values)
later = st.tuples(st.just(LATER), values)


def _nodes(items: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    form = st.tuples(st.booleans(), st.booleans(), st.booleans())  # undefined, items undefined, written as UN
    tags = st.sampled_from((*SEQUENCES, PRIVATE_SEQUENCE, PRIVATE_UNKNOWN))
    return st.tuples(tags, st.lists(items, max_size=2), form)


def _data_sets(nodes: st.SearchStrategy[Any]) -> st.SearchStrategy[list[Any]]:
    return st.lists(nodes, max_size=5, unique_by=lambda node: node[0]).map(lambda found: sorted(found, key=_tag))


def _tag(node: Any) -> int:
    return int(node[0])


data_sets = _data_sets(st.recursive(plain, lambda inner: st.one_of(plain, _nodes(_data_sets(inner))), max_leaves=12))
odder_sets = _data_sets(
    st.recursive(
        st.one_of(plain, later), lambda inner: st.one_of(plain, later, _nodes(_data_sets(inner))), max_leaves=12
    )
)


def encode(nodes: list[Any], syntax: str) -> bytes:
    return b"".join(_encoded(node, syntax) for node in nodes)


def _encoded(node: Any, syntax: str) -> bytes:
    tag, content, *rest = node
    if not rest:
        return element(tag, PLAIN.get(tag, "ZZ"), content, syntax)
    undefined, items_undefined, unknown = rest[0]
    is_private = tag in (PRIVATE_SEQUENCE, PRIVATE_UNKNOWN)
    # Nothing tells that a private element is a sequence but its VR or its undefined length.
    unknown = tag == PRIVATE_UNKNOWN or (unknown and not is_private)
    undefined = undefined or (is_private and (unknown or syntax == IMPLICIT))
    inner = IMPLICIT if unknown else syntax
    items = [item(encode(nodes, inner), inner, undefined=items_undefined) for nodes in content]
    vr = "UN" if unknown else "SQ"
    return sequence(tag, *items, syntax=syntax, vr=vr, undefined=undefined, inner=inner)


def tree_of(nodes: list[Any]) -> Tree:
    return {tag: [tree_of(item) for item in content] if rest else content for tag, content, *rest in nodes}


def depth_of(tree: Tree) -> int:
    found = [1 + max(map(depth_of, value), default=0) for value in tree.values() if isinstance(value, list)]
    return max(found, default=0)


# the readers


class Whole(Scan):
    """The receiver's scan without its short cut past sequences that can't nest too deep."""

    skims = False


def read_by_listener(data: bytes, syntax: str, limit: int) -> str:
    """Return why it is refused, empty when it is not."""
    try:
        check_nesting(data, syntax, limit)
    except NestedTooDeep:
        return "too deep"
    except MalformedDataSet as error:
        return str(error)
    return ""


def read_by_worklist(data: bytes, syntax: str, limit: int) -> Tree | str:
    try:
        return _said(parse(data, syntax, max_nesting=limit))
    except NestingError:
        return "too deep"
    except IdentifierError as error:
        return error.comment


def _said(identifier: Identifier) -> Tree:
    return {key.tag: key.value if key.items is None else [_said(nested) for nested in key.items] for key in identifier}


def read_by_mpps(data: bytes, syntax: str) -> Any:
    """Return the tags of the data set and of its items, or why it is refused."""
    try:
        return _tags(mpps.read(data, syntax))
    except IdentifierError as error:
        return error.comment


def _tags(ds: dict[str, Any]) -> dict[int, Any]:
    return {
        int(tag, 16): [_tags(nested) for nested in found.get("Value", [])] if found["vr"] == "SQ" else None
        for tag, found in ds.items()
    }


def tags_of(tree: Tree) -> dict[int, Any]:
    """Return the same without values, and without Specific Character Set, which DICOM JSON has none of."""
    return {
        tag: [tags_of(nested) for nested in value] if isinstance(value, list) else None
        for tag, value in tree.items()
        if tag != 0x00080005
    }


def read_by_receiver(
    data: bytes, syntax: str, limit: int, *, piece: int, kind: type[Scan] = Scan, strict: bool = False
) -> dict[int, bytes] | str:
    scan = kind(syntax, max_nesting=limit, refuse_odd=strict)
    try:
        for start in range(0, len(data), piece):
            scan.feed(memoryview(data)[start : start + piece])
        scan.finish()
    except Malformed as error:
        return "too deep" if isinstance(error.__cause__, NestedTooDeep) else str(error)
    return scan.values


def read_by_pydicom(data: bytes, syntax: str) -> Tree:
    with config.disable_value_validation(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it converts values too, which are any bytes here
        return _converted(read_dataset(BytesIO(data), syntax == IMPLICIT, syntax != BIG))


def _converted(ds: Dataset) -> Tree:
    found: Tree = {}
    for tag in ds.keys():  # noqa: SIM118 - a Dataset yields elements
        raw = ds.get_item(tag)
        value = raw.value if raw is not None and raw.is_raw else ds[tag].value
        if ds[tag].VR == "SQ":
            found[int(tag)] = [_converted(nested) for nested in ds[tag].value]
        else:
            found[int(tag)] = value or b""
    return found


pieces = st.sampled_from([1, 3, 8, 50, 1 << 16])


@LONG_RUN
@given(odder_sets, SYNTAXES, pieces)
def test_what_is_legal_is_taken_by_all_and_says_the_same(nodes: list[Any], syntax: str, piece: int) -> None:
    data, tree = encode(nodes, syntax), tree_of(nodes)
    limit = max(1, depth_of(tree))
    event(f"nested {depth_of(tree)} deep")
    assert read_by_listener(data, syntax, limit) == ""
    assert read_by_worklist(data, syntax, limit) == tree
    assert read_by_mpps(data, syntax) == tags_of(tree)
    wanted = {tag: value for tag, value in tree.items() if tag in WANTED}
    assert read_by_receiver(data, syntax, limit, piece=piece) == wanted
    assert read_by_receiver(data, syntax, limit, piece=piece, kind=Whole) == wanted
    if b"ZZ" not in data:  # a VR of a later edition is noted
        assert read_by_receiver(data, syntax, limit, piece=piece, kind=Whole, strict=True) == wanted


@LONG_RUN
@given(data_sets, SYNTAXES)
def test_what_is_legal_says_the_same_to_pydicom(nodes: list[Any], syntax: str) -> None:
    """Without VRs of later editions, whose 32 bits of length pydicom does not know, and in big endian without UN, whose
    content it takes for big endian against PS3.5 §6.2.2.
    """
    data = encode(nodes, syntax)
    assume(syntax != BIG or b"UN" not in data)
    said = read_by_worklist(data, syntax, DEEP * 3)
    assert isinstance(said, dict)
    assert _without_empty_sequences(read_by_pydicom(data, syntax)) == _without_empty_sequences(said)


def _without_empty_sequences(tree: Tree) -> Tree:
    """Pydicom tells a private sequence without items from an empty value only where the VR says so."""
    return {
        tag: [_without_empty_sequences(nested) for nested in value]
        if isinstance(value, list) and value
        else value or b""
        for tag, value in tree.items()
    }


@LONG_RUN
@given(odder_sets, SYNTAXES, st.integers(1, DEEP), pieces)
def test_what_nests_too_deep_is_refused_by_all(nodes: list[Any], syntax: str, limit: int, piece: int) -> None:
    for level in range(limit):
        nodes = [(SEQUENCES[level % 3], [nodes], (bool(level % 2), bool(level % 3), False))]
    data, depth = encode(nodes, syntax), depth_of(tree_of(nodes))
    event("too deep" if depth > limit else "as deep as allowed")
    refusal = "too deep" if depth > limit else ""
    assert read_by_listener(data, syntax, limit) == refusal
    if refusal:
        assert read_by_worklist(data, syntax, limit) == refusal
        assert read_by_receiver(data, syntax, limit, piece=piece) == refusal
        assert read_by_receiver(data, syntax, limit, piece=piece, kind=Whole) == refusal
    else:
        assert read_by_worklist(data, syntax, limit) == tree_of(nodes)
        assert read_by_receiver(data, syntax, limit, piece=piece) == {}


@st.composite
def damaged(draw: st.DrawFn) -> tuple[bytes, str]:
    syntax = draw(SYNTAXES)
    data = bytearray(encode(draw(odder_sets), syntax))
    parts = [b"\xfe\xff\x0d\xe0", bytes(8), bytes(3), head(0x00400275, "SQ", UNDEFINED, syntax), b"\xff\xff\xff\xff"]
    for _ in range(draw(st.integers(1, 3))):
        at = draw(st.integers(0, len(data)))
        match draw(st.sampled_from(["set", "cut", "insert", "remove"])):
            case "set" if at < len(data):
                data[at] = draw(st.integers(0, 255))
            case "cut":
                del data[at:]
            case "insert":
                data[at:at] = draw(st.sampled_from(parts))
            case _:
                del data[at : at + draw(st.integers(1, 8))]
    return bytes(data), syntax


@LONG_RUN
@given(damaged(), pieces)
def test_what_is_damaged_is_taken_by_all_or_by_none(found: tuple[bytes, str], piece: int) -> None:
    data, syntax = found
    refusal = read_by_listener(data, syntax, DEEP)
    event("refused" if refusal else "taken")
    _agree(data, syntax, piece, refusal)


@LONG_RUN
@given(st.binary(max_size=80), SYNTAXES, pieces)
def test_any_bytes_are_taken_by_all_or_by_none(data: bytes, syntax: str, piece: int) -> None:
    _agree(data, syntax, piece, read_by_listener(data, syntax, DEEP))


def _agree(data: bytes, syntax: str, piece: int, refusal: str) -> None:
    by_worklist = read_by_worklist(data, syntax, DEEP)
    by_receiver = read_by_receiver(data, syntax, DEEP, piece=piece)
    strictly = read_by_receiver(data, syntax, DEEP, piece=piece, kind=Whole, strict=True)
    if refusal:
        assert isinstance(by_worklist, str)
        assert isinstance(strictly, str)
    elif isinstance(by_worklist, str):  # a data set by chance, of elements that another transfer syntax makes sense of
        assert by_worklist.startswith("The data set is in ")
    else:
        assert read_by_mpps(data, syntax) == tags_of(by_worklist)
        assert isinstance(by_receiver, dict) or by_receiver == "an identifying element occurs twice and differs"
    if isinstance(strictly, dict):
        assert strictly == by_receiver
        if isinstance(by_worklist, dict):
            assert strictly == {tag: value for tag, value in by_worklist.items() if tag in WANTED}
    assert read_by_receiver(data, syntax, DEEP, piece=1 << 16) == by_receiver
