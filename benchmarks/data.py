"""Synthetic instances to send: valid enough for every peer, of the sizes that departments know."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import (
    CTImageStorage,
    DigitalMammographyXRayImageStorageForPresentation,
    ExplicitVRLittleEndian,
    SecondaryCaptureImageStorage,
    generate_uid,
)
from rich.progress import track


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of instance: ``side`` is rows and columns of its 16-bit image."""

    name: str
    sop_class: str
    modality: str
    rows: int
    columns: int


CT = Kind("ct", CTImageStorage, "CT", 512, 512)
"""525 KB"""
MG = Kind("mg", DigitalMammographyXRayImageStorageForPresentation, "MG", 3328, 2560)
"""17 MB"""
SMALL = Kind("small", SecondaryCaptureImageStorage, "OT", 40, 40)
"""4 KB"""


def make(kind: Kind, count: int, folder: Path) -> Path:
    """Write ``count`` files of one study each a distinct instance; return their folder. Kept for the next run."""
    target = folder / f"{kind.name}-{count}"
    if target.is_dir():
        return target
    temporary = folder / f"{kind.name}-{count}.unfinished"
    temporary.mkdir(parents=True, exist_ok=True)
    study, series = generate_uid(prefix=None), generate_uid(prefix=None)
    for number in track(range(count), f"making {count} × {kind.name}", transient=True):
        dataset = instance(kind, study, series, number)
        dataset.save_as(temporary / f"{number:05d}.dcm", enforce_file_format=True)
    temporary.rename(target)
    return target


def instance(kind: Kind, study: str, series: str, number: int) -> Dataset:
    """Return one synthetic instance with random pixels."""
    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.SOPClassUID = kind.sop_class
    dataset.SOPInstanceUID = generate_uid(prefix=None)
    dataset.StudyInstanceUID = study
    dataset.SeriesInstanceUID = series
    dataset.PatientName = "Synthetic^Bench"
    dataset.PatientID = "BENCH-1"
    dataset.PatientBirthDate = "19700101"
    dataset.PatientSex = "O"
    dataset.StudyDate = dataset.SeriesDate = "20260101"
    dataset.StudyTime = "080000"
    dataset.AccessionNumber = "BENCH"
    dataset.Modality = kind.modality
    dataset.StudyID = "1"
    dataset.SeriesNumber = 1
    dataset.InstanceNumber = number + 1
    dataset.SamplesPerPixel = 1
    dataset.PhotometricInterpretation = "MONOCHROME2"
    dataset.Rows, dataset.Columns = kind.rows, kind.columns
    dataset.BitsAllocated = dataset.BitsStored = 16
    dataset.HighBit = 15
    dataset.PixelRepresentation = 0
    dataset.PixelData = os.urandom(kind.rows * kind.columns * 2)
    return dataset
