"""What a DICOMDIR says of an instance (PS3.3 §F.5), read from its file without what takes room, as pixels.

Memory doesn't grow with the file, nor with what a deflated one inflates to.
"""

from __future__ import annotations

import io
import os
import re
import zlib
from pathlib import Path
from typing import BinaryIO, cast

from pydicom import Dataset
from pydicom.datadict import tag_for_keyword
from pydicom.dataset import FileMetaDataset
from pydicom.filereader import read_dataset, read_file_meta_info, read_partial
from pydicom.tag import BaseTag

from dicom_encoding import part10
from dicom_encoding.syntaxes import DEFLATED
from pacs_receiver.header import INFLATED_LIMIT

_KEYWORDS = re.findall(
    r"\w+",
    """
    SpecificCharacterSet ImageType InstanceCreationDate InstanceCreationTime SOPClassUID SOPInstanceUID AccessionNumber
    StudyDate ContentDate StudyTime ContentTime Modality Manufacturer StudyDescription SeriesDescription
    ReferencedSeriesSequence ReferencedImageEvidenceSequence PatientName PatientID StudyInstanceUID SeriesInstanceUID
    StudyID SeriesNumber InstanceNumber ImplantName ImplantSize ImplantPartNumber NumberOfFrames Rows Columns
    DataPointRows DataPointColumns HL7InstanceIdentifier VerificationDateTime ConceptNameCodeSequence ContentSequence
    CompletionFlag VerificationFlag MIMETypeOfEncapsulatedDocument ImplantTemplateGroupName ImplantTemplateGroupIssuer
    ImplantAssemblyTemplateName ProcedureTypeCodeSequence PresentationCreationDate PresentationCreationTime ContentLabel
    ContentDescription ContentCreatorName BlendingSequence HangingProtocolName HangingProtocolDescription
    HangingProtocolLevel HangingProtocolCreator HangingProtocolCreationDateTime HangingProtocolDefinitionSequence
    NumberOfPriorsReferenced HangingProtocolUserIdentificationCodeSequence DoseSummationType DoseComment
    StructureSetLabel StructureSetDate StructureSetTime RTPlanLabel RTPlanDate RTPlanTime TreatmentDate TreatmentTime
    DocumentTitle UserContentLabel UserContentLongLabel SynchronizationFrameOfReferenceUID
    """,
)
_TAGS: list[BaseTag | int] = [tag for keyword in _KEYWORDS if (tag := tag_for_keyword(keyword)) is not None]
_BEHIND_ALL_KEYS = 0x50000000
_READ_LIMIT = 64 << 20
_HEAD_BYTES = 1 << 16
_PIECE = 1 << 20


class TooLong(ValueError):
    """What a DICOMDIR needs lies behind more bytes than are read for it"""


def read_keys(path: Path) -> Dataset:
    """Return the keys of an instance with its file meta information.

    :raises TooLong: when it has more than is read; what pydicom finds wrong comes as it is.
    """
    ds = _read(path)
    if "MIMETypeOfEncapsulatedDocument" in ds:
        ds.EncapsulatedDocument = b""  # that there is one decides the record's type
    return ds


def _read(path: Path) -> Dataset:
    meta = read_file_meta_info(path)
    with path.open("rb") as file:
        if meta.get("TransferSyntaxUID") not in DEFLATED:
            return read_partial(file, _is_behind, specific_tags=_TAGS)
        _, offset = part10.parse(file.read(_HEAD_BYTES))
        file.seek(offset)
        ds = read_dataset(cast(BinaryIO, _Inflated(file)), False, True, stop_when=_is_behind, specific_tags=_TAGS)
    ds.file_meta = FileMetaDataset(meta)
    ds.set_original_encoding(False, True)
    return ds


def _is_behind(tag: BaseTag, _vr: str | None, _length: int) -> bool:
    return int(tag) >= _BEHIND_ALL_KEYS


class _Inflated(io.RawIOBase):
    """A deflated data set as a file that is read forward: skipping keeps nothing, reading a bounded number of bytes."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._inflate = zlib.decompressobj(-zlib.MAX_WBITS)
        self._begin = 0  # where the window begins, in the inflated data set
        self._window = b""
        self._at = 0
        self._left = _READ_LIMIT

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        target = offset if whence == os.SEEK_SET else self._at + offset
        if whence == os.SEEK_END or target < self._begin:
            raise io.UnsupportedOperation("only forward")
        self._at = target
        return target

    def read(self, size: int = -1) -> bytes:
        if not 0 <= size <= self._left:
            raise TooLong
        self._left -= size
        found = bytearray()
        while len(found) < size and self._forward():
            start = self._at - self._begin
            piece = self._window[start : start + size - len(found)]
            found += piece
            self._at += len(piece)
        return bytes(found)

    def _forward(self) -> bool:
        """Inflate until the window holds the byte at the position; False at the end."""
        while self._at >= self._begin + len(self._window):
            more = self._next()
            if not more:
                return False
            self._begin += max(0, len(self._window) - _PIECE)
            self._window = self._window[-_PIECE:] + more  # a little of what is behind: pydicom looks back a few bytes
            if self._begin > INFLATED_LIMIT:
                raise TooLong
        return True

    def _next(self) -> bytes:
        while not self._inflate.eof:
            pending = self._inflate.unconsumed_tail or self._file.read(_HEAD_BYTES)
            out = self._inflate.decompress(pending, _PIECE)
            if out or not pending:
                return out
        return b""
