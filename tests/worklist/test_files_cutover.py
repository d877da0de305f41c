"""What is in the files of a real department on the day of the change, and what becomes of it."""

from __future__ import annotations

import datetime
import json
from collections.abc import Callable
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from pydicom import Dataset, dcmread

from dicom_encoding.syntaxes import EXPLICIT_LITTLE, IMPLICIT_LITTLE
from mwl_admin.models import Patient, RequestedProcedure, ScheduledProcedureStep, Station, StepStatus
from tests.factory import make_code, make_patient, make_station, make_step
from tests.worklist.queries import answers, encoded, identifier

pytestmark = pytest.mark.usefixtures("rolled_back")

JANE: dict[str, Any] = {
    "SpecificCharacterSet": "ISO_IR 192",
    "PatientID": "P-1",
    "PatientName": "Doe^Jane",
    "PatientBirthDate": "19500701",
    "PatientSex": "F",
    "AccessionNumber": "A-1",
    "StudyInstanceUID": "1.2.3.1",
    "RequestedProcedureID": "R-1",
    "RequestedProcedureDescription": "CT thorax",
}
JOHN: dict[str, Any] = {
    **JANE,
    "PatientName": "Roe^John",
    "PatientBirthDate": "19710228",
    "PatientSex": "M",
    "AccessionNumber": "A-2",
    "StudyInstanceUID": "1.2.3.2",
}
STEP: dict[str, Any] = {
    "Modality": "CT",
    "ScheduledStationAETitle": "CT1",
    "ScheduledProcedureStepStartDate": "20260504",
    "ScheduledProcedureStepStartTime": "1030",
    "ScheduledProcedureStepID": "1",
    "ScheduledProcedureStepDescription": "thorax",
}


def data_set(*steps: dict[str, Any], **values: Any) -> Dataset:
    """A data set with these steps; None leaves an attribute out."""
    ds = identifier(None, **{name: value for name, value in {**JANE, **values}.items() if value is not None})
    ds.ScheduledProcedureStepSequence = [identifier(None, **step) for step in steps or [STEP]]
    return ds


def write(path: Path, *steps: dict[str, Any], **values: Any) -> Path:
    path.write_bytes(encoded(data_set(*steps, **values), EXPLICIT_LITTLE))
    return path


class Run:
    """One run of a command, and what it told."""

    def __init__(self, command: str, *arguments: object) -> None:
        out, errors = StringIO(), StringIO()
        self.status, self.message = 0, ""
        try:
            call_command(command, *map(str, arguments), stdout=out, stderr=errors)
        except CommandError as error:
            self.status, self.message = error.returncode, str(error)
        self.out, self.errors = out.getvalue(), errors.getvalue()

    @property
    def json(self) -> dict[str, Any]:
        (line,) = self.out.splitlines()
        told: dict[str, Any] = json.loads(line)
        return told


def run(*arguments: object) -> Run:
    return Run("import_wl", *arguments)


def offered() -> list[tuple[str, str]]:
    """Return what a modality is offered: patient and accession number of each step."""
    found = answers(identifier({}, PatientName="", AccessionNumber="", PatientSex=""))
    return [(str(ds.PatientName), ds.AccessionNumber) for ds in found]


# --- 1: two persons under one ID


@pytest.mark.parametrize("patient_id", ["P-1", "0"])
def test_of_two_persons_under_one_id_the_second_is_refused_and_it_is_told_in_what_they_differ(
    tmp_path: Path, patient_id: str
) -> None:
    write(tmp_path / "a.wl", PatientID=patient_id)
    write(tmp_path / "b.wl", **{**JOHN, "PatientID": patient_id, "Allergies": "Latex"})
    done = run(tmp_path)
    assert (done.status, done.message) == (1, "1 of 2 files could not be taken")
    assert "b.wl: PatientID: belongs to a patient with another name, birth date, sex." in done.errors
    assert "--placeholder-ids" in done.errors
    assert offered() == [("Doe^Jane", "A-1")]
    assert Patient.objects.get().allergies == ""


