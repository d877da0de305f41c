"""Worklist files in and out: what other systems keep is taken over, and what we write others can serve."""

from __future__ import annotations

import datetime
import subprocess
from io import StringIO
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command
from pydicom import Dataset, dcmread

from dicom_encoding.syntaxes import EXPLICIT_BIG, EXPLICIT_LITTLE, IMPLICIT_LITTLE
from mwl_admin.models import Patient, RequestedProcedure, ScheduledProcedureStep, Station
from tests.components import requires
from tests.factory import make_station, make_step
from tests.worklist.queries import encoded, found, identifier

pytestmark = pytest.mark.usefixtures("rolled_back")


def entry(**changes: object) -> Dataset:
    """A data set as wlmscpfs keeps it, with two steps."""
    values: dict[str, object] = {
        "SpecificCharacterSet": "ISO_IR 192",
        "AccessionNumber": "A-77",
        "PatientName": "Yamada^Tarou=山田^太郎=やまだ^たろう",
        "PatientID": "P-77",
        "PatientBirthDate": "19800229",
        "PatientSex": "M",
        "PatientWeight": "71.5",
        "Allergies": ["Nuts", "Latex"],
        "StudyInstanceUID": "1.2.3.77",
        "RequestedProcedureID": "R-77",
        "RequestedProcedureDescription": "MR knee",
        "ReferringPhysicianName": "Adams^Jo",
        **changes,
    }
    ds = identifier(None, **values)
    ds.ScheduledProcedureStepSequence = [step("S-1", "0815"), step("S-2", "0900")]
    code = identifier(None, CodeValue="K1", CodingSchemeDesignator="99X", CodeMeaning="Knee")
    ds.RequestedProcedureCodeSequence = [code]
    ds.ScheduledProcedureStepSequence[0].ScheduledProtocolCodeSequence = [code]
    return ds


def step(step_id: str, time: str) -> Dataset:
    return identifier(
        None,
        Modality="MR",
        ScheduledStationAETitle="MR9",
        ScheduledStationName="Magnet",
        ScheduledProcedureStepStartDate="20260504",
        ScheduledProcedureStepStartTime=time,
        ScheduledProcedureStepID=step_id,
        ScheduledPerformingPhysicianName="Baker^Bo",
        ScheduledProcedureStepDescription="knee",
    )


def write(path: Path, ds: Dataset, transfer_syntax: str = EXPLICIT_LITTLE) -> Path:
    ds.save_as(
        path,
        implicit_vr=transfer_syntax == IMPLICIT_LITTLE,
        little_endian=transfer_syntax != EXPLICIT_BIG,
        enforce_file_format=False,
    )
    return path


def run(*arguments: object) -> tuple[str, str]:
    out, errors = StringIO(), StringIO()
    call_command("import_wl", *map(str, arguments), stdout=out, stderr=errors)
    return out.getvalue(), errors.getvalue()


def test_a_file_becomes_patient_order_and_steps(tmp_path: Path) -> None:
    out, _ = run(write(tmp_path / "a.wl", entry()))
    assert "1 files taken, 0 not: 2 steps made, 0 updated" in out
    assert "Stations that were not known before: MR9" in out
    patient = Patient.objects.get()
    assert patient.patient_name == "Yamada^Tarou=山田^太郎=やまだ^たろう"
    assert patient.patient_birth_date == datetime.date(1980, 2, 29)
    assert patient.allergies == "Nuts\nLatex"
    order = RequestedProcedure.objects.get()
    assert (order.accession_number, order.study_instance_uid, order.code_value) == ("A-77", "1.2.3.77", "K1")
    first, second = ScheduledProcedureStep.objects.all()
    assert (first.scheduled_time, second.scheduled_time) == (datetime.time(8, 15), datetime.time(9))
    assert [station.ae_title for station in first.stations.all()] == ["MR9"]
    assert [code.code_meaning for code in first.protocol_codes.all()] == ["Knee"]
    assert Station.objects.get().modality == "MR"


def test_the_same_file_again_updates_and_makes_nothing_twice(tmp_path: Path) -> None:
    run(write(tmp_path / "a.wl", entry()))
    changed = entry(RequestedProcedureDescription="MR knee left")
    out, _ = run(write(tmp_path / "a.wl", changed))
    assert "0 steps made, 2 updated" in out
    assert RequestedProcedure.objects.get().requested_procedure_description == "MR knee left"
    assert (Patient.objects.count(), ScheduledProcedureStep.objects.count()) == (1, 2)


def test_a_dry_run_tells_and_changes_nothing(tmp_path: Path) -> None:
    out, _ = run("--dry-run", write(tmp_path / "a.wl", entry()))
    assert "2 steps made, 0 updated, nothing was changed (dry run)" in out
    assert Patient.objects.count() == 0


