"""Synthetic instances, and the calls that a listener makes to hand one over."""

from __future__ import annotations

from dataclasses import dataclass
from io import BytesIO
from typing import TYPE_CHECKING, cast

from pydicom import Dataset, dcmwrite
from pydicom.uid import UID, CTImageStorage, ExplicitVRLittleEndian, generate_uid

from dicom_listener.service import Context, Request, Response

if TYPE_CHECKING:
    from dicom_listener.dimse import Command
    from dicom_listener.service import AcceptedAssociation
    from pacs_receiver.receive import Receiver

PREFIX = "2.25.4711."
CT = str(CTImageStorage)
EXPLICIT = str(ExplicitVRLittleEndian)


def uid() -> str:
    return str(generate_uid(prefix=PREFIX))


def image(*, study: str | None = None, series: str | None = None, instance: str | None = None, size: int = 512,
          number: int = 1) -> Dataset:  # fmt: skip
    """A CT image of ``size`` bytes of pixel data."""
    ds = Dataset()
    ds.SpecificCharacterSet = "ISO_IR 192"
    ds.SOPClassUID = CTImageStorage
    ds.SOPInstanceUID = instance or uid()
    ds.StudyDate = "20261124"
    ds.StudyTime = "101500"
    ds.AccessionNumber = "A4711"
    ds.Modality = "CT"
    ds.StudyDescription = "Skull"
    ds.PatientName = "Prüfer^Anna"
    ds.PatientID = "P-1"
    ds.PatientBirthDate = "19700101"
    ds.PatientSex = "F"
    ds.StudyInstanceUID = study or uid()
    ds.SeriesInstanceUID = series or uid()
    ds.SeriesNumber = 1
    ds.InstanceNumber = number
    ds.PixelData = bytes(range(256)) * (size // 256)
    ds["PixelData"].VR = "OW"
    return ds


def encode(ds: Dataset, transfer_syntax: str = EXPLICIT) -> bytes:
    """The data set's bytes as they travel in a C-STORE."""
    syntax = UID(transfer_syntax)
    buffer = BytesIO()
    dcmwrite(buffer, ds, implicit_vr=syntax.is_implicit_VR, little_endian=syntax.is_little_endian)
    return buffer.getvalue()


@dataclass
class _Peer:
    calling_ae: str = "CT1"
    called_ae: str = "PACS"
    address: str = "192.0.2.7"
    id: int = 1


@dataclass
class _Store:
    affected_sop_class_uid: str
    affected_sop_instance_uid: str


def store(
    receiver: Receiver,
    data: bytes,
    *,
    sop_class: str = CT,
    instance: str,
    abstract_syntax: str | None = None,
    transfer_syntax: str = EXPLICIT,
    calling_ae: str = "CT1",
    piece: int = 1 << 18,
) -> Response:
    """Hand an instance to ``receiver`` as the listener does, ``piece`` bytes at a time. Raises Refused."""
    request = Request(
        cast("Command", _Store(sop_class, instance)), Context(1, abstract_syntax or sop_class, transfer_syntax)
    )
    sink = receiver.open(cast("AcceptedAssociation", _Peer(calling_ae)), request)
    try:
        for start in range(0, len(data), piece):
            sink.write(memoryview(data)[start : start + piece])
        return sink.finish()
    except Exception:
        sink.abandon()
        raise