def test_a_record_made_by_other_ways_is_not_renamed_and_a_dry_run_says_so_too(tmp_path: Path) -> None:
    patient = make_patient(patient_id="P-1", family_name="Doe", given_name="Jane")
    path = write(tmp_path / "b.wl", **JOHN)
    for arguments in (["--dry-run", path], [path]):
        done = run(*arguments)
        assert done.status == 1
        assert "another name" in done.errors
    patient.refresh_from_db()
    assert patient.patient_name == "Doe^Jane"


@pytest.mark.parametrize("patient_id", ["0", "000", "UNKNOWN", "", "n/a"])
def test_placeholder_ids_get_records_of_their_own_and_the_same_ones_when_read_again(
    tmp_path: Path, patient_id: str
) -> None:
    write(tmp_path / "a.wl", PatientID=patient_id)
    write(tmp_path / "b.wl", **{**JOHN, "PatientID": patient_id})
    for _ in range(2):
        done = run("--placeholder-ids", tmp_path)
        assert (done.status, done.errors) == (0, "")
        assert sorted(offered()) == [("Doe^Jane", "A-1"), ("Roe^John", "A-2")]
        ids = set(Patient.objects.values_list("patient_id", flat=True))
        assert len(ids) == 2
        assert all(made.startswith("TEMP-") for made in ids)
    write(tmp_path / "c.wl", **{**JOHN, "PatientID": patient_id, "AccessionNumber": "A-1", "StudyInstanceUID": None})
    assert run("--placeholder-ids", tmp_path).status == 1
    assert sorted(offered()) == [("Doe^Jane", "A-1"), ("Roe^John", "A-2")]


def test_without_the_option_a_missing_id_is_refused_and_the_option_named(tmp_path: Path) -> None:
    done = run(write(tmp_path / "a.wl", PatientID=""))
    assert done.status == 1
    assert "PatientID: is required; --placeholder-ids" in done.errors


# --- 2: statuses


def test_our_own_export_of_all_comes_back_as_it_was(tmp_path: Path) -> None:
    for status in StepStatus:
        make_step(status=status, requested={"requested_procedure_priority": ""})
    before = list(ScheduledProcedureStep.objects.order_by("scheduled_procedure_step_id").values_list(*_ALL_OF_STEP))
    orders = list(RequestedProcedure.objects.order_by("accession_number").values_list(*_ALL_OF_ORDER))
    assert Run("export_wl", tmp_path, "--all").status == 0
    RequestedProcedure.objects.all().delete()
    Patient.objects.all().delete()
    for _ in range(2):
        done = run(tmp_path)
        assert (done.status, done.errors) == (0, "")
        assert "note" not in done.out
        after = ScheduledProcedureStep.objects.order_by("scheduled_procedure_step_id").values_list(*_ALL_OF_STEP)
        assert list(after) == before
        assert list(RequestedProcedure.objects.order_by("accession_number").values_list(*_ALL_OF_ORDER)) == orders


def test_a_step_for_any_station_comes_back_so_unless_its_file_was_changed(tmp_path: Path) -> None:
    make_station("CT1")
    make_station("SCANNER2")
    make_step(requested={"accession_number": "A-ANY"})
    make_step(requested={"accession_number": "A-CHANGED"})
    Run("export_wl", tmp_path)
    files = {ds.AccessionNumber: (path, ds) for path in tmp_path.glob("*.wl") for ds in (dcmread(path),)}
    path, changed = files["A-CHANGED"]
    assert list(changed.ScheduledProcedureStepSequence[0].ScheduledStationAETitle) == ["CT1", "SCANNER2"]
    changed.ScheduledProcedureStepSequence[0].ScheduledStationAETitle = "CT1"
    changed.save_as(path)
    RequestedProcedure.objects.all().delete()
    for _ in range(2):
        assert run(tmp_path).status == 0
        stations = {
            step.requested_procedure.accession_number: [station.ae_title for station in step.stations.all()]
            for step in ScheduledProcedureStep.objects.all()
        }
        assert stations == {"A-ANY": [], "A-CHANGED": ["CT1"]}


