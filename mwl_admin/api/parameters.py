"""Query parameters of a search (PS3.18 §8.3.4) as an identifier, for the same matching as C-FIND."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from django.http import QueryDict

from mwl_admin.api.errors import bad_request
from mwl_admin.entries.entry_attributes import STEP_KEYWORDS, keyword_of
from mwl_admin.worklist.attributes import ATTRIBUTES, STEP_SEQUENCE, Matching, WorklistAttribute
from mwl_admin.worklist.identifier import Identifier, Key

MAX_PARAMETERS = 100
MAX_VALUE = 1024
"""Characters of one value; no attribute that is matched holds more."""
_SWITCHES = ("fuzzymatching", "emptyvaluematching", "multiplevaluematching")
_OTHERS = {"limit", "offset", *_SWITCHES}
_BY_KEYWORD = {attribute.keyword: attribute for attribute in ATTRIBUTES}


@dataclass(slots=True)
class Search:
    """A search as it was asked for. ``limit`` is None when the client set none; ``ignored`` are unknown parameters."""

    identifier: Identifier
    limit: int | None = None
    offset: int = 0
    fuzzy: bool = False
    empty_values: bool = False
    ignored: tuple[str, ...] = ()


@dataclass(slots=True)
class _Node:
    """One data set of the identifier in the making: values by attribute, and nested data sets by sequence."""

    values: dict[str, str] = field(default_factory=dict)
    items: dict[str, _Node] = field(default_factory=dict)


def parse(query: QueryDict) -> Search:
    """Return the search that the query parameters ask for; raise a refusal that names the one that is wrong."""
    if len(query) > MAX_PARAMETERS:
        raise bad_request(f"More than {MAX_PARAMETERS} query parameters.")
    root = _Node()
    _include_required(root, ATTRIBUTES)
    ignored = []
    for name in query:
        values = query.getlist(name)
        if any(len(value) > MAX_VALUE for value in values):
            raise bad_request(f"is longer than {MAX_VALUE} characters.", name[:128])
        if name == "includefield":
            _include(root, [part.strip() for value in values for part in value.split(",")])
        elif not _is_known(name):
            # Neither an attribute nor a parameter of PS3.18: ignored, and the answer says so.
            ignored.append(name)
        elif name not in _OTHERS:
            if len(values) > 1:
                raise bad_request("stands twice.", name)
            _match(root, name, values[0])
    switches = {name: _switch(query, name) for name in _SWITCHES}
    return Search(
        _identifier(root, _BY_KEYWORD),
        limit=_number(query, "limit"),
        offset=_number(query, "offset") or 0,
        # Several values for one key are always taken, so that switch has nothing to do.
        fuzzy=switches["fuzzymatching"],
        empty_values=switches["emptyvaluematching"],
        ignored=tuple(ignored),
    )


def _is_known(name: str) -> bool:
    return name in _OTHERS or all(keyword_of(part) for part in name.split("."))


def _number(query: QueryDict, name: str) -> int | None:
    text = query.get(name)
    if text is None:
        return None
    if not (text.isascii() and text.isdecimal()) or len(text) > 9:
        raise bad_request("must be a whole number.", name)
    return int(text)


def _switch(query: QueryDict, name: str) -> bool:
    text = query.get(name, "false")
    if text not in {"true", "false"}:
        raise bad_request("must be true or false.", name)
    return text == "true"


def _include_required(node: _Node, attributes: Iterable[WorklistAttribute], *, optional: bool = False) -> None:
    """Ask for what every response holds (return types 1 and 2 of PS3.4 Table K.6-1), or for all there is."""
    for attribute in attributes:
        if attribute.return_type == "3" and not optional:
            continue
        if attribute.tag == STEP_SEQUENCE:
            _include_required(node.items.setdefault(attribute.keyword, _Node()), attribute.children, optional=optional)
        elif attribute.vr == "SQ":
            node.items.setdefault(attribute.keyword, _Node())
        else:
            node.values.setdefault(attribute.keyword, "")


def _include(root: _Node, names: list[str]) -> None:
    if names == ["all"]:
        _include_required(root, ATTRIBUTES, optional=True)
        return
    for name in names:
        if name == "all":
            raise bad_request("all stands alone.", "includefield")
        keywords = [keyword_of(part) for part in name.split(".")]
        if not all(keywords):
            raise bad_request(f"{name[:128]!r} is no attribute.", "includefield")
        path = _path(keywords)
        if path is not None:  # what is known to DICOM and not kept here is left out of the response
            _place(root, path, "")


def _match(root: _Node, name: str, value: str) -> None:
    keywords = [keyword_of(part) for part in name.split(".")]
    path = _path(keywords)
    if path is None:
        hint = " Matching is by ScheduledProcedureStepSequence." + keywords[0] if keywords[0] in STEP_KEYWORDS else ""
        raise bad_request(f"can't be matched here.{hint}", name)
    attribute = path[-1]
    if value.strip("*") and attribute.matching in {Matching.NONE, Matching.SEQUENCE}:
        raise bad_request("can be asked for by includefield, but not matched.", name)
    if attribute.vr == "UI":
        value = value.replace(",", "\\")
    _place(root, path, value)


def _path(keywords: list[str]) -> list[WorklistAttribute] | None:
    """Return the attributes along a dotted path; None when the worklist does not have one of them."""
    known = _BY_KEYWORD
    path: list[WorklistAttribute] = []
    for keyword in keywords:
        attribute = known.get(keyword)
        if attribute is None:
            return None
        path.append(attribute)
        known = {child.keyword: child for child in attribute.children}
    return path


def _place(root: _Node, path: list[WorklistAttribute], value: str) -> None:
    node = root
    for attribute in path[:-1]:
        node = node.items.setdefault(attribute.keyword, _Node())
    last = path[-1]
    if last.vr == "SQ":
        node.items.setdefault(last.keyword, _Node())
    elif value or last.keyword not in node.values:
        node.values[last.keyword] = value


def _identifier(node: _Node, known: dict[str, WorklistAttribute]) -> Identifier:
    keys: dict[int, Key] = {}
    for keyword, value in node.values.items():
        attribute = known[keyword]
        keys[attribute.tag] = Key(attribute.tag, attribute.vr, value.encode())
    for keyword, child in node.items.items():
        attribute = known[keyword]
        inner = _identifier(child, {part.keyword: part for part in attribute.children})
        keys[attribute.tag] = Key(attribute.tag, "SQ", items=(inner,) if inner.keys else ())
    return Identifier.in_unicode(dict(sorted(keys.items())))


def everything() -> Identifier:
    """Return an identifier that asks for all that an entry holds."""
    root = _Node()
    _include_required(root, ATTRIBUTES, optional=True)
    return _identifier(root, _BY_KEYWORD)
