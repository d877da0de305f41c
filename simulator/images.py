"""Images of the simulator: the IODs of CT, MR, MG, DX and multi-frame US (PS3.3 §A.3, §A.4, §A.26, §A.27, §A.7)."""

from __future__ import annotations

import datetime
from collections.abc import Callable

from pydicom import Dataset
from pydicom.dataset import FileMetaDataset
from pydicom.uid import UID, ExplicitVRLittleEndian

from simulator.examination import Examination, copy_codes, new_uid, step_of
from simulator.pattern import frame

CT_IMAGE = UID("1.2.840.10008.5.1.4.1.1.2")
MR_IMAGE = UID("1.2.840.10008.5.1.4.1.1.4")
DX_IMAGE = UID("1.2.840.10008.5.1.4.1.1.1.1")
MG_IMAGE = UID("1.2.840.10008.5.1.4.1.1.1.2")
US_MULTI_FRAME = UID("1.2.840.10008.5.1.4.1.1.3.1")
US_FRAMES = 12


def image(examination: Examination, number: int, total: int, *, size: int | None = None) -> Dataset:
    """Return image ``number`` of ``total``, from 1; ``size`` sets the rows, and with them the columns."""
    sop_class, rows, columns, depth, module = _KINDS[examination.modality]
    if size is not None:
        rows, columns = size, size * columns // rows // 2 * 2
    ds = Dataset()
    examination.patient(ds)
    _patient_study(ds, examination)
    _study(ds, examination)
    _series(ds, examination)
    _equipment(ds)
    ds.SOPClassUID = sop_class
    ds.SOPInstanceUID = new_uid()
    ds.InstanceNumber = number
    ds.BurnedInAnnotation = "YES"
    ds.ImageComments = "SYNTHETIC test pattern, not a patient"
    _times(ds, examination.started + datetime.timedelta(seconds=number))
    ds.SamplesPerPixel = 1
    ds.PhotometricInterpretation = "MONOCHROME2"
    ds.Rows, ds.Columns = rows, columns
    ds.BitsAllocated = 8 if depth <= 8 else 16
    ds.BitsStored = depth
    ds.HighBit = depth - 1
    ds.PixelRepresentation = 0
    module(ds, examination, number, total)
    frames = int(ds.get("NumberOfFrames") or 0)
    if frames:
        pixels = b"".join(frame(rows, columns, depth, one, frames) for one in range(1, frames + 1))
    else:
        pixels = frame(rows, columns, depth, number, total)
    ds.add_new(0x7FE00010, "OB" if depth <= 8 else "OW", pixels + b"\0" * (len(pixels) % 2))
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = ds.SOPClassUID
    meta.MediaStorageSOPInstanceUID = ds.SOPInstanceUID
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    ds.file_meta = meta
    return ds


def sop_class_of(modality: str) -> UID:
    """Return the storage SOP class of the images of a modality."""
    return _KINDS[modality][0]


def _patient_study(ds: Dataset, examination: Examination) -> None:
    for keyword in ("PatientSize", "PatientWeight"):
        if examination.entry.get(keyword):
            setattr(ds, keyword, examination.entry.get(keyword))


def _study(ds: Dataset, examination: Examination) -> None:
    entry = examination.entry
    ds.StudyInstanceUID = entry.StudyInstanceUID
    ds.StudyDate = f"{examination.started:%Y%m%d}"
    ds.StudyTime = f"{examination.started:%H%M%S}"
    ds.AccessionNumber = entry.get("AccessionNumber")
    ds.ReferringPhysicianName = entry.get("ReferringPhysicianName")
    ds.StudyID = entry.get("RequestedProcedureID")
    if entry.get("RequestedProcedureDescription"):
        ds.StudyDescription = entry.RequestedProcedureDescription
    copy_codes(entry, ds, "RequestedProcedureCodeSequence", "ProcedureCodeSequence")
    if entry.get("ReferencedStudySequence"):
        ds.ReferencedStudySequence = entry.ReferencedStudySequence


def _series(ds: Dataset, examination: Examination) -> None:
    ds.Modality = examination.modality
    ds.SeriesInstanceUID = examination.series_uid
    ds.SeriesNumber = 1
    ds.SeriesDescription = "SYNTHETIC test pattern"
    ds.SeriesDate, ds.SeriesTime = ds.StudyDate, ds.StudyTime
    ds.ProtocolName = examination.protocol[:64]
    step = step_of(examination.entry)
    if step.get("ScheduledPerformingPhysicianName"):
        ds.PerformingPhysicianName = step.ScheduledPerformingPhysicianName
    ds.OperatorsName = "Synthetic^Operator"
    performed = Dataset()
    performed.ReferencedSOPClassUID = "1.2.840.10008.3.1.2.3.3"
    performed.ReferencedSOPInstanceUID = examination.mpps_uid
    ds.ReferencedPerformedProcedureStepSequence = [performed]
    if examination.scheduled:
        ds.RequestAttributesSequence = [examination.request_attributes()]
    ds.PerformedProcedureStepID = examination.step_id
    ds.PerformedProcedureStepStartDate = ds.StudyDate
    ds.PerformedProcedureStepStartTime = ds.StudyTime
    ds.PerformedProcedureStepDescription = examination.protocol[:64]
    copy_codes(step, ds, "ScheduledProtocolCodeSequence", "PerformedProtocolCodeSequence")


def _equipment(ds: Dataset) -> None:
    ds.Manufacturer = "SYNTHETIC"
    ds.ManufacturerModelName = "Simulator"
    ds.DeviceSerialNumber = "0"
    ds.SoftwareVersions = "1"