_ALL_OF_STEP = (
    "scheduled_procedure_step_id",
    "status",
    "modality",
    "scheduled_date",
    "scheduled_time",
    "scheduled_procedure_step_description",
    "requested_procedure__accession_number",
    "requested_procedure__patient__patient_id",
    "stations",
    "protocol_codes",
)
_ALL_OF_ORDER = (
    "accession_number",
    "study_instance_uid",
    "requested_procedure_id",
    "requested_procedure_description",
    "requested_procedure_priority",
    "patient__patient_id",
    "patient__family_name",
)


@pytest.mark.parametrize(
    ("word", "status"),
    [
        *((status.value, status) for status in StepStatus),
        ("CANCELED", StepStatus.CANCELLED),
        ("IN PROGRESS", StepStatus.STARTED),
        ("DEPARTED", StepStatus.COMPLETED),
        ("", StepStatus.SCHEDULED),
        ("WAITING FOR TEA", StepStatus.SCHEDULED),
    ],
)
def test_every_status_is_taken_and_only_open_steps_are_offered(tmp_path: Path, word: str, status: StepStatus) -> None:
    done = run(write(tmp_path / "a.wl", {**STEP, "ScheduledProcedureStepStatus": word}))
    assert ScheduledProcedureStep.objects.get().status == status
    assert ("is no status" in done.out) is (word == "WAITING FOR TEA")
    assert bool(offered()) is (status in {"SCHEDULED", "ARRIVED", "READY", "STARTED"})


@pytest.mark.parametrize(
    ("here", "told", "then", "noted"),
    [
        ("SCHEDULED", "ARRIVED", "ARRIVED", False),
        ("ARRIVED", "SCHEDULED", "ARRIVED", False),
        ("STARTED", "COMPLETED", "COMPLETED", False),
        ("SCHEDULED", "CANCELLED", "CANCELLED", False),
        ("COMPLETED", "SCHEDULED", "COMPLETED", True),
        ("STARTED", "CANCELLED", "STARTED", True),
    ],
)
def test_the_status_of_a_known_step_only_goes_on(tmp_path: Path, here: str, told: str, then: str, noted: bool) -> None:
    path = tmp_path / "a.wl"
    run(write(path, {**STEP, "ScheduledProcedureStepStatus": here}))
    done = run(write(path, {**STEP, "ScheduledProcedureStepStatus": told}))
    assert ScheduledProcedureStep.objects.get().status == then
    assert ("note: " in done.out) is noted


def test_what_is_over_is_told_to_nobody_as_a_status_of_the_worklist() -> None:
    make_step(status=StepStatus.COMPLETED)
    from mwl_admin.worklist.policy import Policy

    (ds,) = answers(identifier({"ScheduledProcedureStepStatus": ""}), policy=Policy(hide_ended=False))
    assert ds.ScheduledProcedureStepSequence[0].ScheduledProcedureStepStatus in {"", None}


# --- 3: character sets


def latin_1(path: Path, term: str | None, name: str = "Müller^Änne", encoding: str = "latin-1") -> Path:
    """A file whose name is in one set and whose Specific Character Set says another."""
    data = encoded(data_set(PatientName="N" * 12, SpecificCharacterSet=term), EXPLICIT_LITTLE)
    path.write_bytes(data.replace(b"N" * 12, name.encode(encoding).ljust(12)[:12]))
    return path


@pytest.mark.parametrize(
    ("term", "words"),
    [
        (None, "PatientName: is not ASCII, and the file names no character set."),
        ("", "PatientName: is not ASCII, and the file names no character set."),
        ("ISO_IR 192", "PatientName: is not written in ISO_IR 192, which the file names."),
        ("LATIN1", "PatientName: is not written in LATIN1, which the file names."),
    ],
)
def test_text_that_is_not_in_its_character_set_is_refused_and_taken_when_told_which(
    tmp_path: Path, term: str | None, words: str
) -> None:
    path = latin_1(tmp_path / "odd.wl", term)
    done = run(path)
    assert done.status == 1
    assert f"{path}: {words}" in done.errors
    assert "--character-set" in done.errors
    assert not Patient.objects.exists()
    done = run("--character-set", "ISO_IR 100", path)
    assert done.status == 0
    assert "SpecificCharacterSet: " in done.out
    assert Patient.objects.get().patient_name == "Müller^Änne"


