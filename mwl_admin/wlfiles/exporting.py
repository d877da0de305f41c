"""The worklist as files that DCMTK's `wlmscpfs` and Orthanc's worklist plugin serve: one step a file."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from django.conf import settings
from pydicom.dataset import FileMetaDataset
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import write_file_meta_info
from pydicom.uid import UID

from dicom_encoding.syntaxes import EXPLICIT_LITTLE, SYNTAXES
from mwl_admin.models.status import OPEN
from mwl_admin.wlfiles import marker
from mwl_admin.worklist import values
from mwl_admin.worklist.attributes import ATTRIBUTES, PROTOCOL_CODES, STATION_IDS, STEP_ATTRIBUTES, STEP_SEQUENCE
from mwl_admin.worklist.charset import DEFAULT_TERM, CharacterSet, split_terms
from mwl_admin.worklist.directory import Directory
from mwl_admin.worklist.identifier import Identifier, Key
from mwl_admin.worklist.matching import Condition
from mwl_admin.worklist.query import select
from mwl_admin.worklist.response import compile_plan
from mwl_admin.worklist.values import ResponseContext

MODALITY_WORKLIST = "1.2.840.10008.5.1.4.31"
_INSTANCE = "2.25.158362537458104929104527340928423040381"
"""One made-up UID for all files: entries of a worklist are instances of nothing, and the header wants one."""


OPEN_SUFFIX, ENDED_SUFFIX = ".wl", ".dcm"
"""wlmscpfs and Orthanc offer whatever ends in .wl, its status notwithstanding: what is over is written beside it."""


@dataclass(slots=True)
class Export:
    """What was written.

    ``lossy`` are files with their accession number and the letters that the character set does not have; ``ignored``
    are files that wlmscpfs will pass over, with what they lack.
    """

    files: list[str] = field(default_factory=list)
    steps: Counter[tuple[str, str, str]] = field(default_factory=Counter)
    lossy: dict[str, tuple[str, str]] = field(default_factory=dict)
    ignored: dict[str, list[str]] = field(default_factory=dict)


class _Noting(CharacterSet):
    """A character set that remembers what it could not carry."""

    def __init__(self, terms: Sequence[str]) -> None:
        super().__init__(terms)
        self.lost: set[str] = set()

    def encode(self, text: str) -> bytes:
        self.lost |= self.loses(text)
        return super().encode(text)


def count(conditions: tuple[Condition, ...]) -> int:
    """Return how many steps meet the conditions."""
    return select(conditions, ("pk",)).count()


def write_files(
    folder: Path,
    conditions: tuple[Condition, ...] = (),
    *,
    character_set: str = DEFAULT_TERM,
    progress: Callable[[], Any] = lambda: None,
) -> Export:
    """Write each step that meets the conditions into a file of its own in ``folder``.

    A file is as a modality would be answered, in Part 10 format with Explicit VR Little Endian; its status is told
    although it is over.
    """
    context = ResponseContext(Directory.read(), None, ZoneInfo(settings.TIME_ZONE), own_statuses=True)
    charset = _Noting(split_terms(character_set))
    plan = compile_plan(_everything(), SYNTAXES[EXPLICIT_LITTLE], charset, context, omitted=_OPTIONAL, first=_FIRST)
    folder.mkdir(parents=True, exist_ok=True)
    header = _part10_header()
    export = Export()
    for row in select(conditions, plan.columns).iterator(chunk_size=500):
        charset.lost.clear()
        column = dict(zip(plan.columns, row, strict=True))
        data = header + plan.encode(row) + _marker(column, context)
        name = _write(folder, column, data)
        export.files.append(name)
        export.steps[column["scheduled_date"].isoformat(), column["modality"], column["status"]] += 1
        if charset.lost:
            export.lossy[name] = column[_ORDER + "accession_number"], "".join(sorted(charset.lost))
        lacking = _lacking(column, context)
        if lacking and name.endswith(OPEN_SUFFIX):
            export.ignored[name] = lacking
        progress()
    # wlmscpfs takes a folder only with this file in it.
    (folder / "lockfile").touch()
    return export


def _marker(column: dict[str, Any], context: ResponseContext) -> bytes:
    if column[STATION_IDS]:
        return b""
    return marker.of_any_station(values.station_ae_titles(context, "", column["modality"]))


_OPTIONAL = frozenset(
    attribute.keyword for attribute in (*ATTRIBUTES, *STEP_ATTRIBUTES) if "C" in attribute.return_type
)
"""Left out when they have no value: to wlmscpfs an empty description is worse than none beside a code."""
_FIRST = ("pk", "scheduled_procedure_step_id", "status", "scheduled_date", "modality")


def _write(folder: Path, column: dict[str, Any], data: bytes) -> str:
    readable = re.sub(r"[^A-Za-z0-9_-]", "_", column["scheduled_procedure_step_id"])
    stem = f"{readable}-{column['pk']}"
    suffix, other = (OPEN_SUFFIX, ENDED_SUFFIX) if column["status"] in OPEN else (ENDED_SUFFIX, OPEN_SUFFIX)
    # Aside first: a provider that serves the folder must never find half a file.
    aside = folder / f"{stem}.part"
    aside.write_bytes(data)
    aside.replace(folder / f"{stem}{suffix}")
    # What an earlier export wrote of this step is not true any more.
    (folder / f"{stem}{other}").unlink(missing_ok=True)
    return f"{stem}{suffix}"


_ORDER = "requested_procedure__"


def _lacking(column: dict[str, Any], context: ResponseContext) -> list[str]:
    """Return what wlmscpfs requires of a file and this step does not have (its option --enable-file-reject)."""
    found = {
        "ScheduledStationAETitle": values.station_ae_titles(context, column[STATION_IDS], column["modality"]),
        "RequestedProcedureDescription": column[_ORDER + "requested_procedure_description"]
        or column[_ORDER + "code_value"],
        "ScheduledProcedureStepDescription": column["scheduled_procedure_step_description"]
        or values.protocol_codes(context, column[PROTOCOL_CODES]),
    }
    return [keyword for keyword, value in found.items() if not value]


def _everything() -> Identifier:
    """An identifier that asks for every attribute there is, type 3 ones included."""
    found: dict[int, Key] = {}
    for attribute in sorted(ATTRIBUTES, key=lambda attribute: attribute.tag):
        if attribute.tag == STEP_SEQUENCE:
            children = {child.tag: Key(child.tag, child.vr) for child in attribute.children}
            found[attribute.tag] = Key(attribute.tag, "SQ", items=(Identifier(dict(sorted(children.items()))),))
        else:
            found[attribute.tag] = Key(attribute.tag, attribute.vr, items=() if attribute.vr == "SQ" else None)
    return Identifier(found)


def _part10_header() -> bytes:
    """The preamble and File Meta Information (PS3.10 §7.1)."""
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = UID(MODALITY_WORKLIST)
    meta.MediaStorageSOPInstanceUID = UID(_INSTANCE)
    meta.TransferSyntaxUID = UID(EXPLICIT_LITTLE)
    out = DicomBytesIO()
    out.is_little_endian = True
    write_file_meta_info(out, meta, enforce_standard=True)
    return b"\0" * 128 + b"DICM" + out.getvalue()