def _times(ds: Dataset, taken: datetime.datetime) -> None:
    ds.ContentDate = ds.AcquisitionDate = f"{taken:%Y%m%d}"
    ds.ContentTime = ds.AcquisitionTime = f"{taken:%H%M%S}"


def _plane(ds: Dataset, examination: Examination, number: int, spacing: str, thickness: int) -> None:
    ds.FrameOfReferenceUID = UID(f"{examination.series_uid[:60]}.1")
    ds.PositionReferenceIndicator = None
    ds.PixelSpacing = [spacing, spacing]
    ds.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
    ds.ImagePositionPatient = [0, 0, -thickness * number]
    ds.SliceLocation = -thickness * number
    ds.SliceThickness = thickness


def _ct(ds: Dataset, examination: Examination, number: int, total: int) -> None:
    _plane(ds, examination, number, "0.7", 5)
    ds.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL"]
    ds.PatientPosition = "HFS"
    ds.Laterality = None
    ds.AcquisitionNumber = 1
    ds.RescaleIntercept, ds.RescaleSlope, ds.RescaleType = -1024, 1, "HU"
    ds.KVP = 120
    ds.ExposureTime, ds.XRayTubeCurrent = 500, 200
    ds.WindowCenter, ds.WindowWidth = 1024, 4096


def _mr(ds: Dataset, examination: Examination, number: int, total: int) -> None:
    _plane(ds, examination, number, "0.9", 4)
    ds.ImageType = ["ORIGINAL", "PRIMARY", "M"]
    ds.PatientPosition = "HFS"
    ds.Laterality = None
    ds.AcquisitionNumber = 1
    ds.ScanningSequence, ds.SequenceVariant, ds.ScanOptions = "SE", "NONE", ""
    ds.MRAcquisitionType = "2D"
    ds.RepetitionTime, ds.EchoTime, ds.EchoTrainLength = 500, 15, 1
    ds.MagneticFieldStrength = "1.5"
    ds.WindowCenter, ds.WindowWidth = 2048, 4096


def _projection(ds: Dataset, anatomy: tuple[str, str, str], view: tuple[str, str]) -> None:
    """What DX and MG share: DX Series, DX Anatomy Imaged, DX Image, DX Detector, Acquisition Context."""
    ds.PresentationIntentType = "FOR PRESENTATION"
    ds.ImageType = ["ORIGINAL", "PRIMARY", ""]
    ds.PixelIntensityRelationship = "LOG"
    ds.PixelIntensityRelationshipSign = 1
    ds.RescaleIntercept, ds.RescaleSlope, ds.RescaleType = 0, 1, "US"
    ds.PresentationLUTShape = "IDENTITY"
    ds.LossyImageCompression = "00"
    ds.WindowCenter, ds.WindowWidth = 2048, 4096
    ds.DetectorType = "DIRECT"
    ds.DetectorConfiguration = "AREA"
    ds.DetectorID = "SYNTHETIC"
    ds.ImagerPixelSpacing = ["0.1", "0.1"]
    ds.AcquisitionContextSequence = []
    ds.AnatomicRegionSequence = [_code(*anatomy)]
    ds.ViewCodeSequence = [_code(view[0], "SCT", view[1])]


def _dx(ds: Dataset, examination: Examination, number: int, total: int) -> None:
    frontal = number % 2 == 1
    view = ("399348003", "antero-posterior") if frontal else ("399067008", "lateral projection")
    _projection(ds, ("51185008", "SCT", "Chest"), view)
    ds.ImageLaterality = "U"
    ds.PatientOrientation = ["L", "F"] if frontal else ["A", "F"]
    ds.BodyPartExamined = "CHEST"
    ds.PositionerType = None
    ds.KVP = 125


def _mg(ds: Dataset, examination: Examination, number: int, total: int) -> None:
    right, cranial = number % 2 == 1, (number - 1) // 2 % 2 == 0
    view = ("399162004", "cranio-caudal") if cranial else ("399368009", "medio-lateral oblique")
    _projection(ds, ("76752008", "SCT", "Breast"), view)
    ds.ViewCodeSequence[0].ViewModifierCodeSequence = []
    ds.ImageLaterality = "R" if right else "L"
    ds.PatientOrientation = (["P", "L"] if right else ["A", "R"]) if cranial else ["P", "FL"] if right else ["A", "FR"]
    ds.BodyPartExamined = "BREAST"
    ds.OrganExposed = "BREAST"
    ds.PositionerType = "MAMMOGRAPHIC"
    ds.BreastImplantPresent = "NO"
    ds.PartialView = "NO"
    ds.KVP = 28


def _us(ds: Dataset, examination: Examination, number: int, total: int) -> None:
    ds.ImageType = ["ORIGINAL", "PRIMARY", "ABDOMINAL", "0001"]
    ds.NumberOfFrames = US_FRAMES
    ds.FrameTime = 40
    ds.Laterality = None
    ds.FrameIncrementPointer = 0x00181063
    ds.PatientOrientation = None
    ds.LossyImageCompression = "00"


def _code(value: str, scheme: str, meaning: str) -> Dataset:
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = value, scheme, meaning
    return item


Module = Callable[[Dataset, Examination, int, int], None]

_KINDS: dict[str, tuple[UID, int, int, int, Module]] = {
    "CT": (CT_IMAGE, 512, 512, 12, _ct),
    "MR": (MR_IMAGE, 256, 256, 12, _mr),
    "MG": (MG_IMAGE, 1280, 1024, 12, _mg),
    "DX": (DX_IMAGE, 1024, 1024, 12, _dx),
    "US": (US_MULTI_FRAME, 480, 640, 8, _us),
}
MODALITIES = tuple(_KINDS)
"""Modalities that images can be made of."""