@pytest.mark.parametrize(("name", "encoding"), [("Mül^Änne", "utf-8"), ("M\u0161l^Anne", "cp1252")])
def test_utf_8_and_windows_letters_are_not_taken_for_latin_1(tmp_path: Path, name: str, encoding: str) -> None:
    path = latin_1(tmp_path / "odd.wl", "ISO_IR 100", name, encoding)
    assert run(path).status == 1
    if encoding == "utf-8":
        assert run("--character-set", "ISO_IR 192", path).status == 0
        assert Patient.objects.get().patient_name == name


def test_a_set_that_is_right_is_not_overruled_and_one_that_is_none_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "a.wl", PatientName="Müller^Änne")
    assert run("--character-set", "ISO_IR 100", path).status == 0
    assert Patient.objects.get().patient_name == "Müller^Änne"
    wrong = run("--character-set", "LATIN1", path)
    assert (wrong.status, wrong.out) == (2, "")
    assert "ISO_IR 100" in wrong.message


def test_an_export_that_loses_letters_names_the_entries(tmp_path: Path) -> None:
    make_step(patient={"family_name": "Łukasz", "given_name": "Čeněk"}, requested={"accession_number": "A-LOST"})
    make_step(patient={"family_name": "Müller"})
    done = Run("export_wl", tmp_path, "--character-set", "ISO_IR 100")
    assert (done.status, done.message) == (1, "1 of 2 files lost letters: choose another --character-set")
    assert "(accession number A-LOST): ISO_IR 100 does not have Č ě Ł, written as ?" in done.errors
    assert Run("export_wl", tmp_path).status == 0
    assert Run("export_wl", tmp_path, "--character-set", "LATIN1").status == 2


# --- 4: steps


def test_a_step_id_is_one_of_its_order_only(tmp_path: Path) -> None:
    write(tmp_path / "a.wl")
    write(tmp_path / "b.wl", **{**JOHN, "PatientID": "P-2"})
    assert run(tmp_path).status == 0
    assert list(ScheduledProcedureStep.objects.values_list("scheduled_procedure_step_id", flat=True)) == ["1", "1"]
    assert "0 steps made, 2 updated" in run(tmp_path).out


def test_a_step_id_that_is_doubled_in_its_order_is_replaced_and_told_and_reading_again_makes_nothing(
    tmp_path: Path,
) -> None:
    write(tmp_path / "a.wl", STEP, {**STEP, "Modality": "MR"})
    write(tmp_path / "b.wl", {**STEP, "ScheduledProcedureStepStartTime": "1400"})
    write(tmp_path / "copy of a.wl", STEP, {**STEP, "Modality": "MR"})
    done = run(tmp_path)
    assert done.status == 0
    ids = dict(ScheduledProcedureStep.objects.values_list("scheduled_procedure_step_id", "modality"))
    assert (len(ids), ids["1"]) == (3, "CT")
    assert done.out.count("1 is another step's of this order; S") == 2
    again = run(tmp_path)
    assert "0 steps made, 5 updated" in again.out
    assert ScheduledProcedureStep.objects.count() == 3


@pytest.mark.parametrize("names", ["abc", "acb", "cab"])
def test_a_doubled_step_id_is_no_copy_of_a_step_of_another_id(tmp_path: Path, names: str) -> None:
    mr = {**STEP, "Modality": "MR"}
    steps = (STEP, {**mr, "ScheduledProcedureStepID": "2"}, mr)
    for name, step in zip(names, steps, strict=True):
        write(tmp_path / f"{name}.wl", step)
    done = run(tmp_path)
    assert done.status == 0
    assert done.out.count("is another step's of this order; S") == 1
    assert ScheduledProcedureStep.objects.count() == 3
    assert {"1", "2"} < {*ScheduledProcedureStep.objects.values_list("scheduled_procedure_step_id", flat=True)}
    assert "0 steps made, 3 updated" in run(tmp_path).out
    assert ScheduledProcedureStep.objects.count() == 3


