"""A copy of a study for other hands: files with a DICOMDIR (PS3.10 §8)."""

from __future__ import annotations

import shutil
import time
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from io import BytesIO
from pathlib import Path
from typing import Any

from pydicom import Dataset
from pydicom.dataset import FileMetaDataset
from pydicom.fileset import FileSet
from pydicom.uid import UID
from sqlalchemy import Engine

from pacs_receiver.queries import find_study, instances_of
from pacs_receiver.record_keys import TooLong, read_keys
from pacs_receiver.storage import Storage, relative_path

_PLACEHOLDERS = {"PatientID": "UNKNOWN", "StudyID": "1", "Modality": "OT", "SeriesNumber": "1", "InstanceNumber": "1"}


def _with_all_keys(ds: Dataset, arrived_at: float) -> Dataset:
    """Fill what a directory record must have (PS3.3 §F.5) and devices leave empty; the copied file stays as it is."""
    arrival = time.localtime(arrived_at)
    dates = {"StudyDate": time.strftime("%Y%m%d", arrival), "StudyTime": time.strftime("%H%M%S", arrival)}
    for keyword, value in (_PLACEHOLDERS | dates).items():
        if not ds.get(keyword):
            setattr(ds, keyword, value)
    return ds


def _keys_of(path: Path, row: Mapping[str, Any], of_study: Mapping[str, Any]) -> Dataset:
    try:
        ds = read_keys(path)
    except TooLong:
        return _keys_of_row(row, of_study)
    found = (ds.get("StudyInstanceUID"), ds.get("SeriesInstanceUID"), ds.get("SOPInstanceUID"))
    is_other = found != (row["study_uid"], row["series_uid"], row["sop_instance_uid"])
    # of a data set that is odd the index knows more than pydicom, which takes the last of an element that is repeated
    return _keys_of_row(row, of_study) if row["odd"] and is_other else ds


def _keys_of_row(row: Mapping[str, Any], of_study: Mapping[str, Any]) -> Dataset:
    """Return what the index knows, for a file that says it behind more than is read for a DICOMDIR, or oddly."""
    ds = Dataset()
    ds.SpecificCharacterSet = "ISO_IR 192"
    # whom the files name, as they are copied, and not whose the study has become since
    ds.PatientID, ds.PatientName = row["patient_id"], row["patient_name"]
    ds.StudyDate, ds.StudyTime = of_study["study_date"], of_study["study_time"]
    ds.StudyID, ds.AccessionNumber = of_study["study_id"], of_study["accession_number"]
    ds.StudyDescription = of_study["description"]
    ds.Modality, ds.SeriesNumber = row["modality"], row["series_number"]
    ds.SOPClassUID, ds.SOPInstanceUID = row["sop_class_uid"], row["sop_instance_uid"]
    ds.StudyInstanceUID, ds.SeriesInstanceUID = row["study_uid"], row["series_uid"]
    ds.InstanceNumber = row["instance_number"]
    ds.file_meta = FileMetaDataset()
    ds.file_meta.MediaStorageSOPClassUID, ds.file_meta.MediaStorageSOPInstanceUID = ds.SOPClassUID, ds.SOPInstanceUID
    ds.file_meta.TransferSyntaxUID = UID(row["transfer_syntax_uid"])
    return ds


@dataclass(slots=True)
class Exported:
    """What was written, and the SOP Instance UIDs that could not be, each with the kind of problem."""

    instances: int = 0
    left_out: list[tuple[str, str]] = field(default_factory=list)


def export_study(
    engine: Engine,
    storage: Storage,
    study_uid: str,
    target: Path,
    *,
    patient_id: str | None = None,
    progress: Callable[[int], object] | None = None,
) -> Exported:
    """Copy a study into the folder ``target``, which must be empty or absent, with a DICOMDIR.

    ``patient_id`` leaves out the images that name another patient: a copy for one goes without the other's.
    """
    exported = Exported()
    of_study = find_study(engine, study_uid)
    if of_study is None:
        return exported
    files = FileSet()
    sources: dict[str, Path] = {}
    for row in instances_of(engine, study_uid):
        if patient_id is not None and row["patient_id"] != patient_id:
            continue
        path = storage.root / relative_path(row["study_uid"], row["series_uid"], row["sop_instance_uid"])
        problem = _add(files, row, partial(_keys_of, path, row, of_study))
        if problem and path.exists() and path.stat().st_size == row["file_bytes"]:
            # pydicom can't read it, as a UN of undefined length in big endian, but the index knows whose it is
            problem = _add(files, row, partial(_keys_of_row, row, of_study))
        if problem:
            exported.left_out.append((row["sop_instance_uid"], problem))
            continue
        exported.instances += 1
        sources[row["sop_instance_uid"]] = path
    if exported.instances:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            files.write(target)
    for copied in files:
        shutil.copyfile(sources[copied.SOPInstanceUID], copied.path)
        if progress is not None:
            progress(1)
    return exported


def _add(files: FileSet, row: Mapping[str, Any], keys: Callable[[], Dataset]) -> str:
    """Add what the DICOMDIR's records say of an instance; return the kind of problem, if any.

    The file's own bytes are copied at the end.
    """
    try:
        with warnings.catch_warnings():
            # the values are the modality's, and are copied as they are
            warnings.simplefilter("ignore")
            ds = _with_all_keys(keys(), row["arrived_at"])
            ds.save_as(BytesIO(), enforce_file_format=True)  # what can't be written must not be half added
            files.add(ds)
    except Exception as error:  # noqa: BLE001 - pydicom raises many kinds on what devices send; all are reported
        return type(error).__name__
    return ""
