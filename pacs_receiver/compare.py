"""In which data elements two files differ; their values only where they are asked for, as they may name a patient."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pydicom import Dataset, dcmread
from pydicom.datadict import keyword_for_tag

_LONGEST = 64


class UnreadableDataSet(ValueError):
    """A file can't be read as a data set"""


def differences(kept: Path, came: Path, *, with_values: bool = False) -> list[dict[str, str]]:
    """Return the elements that are not the same in both files, with the path of sequences that they are in.

    Each has ``element`` (tag), ``keyword`` and ``what`` (``changed``, ``added``, ``removed``), and with values ``kept``
    and ``came``, cut to 64 characters.

    :raises UnreadableDataSet: when one of the files can't be read.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the values are the modality's
        return list(_compare(_read(kept), _read(came), "", with_values=with_values))


def _read(path: Path) -> Dataset:
    try:
        return dcmread(path)
    except Exception as error:  # pydicom raises many kinds on what devices send
        raise UnreadableDataSet(type(error).__name__) from error


def _compare(kept: Dataset, came: Dataset, within: str, *, with_values: bool) -> Iterator[dict[str, str]]:
    for tag in sorted({*kept.keys(), *came.keys()}):
        mine, other = _value(kept, tag), _value(came, tag)
        if mine == other:
            continue
        name = f"{within}({tag.group:04X},{tag.element:04X})"
        if isinstance(mine, list) and isinstance(other, list) and len(mine) == len(other):
            for number, (one, two) in enumerate(zip(mine, other, strict=True), start=1):
                yield from _compare(one, two, f"{name}[{number}]>", with_values=with_values)
            continue
        what = "added" if mine is None else "removed" if other is None else "changed"
        found = {"element": name, "keyword": keyword_for_tag(tag), "what": what}
        yield found | ({"kept": _shown(mine), "came": _shown(other)} if with_values else {})


def _value(ds: Dataset, tag: Any) -> Any:
    """Return a value to compare: a list of items for a sequence, bytes where pydicom can't read it, None for none."""
    if tag not in ds:
        return None
    try:
        element = ds[tag]
    except Exception:  # noqa: BLE001 - pydicom raises many kinds on what devices send
        return bytes(getattr(ds.get_item(tag), "value", b"") or b"")
    return list(element.value) if element.VR == "SQ" else element.value if element.value is not None else ""


def _shown(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bytes):
        return f"{len(value)} bytes"
    text = f"{len(value)} items" if isinstance(value, list) else str(value)
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"