def test_steps_without_an_id_get_one_and_are_known_again(tmp_path: Path) -> None:
    path = write(tmp_path / "a.wl", {**STEP, "ScheduledProcedureStepID": ""})
    run(path)
    made = ScheduledProcedureStep.objects.get().scheduled_procedure_step_id
    assert "0 steps made, 1 updated" in run(path).out
    assert ScheduledProcedureStep.objects.get().scheduled_procedure_step_id == made


def test_what_a_station_has_read_under_an_id_never_becomes_another_examination(tmp_path: Path) -> None:
    run(write(tmp_path / "a.wl"))
    done = run(write(tmp_path / "b.wl", {**STEP, "Modality": "MR", "ScheduledStationAETitle": "MR1"}))
    assert "1 is another step's of this order" in done.out
    assert sorted(ScheduledProcedureStep.objects.values_list("modality", flat=True)) == ["CT", "MR"]
    # Another time is the same examination, put off.
    moved = run(write(tmp_path / "a.wl", {**STEP, "ScheduledProcedureStepStartTime": "1500"}))
    assert "0 steps made, 1 updated" in moved.out
    assert ScheduledProcedureStep.objects.get(scheduled_procedure_step_id="1").scheduled_time == datetime.time(15)


def test_an_order_without_number_and_uid_is_known_again(tmp_path: Path) -> None:
    path = write(tmp_path / "a.wl", AccessionNumber=None, StudyInstanceUID=None)
    assert "was made of the entry" in run(path).out
    assert "0 steps made, 1 updated" in run(path).out
    assert RequestedProcedure.objects.count() == 1


# --- 5: odd values


ODD: list[tuple[dict[str, Any], dict[str, Any], str]] = [
    ({"PatientBirthDate": "00000000"}, {}, "PatientBirthDate"),
    ({"PatientBirthDate": "19450000"}, {}, "PatientBirthDate"),
    ({"PatientBirthDate": "29990101"}, {}, "PatientBirthDate"),
    ({"PatientSex": "U"}, {}, "PatientSex"),
    ({"PatientSize": "172"}, {}, "PatientSize"),
    ({"PatientSize": "1.7E9"}, {}, "PatientSize"),
    ({"PatientWeight": "-1"}, {}, "PatientWeight"),
    ({"PregnancyStatus": 9}, {}, "PregnancyStatus"),
    ({"PatientState": "x" * 65}, {}, "PatientState"),
    ({"SpecialNeeds": "one\\two"}, {}, "SpecialNeeds"),
    ({"Allergies": "Reacted to iodinated contrast agent in 1999 with urticaria and dyspnoea"}, {}, "Allergies"),
    ({"RequestedProcedurePriority": "URGENT"}, {}, "RequestedProcedurePriority"),
    ({"StudyInstanceUID": "1.02.3"}, {}, "StudyInstanceUID"),
    ({"StudyInstanceUID": "1..2"}, {}, "StudyInstanceUID"),
    ({"AccessionNumber": "A-123456789012345678"}, {}, "AccessionNumber"),
    ({"RequestedProcedureID": "R-123456789012345678"}, {}, "RequestedProcedureID"),
    ({"ReferringPhysicianName": "a^b^c^d^e^f"}, {}, "ReferringPhysicianName"),
    ({"RequestedProcedureDescription": "two\nlines"}, {}, "RequestedProcedureDescription"),
    ({}, {"ScheduledProcedureStepStartTime": "240000"}, "ScheduledProcedureStepStartTime"),
    ({}, {"ScheduledProcedureStepStartTime": "noon"}, "ScheduledProcedureStepStartTime"),
    ({}, {"Modality": "CT\\DX"}, "Modality"),
    ({}, {"ScheduledStationAETitle": "AN AE TITLE TOO LONG"}, "ScheduledStationAETitle"),
    ({}, {"ScheduledProcedureStepID": "S-123456789012345678"}, "ScheduledProcedureStepID"),
    ({}, {"ScheduledProcedureStepLocation": "x" * 17}, "ScheduledProcedureStepLocation"),
    ({}, {"ScheduledProtocolCodeSequence": [{"CodeValue": "1"}]}, "ScheduledProtocolCodeSequence"),
    ({"RequestedProcedureCodeSequence": [{"CodeValue": "1"}]}, {}, "RequestedProcedureCodeSequence"),
]


