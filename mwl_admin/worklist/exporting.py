"""The worklist as files that DCMTK's `wlmscpfs` and Orthanc's worklist plugin serve: one step a file."""

from __future__ import annotations

import re
from pathlib import Path
from zoneinfo import ZoneInfo

from django.conf import settings
from pydicom.dataset import FileMetaDataset
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import write_file_meta_info
from pydicom.uid import UID

from mwl_admin.worklist.attributes import ATTRIBUTES, STEP_SEQUENCE
from mwl_admin.worklist.charset import DEFAULT_TERM, CharacterSet, split_terms
from mwl_admin.worklist.directory import Directory
from mwl_admin.worklist.identifier import Identifier, Key
from mwl_admin.worklist.matching import Condition
from mwl_admin.worklist.query import select
from mwl_admin.worklist.response import compile_plan
from mwl_admin.worklist.syntax import EXPLICIT_LITTLE, SYNTAXES
from mwl_admin.worklist.values import Context

MODALITY_WORKLIST = "1.2.840.10008.5.1.4.31"
_INSTANCE = "2.25.158362537458104929104527340928423040381"
"""One made-up UID for all files: entries of a worklist are instances of nothing, and the header wants one."""


def write_files(folder: Path, conditions: tuple[Condition, ...] = (), *, character_set: str = DEFAULT_TERM) -> int:
    """Write each step that meets the conditions into a file of its own in ``folder``; return how many.

    A file is as a modality would be answered, in Part 10 format with Explicit VR Little Endian.
    """
    identifier = _everything()
    zone = ZoneInfo(settings.TIME_ZONE)
    context = Context(Directory.read(), None, zone)
    charset = CharacterSet(split_terms(character_set))
    plan = compile_plan(
        identifier, SYNTAXES[EXPLICIT_LITTLE], charset, context, first=("pk", "scheduled_procedure_step_id")
    )
    folder.mkdir(parents=True, exist_ok=True)
    header = _part10_header()
    count = 0
    for row in select(conditions, plan.columns).iterator(chunk_size=500):
        readable = re.sub(r"[^A-Za-z0-9_-]", "_", row[1])
        (folder / f"{readable}-{row[0]}.wl").write_bytes(header + plan.encode(row))
        count += 1
    # wlmscpfs takes a folder only with this file in it.
    (folder / "lockfile").touch()
    return count


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
    """The preamble and File Meta Information (PS3.10 section 7.1)."""
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = UID(MODALITY_WORKLIST)
    meta.MediaStorageSOPInstanceUID = UID(_INSTANCE)
    meta.TransferSyntaxUID = UID(EXPLICIT_LITTLE)
    out = DicomBytesIO()
    out.is_little_endian = True
    write_file_meta_info(out, meta, enforce_standard=True)
    return b"\0" * 128 + b"DICM" + out.getvalue()
