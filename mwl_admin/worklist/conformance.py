"""The attribute table of the conformance statement, written from the table that the code runs by."""

from __future__ import annotations

from collections.abc import Iterator

from dicom_encoding.elements import tag_name
from mwl_admin.worklist.attributes import ATTRIBUTES, Matching, WorklistAttribute

HEADER = ("attribute", "tag", "VR", "matching", "return")


def attribute_table() -> str:
    """Return the table in Markdown; `>` marks the depth in sequences, as in PS3.4 Table K.6-1."""
    rows = [HEADER, tuple("--" for _ in HEADER), *_rows(ATTRIBUTES, "")]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows) + "\n"


def _rows(attributes: tuple[WorklistAttribute, ...], depth: str) -> Iterator[tuple[str, ...]]:
    for attribute in attributes:
        yield (
            f"{depth}{attribute.keyword}",
            f"{depth}{tag_name(attribute.tag)}",
            attribute.vr,
            _matching(attribute),
            attribute.return_type,
        )
        yield from _rows(attribute.children, depth + ">")


def _matching(attribute: WorklistAttribute) -> str:
    return "not matched" if attribute.matching is Matching.NONE else attribute.matching.value