@pytest.mark.parametrize(("order", "step", "attribute"), ODD)
def test_an_odd_value_is_left_out_with_a_note_and_the_patient_is_on_the_list(
    tmp_path: Path, order: dict[str, Any], step: dict[str, Any], attribute: str
) -> None:
    codes = {
        name: [identifier(None, **code) for code in value]
        for name, value in {**order, **step}.items()
        if isinstance(value, list)
    }
    order, step = ({name: codes.get(name, value) for name, value in part.items()} for part in (order, step))
    path = write(tmp_path / "a.wl", {**STEP, **step}, **order)
    done = run("--json", path)
    assert done.status == 0, done.errors
    assert [note["attribute"].rpartition(".")[2] for note in done.json["left_out"]] == [attribute]
    assert len(offered()) == 1
    assert offered()[0][0] == "Doe^Jane"
    # Reading it again, with its oddities, makes nothing twice.
    again = run("--json", path).json
    assert (again["created"], again["refused"]) == (0, 0)
    assert (Patient.objects.count(), ScheduledProcedureStep.objects.count()) == (1, 1)


def test_what_was_odd_is_as_absent_and_the_record_says_of_the_birth_date(tmp_path: Path) -> None:
    path = write(
        tmp_path / "a.wl",
        {**STEP, "Modality": "CT\\DX", "ScheduledProcedureStepStartTime": "240000"},
        PatientBirthDate="19450000",
        RequestedProcedurePriority="URGENT",
        PatientComments="walks",
    )
    for _ in range(2):
        run(path)
    step = ScheduledProcedureStep.objects.get()
    assert (step.modality, step.scheduled_time) == ("CT", datetime.time())
    assert step.requested_procedure.requested_procedure_priority == ""
    patient = Patient.objects.get()
    assert patient.patient_birth_date is None
    assert patient.patient_comments == "walks\nBirth date in the worklist file: 19450000"


def test_a_long_allergy_is_neither_cut_nor_left_out(tmp_path: Path) -> None:
    text = "Reacted to iodinated contrast agent in 1999 with urticaria and dyspnoea"
    run(write(tmp_path / "a.wl", Allergies=text))
    assert Patient.objects.get().allergies.replace("\n", " ") == text


@pytest.mark.parametrize(
    ("order", "step", "words"),
    [
        ({"PatientName": ""}, {}, "PatientName: is required"),
        ({"PatientName": "a^b^c^d^e^f"}, {}, "PatientName: has at most five parts"),
        ({"PatientID": "x" * 65}, {}, "PatientID: This value has 65"),
        ({"PatientID": "P-1\\P-2"}, {}, "PatientID: has several values"),
        ({"PatientName": "Doe^Jane\\Roe^John"}, {}, "PatientName: has several values"),
        ({"AccessionNumber": "A-1\\A-2"}, {}, "AccessionNumber: has several values"),
        ({"StudyInstanceUID": "1.2\\1.3"}, {}, "StudyInstanceUID: has several values"),
        ({}, {"ScheduledProcedureStepID": "1\\2"}, "ScheduledProcedureStepID: has several values"),
        ({}, {"ScheduledProcedureStepStartDate": ""}, "ScheduledProcedureStepStartDate: is required"),
        ({}, {"ScheduledProcedureStepStartDate": "20260231"}, "ScheduledProcedureStepStartDate: “20260231” is not"),
        ({}, {"Modality": ""}, "Modality: is required"),
        ({}, {"Modality": "C-T"}, "Modality: Only capital letters"),
    ],
)
def test_a_file_that_does_not_say_who_what_or_when_is_refused(
    tmp_path: Path, order: dict[str, Any], step: dict[str, Any], words: str
) -> None:
    done = run(write(tmp_path / "a.wl", {**STEP, **step}, **order))
    assert done.status == 1
    assert words in done.errors
    assert not Patient.objects.exists()