@pytest.mark.parametrize("syntax", [IMPLICIT_LITTLE, EXPLICIT_LITTLE])
def test_a_bare_data_set_without_a_part_10_header_is_read(tmp_path: Path, syntax: str) -> None:
    (tmp_path / "bare.wl").write_bytes(encoded(entry(), syntax))
    assert "2 steps made" in run(tmp_path)[0]


@pytest.mark.parametrize(
    ("terms", "name"),
    [
        (["ISO_IR 100"], "Müller^Änne"),
        (["ISO_IR 144"], "Люкceмбypг"),
        (["", "ISO 2022 IR 87"], "Yamada^Tarou=山田^太郎=やまだ^たろう"),
        (["", "ISO 2022 IR 149"], "Hong^Gildong=洪^吉洞=홍^길동"),
        (["GB18030"], "Wang^XiaoDong=王^小东"),
    ],
)
def test_files_in_any_character_set_are_read(tmp_path: Path, terms: list[str], name: str) -> None:
    run(write(tmp_path / "a.wl", entry(SpecificCharacterSet=terms, PatientName=name)))
    assert Patient.objects.get().patient_name == name


def broken(**changes: object) -> bytes:
    return encoded(entry(**changes), EXPLICIT_LITTLE)


NO_STEP = encoded(identifier(None, PatientID="P"), EXPLICIT_LITTLE)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"Rubbish, not DICOM at all", "is not DICOM"),
        (b"", "holds no scheduled procedure step"),
        (NO_STEP, "holds no scheduled procedure step"),
        (broken(PatientID=""), "PatientID: is required"),
        (broken(PatientName=""), "PatientName: is required"),
        (broken(PatientID="x" * 65), "PatientID: This value has 65 characters"),
        (broken(PatientName="x" * 65), "PatientName: This value has 65 characters"),
        (broken()[:-30], "is not DICOM: "),
    ],
)
def test_a_file_with_an_error_is_told_and_the_others_are_taken(tmp_path: Path, content: bytes, message: str) -> None:
    (tmp_path / "bad.wl").write_bytes(content)
    write(tmp_path / "good.wl", entry())
    errors = StringIO()
    with pytest.raises(CommandError, match="1 of 2 files could not be taken"):
        call_command("import_wl", str(tmp_path), stdout=StringIO(), stderr=errors)
    assert message in errors.getvalue()
    assert ScheduledProcedureStep.objects.count() == 2


def test_an_accession_number_of_another_patient_is_refused(tmp_path: Path) -> None:
    run(write(tmp_path / "a.wl", entry()))
    errors = StringIO()
    path = write(tmp_path / "b.wl", entry(PatientID="P-78"))
    with pytest.raises(CommandError):
        call_command("import_wl", str(path), stdout=StringIO(), stderr=errors)
    assert "The accession number belongs to an order of another patient" in errors.getvalue()
    assert Patient.objects.count() == 1


def test_an_export_can_be_imported_again_without_a_change(tmp_path: Path) -> None:
    run(write(tmp_path / "a.wl", entry()))
    call_command("export_wl", str(tmp_path / "out"), stdout=StringIO())
    files = sorted((tmp_path / "out").glob("*.wl"))
    assert len(files) == 2
    assert (tmp_path / "out" / "lockfile").exists()
    ds = dcmread(files[0])
    assert ds.PatientName == "Yamada^Tarou=山田^太郎=やまだ^たろう"
    assert ds.ScheduledProcedureStepSequence[0].ScheduledStationAETitle == "MR9"
    out, errors = run(tmp_path / "out")
    assert "2 files taken, 0 not: 0 steps made, 2 updated" in out
    assert errors == ""


def test_an_export_leaves_out_what_is_finished_and_can_be_of_one_day(tmp_path: Path) -> None:
    make_step()
    make_step(status="COMPLETED")
    make_step(scheduled_date=datetime.date(2026, 5, 5))
    out = StringIO()
    call_command("export_wl", str(tmp_path), "--date=2026-05-04", stdout=out)
    assert "1 files written" in out.getvalue()
    with pytest.raises(CommandError, match="--date"):
        call_command("export_wl", str(tmp_path), "--date=tomorrow")


@requires("dcmtk")
def test_dcmtk_reads_what_is_exported(tmp_path: Path) -> None:
    make_step(patient={"family_name": "Müller"}, stations=[make_station("CT1")])
    call_command("export_wl", str(tmp_path), stdout=StringIO())
    (path,) = tmp_path.glob("*.wl")
    dump = subprocess.run(["dcmdump", "+U8", str(path)], capture_output=True, text=True, timeout=30, check=True).stdout
    assert "PN [Müller" in dump
    assert "AE [CT1" in dump
    assert found(identifier(step={"ScheduledStationAETitle": "CT1"}))
