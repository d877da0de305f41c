"""The simulator's images are legal and say what they are; dciodvfy, which others wrote, checks the IODs."""

from __future__ import annotations

import datetime
import subprocess
from pathlib import Path

import pytest
from pydicom import Dataset

from simulator.examination import Examination, faults, walk_in
from simulator.images import MODALITIES, image
from simulator.pattern import frame
from tests.components import requires

STARTED = datetime.datetime(2026, 5, 4, 10, 30)  # noqa: DTZ001 - a scanner's wall clock


def entry() -> Dataset:
    ds = Dataset()
    ds.SpecificCharacterSet = "ISO_IR 192"
    ds.PatientName = "Müller^Änne"
    ds.PatientID = "P-1001"
    ds.IssuerOfPatientID = "HOSPITAL"
    ds.PatientBirthDate = "19500701"
    ds.PatientSex = "F"
    ds.PatientSize, ds.PatientWeight = "1.68", "61.5"
    ds.AccessionNumber = "A-5001"
    ds.ReferringPhysicianName = "House^Gregory"
    ds.StudyInstanceUID = "2.25.100001"
    ds.RequestedProcedureID = "RP-5001"
    ds.RequestedProcedureDescription = "CT thorax"
    ds.RequestedProcedureCodeSequence = [code("169069000", "CT of thorax")]
    study = Dataset()
    study.ReferencedSOPClassUID, study.ReferencedSOPInstanceUID = "1.2.840.10008.3.1.2.3.1", "2.25.100001"
    ds.ReferencedStudySequence = [study]
    step = Dataset()
    step.Modality = "CT"
    step.ScheduledProcedureStepID = "S-1"
    step.ScheduledProcedureStepDescription = "Thorax routine"
    step.ScheduledPerformingPhysicianName = "Grey^Meredith"
    step.ScheduledProtocolCodeSequence = [code("P1", "Routine", "99LOCAL")]
    step.ScheduledProcedureStepStartDate, step.ScheduledProcedureStepStartTime = "20260504", "103000"
    ds.ScheduledProcedureStepSequence = [step]
    return ds


def code(value: str, meaning: str, scheme: str = "SCT") -> Dataset:
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = value, scheme, meaning
    return item


def verdict(path: Path) -> list[str]:
    """Return the errors that dciodvfy finds in a file; it reports on standard error."""
    done = subprocess.run(["dciodvfy", str(path)], capture_output=True, check=False, timeout=60)
    lines = done.stderr.decode(errors="replace").splitlines()
    assert lines, "dciodvfy said nothing, not even which IOD it takes the file for"
    return [line for line in lines if line.startswith("Error")]


@requires("dicom3tools")
@pytest.mark.parametrize("scheduled", [True, False])
@pytest.mark.parametrize("modality", MODALITIES)
def test_images_pass_dciodvfy(tmp_path: Path, modality: str, scheduled: bool) -> None:
    examination = Examination(entry() if scheduled else walk_in(1), "ROOM1", modality, STARTED)
    for number in range(1, 5):
        path = tmp_path / f"{number}.dcm"
        image(examination, number, 4, size=64).save_as(path, enforce_file_format=True)
        assert verdict(path) == []


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({}, []),
        ({"PatientID": ""}, ["PatientID has no value"]),
        ({"StudyInstanceUID": "1.02"}, ["StudyInstanceUID is not a UID"]),
        (
            {"SpecificCharacterSet": None},
            ["PatientName is not ASCII, and no Specific Character Set says what it is"],
        ),
        (
            {"ScheduledProcedureStepSequence": []},
            [
                "ScheduledProcedureStepID has no value",
                "Modality has no value",
                "ScheduledProcedureStepStartDate has no value",
                "ScheduledProcedureStepStartTime has no value",
            ],
        ),
    ],
)
@pytest.mark.filterwarnings("ignore:Invalid value for VR UI")
def test_what_a_scanner_misses_in_an_entry_is_told(change: dict[str, object], told: list[str]) -> None:
    ds = entry()
    for keyword, value in change.items():
        setattr(ds, keyword, value)
    assert faults(ds) == told


def test_images_carry_what_scheduled_workflow_demands() -> None:
    examination = Examination(entry(), "ROOM1", "CT", STARTED)
    ds = image(examination, 1, 1, size=64)
    assert (ds.StudyInstanceUID, ds.AccessionNumber, ds.PatientID) == ("2.25.100001", "A-5001", "P-1001")
    assert str(ds.PatientName) == "Müller^Änne"
    assert ds.ReferencedStudySequence[0].ReferencedSOPInstanceUID == "2.25.100001"
    assert ds.ProcedureCodeSequence[0].CodeValue == "169069000"
    (request,) = ds.RequestAttributesSequence
    assert (request.RequestedProcedureID, request.ScheduledProcedureStepID) == ("RP-5001", "S-1")
    assert request.ScheduledProtocolCodeSequence[0].CodeValue == "P1"
    assert ds.PerformedProtocolCodeSequence[0].CodeValue == "P1"
    created = examination.creation()
    assert ds.PerformedProcedureStepID == created.PerformedProcedureStepID
    assert ds.PerformedProcedureStepStartTime == created.PerformedProcedureStepStartTime == "103000"
    assert ds.ReferencedPerformedProcedureStepSequence[0].ReferencedSOPInstanceUID == examination.mpps_uid
    assert ds.BurnedInAnnotation == "YES"


def test_the_mark_is_in_the_pixels() -> None:
    pixels = frame(128, 128, 8, 1, 1)
    bright = sum(value == 255 for value in pixels[: 128 * 20])
    assert bright > 60