def test_pregnancy_and_all_else_that_is_known_survives_export_and_import(tmp_path: Path) -> None:
    code = make_code()
    make_step(
        patient={
            "given_name": "Jane",
            "patient_birth_date": datetime.date(1950, 7, 1),
            "pregnancy_status": 3,
            "patient_size": "1.720",
            "allergies": "Latex\nIodine",
            "patient_comments": "a\\b\nline two",
        },
        requested={"reason_for_the_requested_procedure": "cough"},
        stations=[make_station("CT1", station_name=""), make_station("CT2", station_name="Room 2")],
        protocol_codes=[code],
    )
    Run("export_wl", tmp_path)
    before = Patient.objects.values().get()
    ScheduledProcedureStep.objects.all().delete()
    RequestedProcedure.objects.all().delete()
    Patient.objects.all().delete()
    Station.objects.all().delete()
    assert run(tmp_path).status == 0
    after = Patient.objects.values().get()
    own = {"id", "created_at", "updated_at", "version"}
    assert {key: value for key, value in after.items() if key not in own} == {
        key: value for key, value in before.items() if key not in own
    }
    step = ScheduledProcedureStep.objects.get()
    assert [station.station_name for station in step.stations.order_by("ae_title")] == ["", ""]
    assert list(step.protocol_codes.all()) == [code]


# --- 5: the form of files


def part10(syntax: str, *, preamble: bool = True, group_length: str = "right", name_syntax: bool = True) -> bytes:
    named = syntax.encode() + b"\0" * (len(syntax) % 2)
    element = b"\x02\x00\x10\x00UI" + len(named).to_bytes(2, "little") + named if name_syntax else b""
    element += b"\x02\x00\x02\x00UI\x1a\x00" + b"1.2.840.10008.5.1.4.31\0\0\0\0"
    length = {"right": len(element), "wrong": 4}.get(group_length)
    head = b"" if length is None else b"\x02\x00\x00\x00UL\x04\x00" + length.to_bytes(4, "little")
    start = b"\0" * 128 + b"DICM" if preamble else b""
    return start + head + element + encoded(data_set(), syntax)


@pytest.mark.parametrize("syntax", [EXPLICIT_LITTLE, IMPLICIT_LITTLE])
@pytest.mark.parametrize(
    "odd", [{"group_length": "absent"}, {"group_length": "wrong"}, {"preamble": False}, {"name_syntax": False}]
)
def test_a_header_that_is_not_as_it_should_be_is_no_reason_to_refuse(
    tmp_path: Path, syntax: str, odd: dict[str, Any]
) -> None:
    (tmp_path / "a.wl").write_bytes(part10(syntax, **odd))
    assert run(tmp_path).status == 0
    assert offered() == [("Doe^Jane", "A-1")]


@pytest.mark.parametrize("cut", range(0, 300, 7))
def test_a_file_that_ends_too_early_is_refused_whole(tmp_path: Path, cut: int) -> None:
    data = part10(EXPLICIT_LITTLE)
    (tmp_path / "a.wl").write_bytes(data[: len(data) - 1 - cut])
    assert run(tmp_path).status == 1
    assert not Patient.objects.exists()


# --- 6: several files of one patient, or one order


def test_allergies_and_alerts_of_several_files_are_put_together(tmp_path: Path) -> None:
    make_patient(patient_id="P-1", family_name="Doe", given_name="Jane", allergies="Nuts")
    write(tmp_path / "a.wl", Allergies=["Latex", "Iodine"], MedicalAlerts="Pacemaker")
    write(
        tmp_path / "b.wl",
        AccessionNumber="A-2",
        StudyInstanceUID="1.2.3.2",
        Allergies=["iodine", "Penicillin"],
    )
    write(tmp_path / "c.wl", AccessionNumber="A-3", StudyInstanceUID="1.2.3.3", MedicalAlerts="MRSA")
    assert run(tmp_path).status == 0
    patient = Patient.objects.get()
    assert patient.allergies.splitlines() == ["Nuts", "Latex", "Iodine", "Penicillin"]
    assert patient.medical_alerts.splitlines() == ["Pacemaker", "MRSA"]


@pytest.mark.parametrize(
    "other",
    [{"StudyInstanceUID": "1.2.3.9"}, {"AccessionNumber": "A-9"}],
)
def test_an_order_is_not_overwritten_by_another_of_its_number_or_uid(tmp_path: Path, other: dict[str, str]) -> None:
    write(tmp_path / "a.wl")
    write(tmp_path / "b.wl", **other)
    done = run(tmp_path)
    assert done.status == 1
    assert "b.wl: StudyInstanceUID: " in done.errors
    assert RequestedProcedure.objects.get().study_instance_uid == "1.2.3.1"


# --- 7: what the run tells


def test_a_dry_run_tells_exactly_what_the_run_then_does(tmp_path: Path) -> None:
    write(tmp_path / "a.wl", PatientSex="U")
    write(tmp_path / "b.wl", **JOHN)
    write(tmp_path / "c.wl", {**STEP, "Modality": "MR"})
    write(tmp_path / "d.wl", **{**JOHN, "PatientID": "P-2", "PatientName": "Doe^Jane", "PatientBirthDate": "19500701"})
    (tmp_path / "e.wl").write_bytes(b"no DICOM")
    dry = run("--dry-run", "--json", tmp_path).json
    assert not Patient.objects.exists()
    real = run("--json", tmp_path).json
    assert (dry.pop("applied"), real.pop("applied")) == (False, True)
    assert dry == real
    assert (real["files"], real["taken"], real["refused"], real["created"]) == (5, 3, 2, 3)
    assert real["steps"] == [
        {"date": "2026-05-04", "modality": "CT", "status": "SCHEDULED", "steps": 2},
        {"date": "2026-05-04", "modality": "MR", "status": "SCHEDULED", "steps": 1},
    ]
    assert {Path(problem["file"]).name for problem in real["problems"]} == {"b.wl", "e.wl"}
    assert [note["code"] for note in real["left_out"]].count("entered_twice") == 1
    assert real["stations"] == ["CT1"]


def test_the_summary_counts_by_day_modality_and_status(tmp_path: Path) -> None:
    write(
        tmp_path / "a.wl",
        STEP,
        {**STEP, "ScheduledProcedureStepID": "2", "ScheduledProcedureStepStartDate": "20260505"},
    )
    done = run(tmp_path)
    assert done.out.splitlines()[:3] == [
        "day         modality  status     steps",
        "2026-05-04  CT        SCHEDULED      1",
        "2026-05-05  CT        SCHEDULED      1",
    ]
    assert "1 files taken, 0 not: 2 steps made, 0 updated" in done.out
    assert "Of the steps updated, 2 were so already." in run(tmp_path).out


@pytest.mark.parametrize("make", [lambda folder: folder / "nothing", lambda folder: folder])
def test_nothing_to_read_is_a_fault_of_the_call(tmp_path: Path, make: Callable[[Path], Path]) -> None:
    assert run(make(tmp_path)).status == 2


def test_text_from_files_steers_no_terminal(tmp_path: Path) -> None:
    done = run(write(tmp_path / "a.wl", RequestedProcedurePriority="\x1b[31mRED"))
    assert "\x1b" not in done.out + done.errors


def test_an_export_tells_what_was_written(tmp_path: Path) -> None:
    make_step(stations=[make_station("CT1")], scheduled_procedure_step_description="thorax")
    make_step(status="COMPLETED")
    told = Run("export_wl", tmp_path, "--all", "--json").json
    assert told["files"] == 2
    assert {(part["status"], part["steps"]) for part in told["steps"]} == {("SCHEDULED", 1), ("COMPLETED", 1)}
    (ignored,) = told["ignored_by_wlmscpfs"]
    assert ignored["lacks"] == ["RequestedProcedureDescription"]
    assert Run("export_wl", tmp_path / "x.wl" / "y", "--date=tomorrow").status == 2
    (tmp_path / "file").touch()
    assert Run("export_wl", tmp_path / "file").status == 2


def test_a_step_that_ends_is_not_left_among_those_that_are_offered(tmp_path: Path) -> None:
    step = make_step()
    Run("export_wl", tmp_path)
    step.transition(StepStatus.COMPLETED)
    Run("export_wl", tmp_path, "--all")
    assert [path.suffix for path in sorted(tmp_path.iterdir()) if path.name != "lockfile"] == [".dcm"]
