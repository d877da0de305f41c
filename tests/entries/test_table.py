"""Files of entries: every way to be right and every kind of error, told by row and column."""

from __future__ import annotations

import csv
import datetime
import io
from collections.abc import Sequence
from typing import Any

import pytest
from openpyxl import Workbook, load_workbook

from mwl_admin.entries.tables import export
from mwl_admin.entries.tables.columns import DOWNTIME, HEADINGS
from mwl_admin.entries.tables.files import read
from mwl_admin.entries.tables.rows import CREATE, UNCHANGED, UPDATE, TableReport, import_table
from mwl_admin.entries.tables.spreadsheets import write_csv, write_xlsx
from mwl_admin.entries.tables.table_limits import TableError, TableLimits
from mwl_admin.models import Patient, RequestedProcedure, ScheduledProcedureStep, StepStatus
from tests.factory import make_procedure, make_station

pytestmark = pytest.mark.django_db

GOOD = {
    "Accession number": "A-5001",
    "Patient ID": "P-1001",
    "Family name": "Müller",
    "Given name": "Änne",
    "Birth date": "01/07/1950",
    "Sex": "female",
    "Date": "2026-05-04",
    "Time": "10:30",
    "Modality": "CT",
}


def csv_of(*rows: dict[str, Any], delimiter: str = ",", encoding: str = "utf-8") -> bytes:
    headings = list(dict.fromkeys(heading for row in rows for heading in row))
    out = io.StringIO(newline="")
    writer = csv.DictWriter(out, headings, delimiter=delimiter)
    writer.writeheader()
    writer.writerows(rows)
    return out.getvalue().encode(encoding)


def xlsx_of(*rows: Sequence[Any]) -> bytes:
    workbook = Workbook()
    sheet = workbook.active
    assert sheet is not None
    for row in rows:
        sheet.append(list(row))
    out = io.BytesIO()
    workbook.save(out)
    return out.getvalue()


def imported(*rows: dict[str, Any], **options: Any) -> TableReport:
    return import_table(read(csv_of(*rows)), **options)


def problems(report: TableReport) -> list[tuple[int, str, str]]:
    return [(row.number, heading, message) for row in report.rows for heading, message in row.problems]


def test_a_row_makes_an_entry() -> None:
    report = imported(GOOD)
    assert report.applied
    assert [row.action for row in report.rows] == [CREATE]
    step = ScheduledProcedureStep.objects.get()
    assert (step.scheduled_date, step.scheduled_time) == (datetime.date(2026, 5, 4), datetime.time(10, 30))
    patient = step.requested_procedure.patient
    assert patient.patient_name == "Müller^Änne"
    assert patient.patient_birth_date == datetime.date(1950, 7, 1)
    assert patient.patient_sex == "F"


def test_the_same_file_again_changes_nothing() -> None:
    imported(GOOD)
    versions = [RequestedProcedure.objects.get().version, ScheduledProcedureStep.objects.get().version]
    report = imported(GOOD)
    assert [row.action for row in report.rows] == [UNCHANGED]
    assert [RequestedProcedure.objects.get().version, ScheduledProcedureStep.objects.get().version] == versions


def test_a_known_accession_number_updates_its_entry() -> None:
    imported(GOOD)
    report = imported({**GOOD, "Time": "11:15", "Reason": "cough"})
    assert [row.action for row in report.rows] == [UPDATE]
    assert ScheduledProcedureStep.objects.get().scheduled_time == datetime.time(11, 15)
    assert RequestedProcedure.objects.get().reason_for_the_requested_procedure == "cough"


def test_an_empty_cell_leaves_what_is_there() -> None:
    imported({**GOOD, "Reason": "cough"})
    imported({**GOOD, "Reason": "", "Sex": ""})
    assert RequestedProcedure.objects.get().reason_for_the_requested_procedure == "cough"
    assert Patient.objects.get().patient_sex == "F"


def test_rows_of_one_accession_number_are_steps_of_one_entry() -> None:
    report = imported(GOOD, {**GOOD, "Time": "11:00", "Step description": "second"})
    assert report.applied
    assert RequestedProcedure.objects.count() == 1
    assert [step.scheduled_procedure_step_description for step in ScheduledProcedureStep.objects.all()] == [
        "",
        "second",
    ]
    assert not ScheduledProcedureStep.objects.filter(version__gt=1).exists()


def test_the_catalogue_fills_what_is_left_empty() -> None:
    make_procedure(usual_station=make_station())
    row = {heading: value for heading, value in GOOD.items() if heading != "Modality"}
    assert imported({**row, "Procedure": "ct THORAX"}).applied
    step = ScheduledProcedureStep.objects.get()
    assert (step.modality, step.scheduled_procedure_step_description) == ("CT", "CT thorax")
    assert step.requested_procedure.code_value == "169069000"
    assert [station.ae_title for station in step.stations.all()] == ["CT1"]


def test_a_dry_run_tells_and_changes_nothing() -> None:
    report = imported(GOOD, dry_run=True)
    assert [row.action for row in report.rows] == [CREATE]
    assert not report.applied
    assert not Patient.objects.exists()


def test_one_wrong_row_keeps_all_others_out() -> None:
    report = imported(GOOD, {**GOOD, "Accession number": "A-5002", "Time": "25:00"})
    assert not report.applied
    assert problems(report) == [(3, "Time", "must be a time of day, such as 10:30.")]
    assert not RequestedProcedure.objects.exists()


@pytest.mark.parametrize(
    ("change", "column", "words"),
    [
        ({"Accession number": ""}, "Accession number", "is required"),
        ({"Accession number": "A" * 17}, "Accession number", "at most 16"),
        ({"Accession number": "A\\1"}, "Accession number", "backslash"),
        ({"Patient ID": ""}, "Patient ID", "is required"),
        ({"Patient ID": "P" * 65}, "Patient ID", "at most 64"),
        ({"Family name": "", "Given name": ""}, "Family name", "is required"),
        ({"Family name": "a^b^c^d^e^f"}, "Family name", "five parts"),
        ({"Patient name": "a=b=c=d"}, "Patient name", "three forms"),
        ({"Birth date": "31/02/1980"}, "Birth date", "a date that exists"),
        ({"Birth date": "yesterday"}, "Birth date", "a date that exists"),
        ({"Birth date": "2999-01-01"}, "Birth date", "future"),
        ({"Sex": "X"}, "Sex", "valid choice"),
        ({"Size": "tall"}, "Size", "number"),
        ({"Size": "172"}, "Size", "metres"),
        ({"Weight": "-1"}, "Weight", "greater than"),
        ({"Pregnancy status": "maybe"}, "Pregnancy status", "whole number"),
        ({"Pregnancy status": "9"}, "Pregnancy status", "valid choice"),
        ({"Allergies": "x" * 65}, "Allergies", "at most 64"),
        ({"Date": ""}, "Date", "is required"),
        ({"Date": "2026-13-01"}, "Date", "a date that exists"),
        ({"Time": ""}, "Time", "is required"),
        ({"Time": "noon"}, "Time", "a time of day"),
        ({"Modality": ""}, "Modality", "is required"),
        ({"Modality": "C-T"}, "Modality", "capital letters"),
        ({"Stations": "CT9"}, "Stations", "CT9"),
        ({"Priority": "soon"}, "Priority", "valid choice"),
        ({"Procedure": "Haircut"}, "Procedure", "catalogue"),
        ({"Code value": "1"}, "Code value", "coding scheme"),
        ({"Study Instance UID": "1.02.3"}, "Study Instance UID", "zero"),
        ({"Study Instance UID": "x"}, "Study Instance UID", "digits and dots"),
        ({"Referring physician": "a^b^c^d^e^f"}, "Referring physician", "five parts"),
        ({"Step ID": "S" * 17}, "Step ID", "at most 16"),
        ({"Reason": "two\nlines"}, "Reason", "line break"),
    ],
)
def test_what_is_wrong_is_told_by_row_and_column(change: dict[str, str], column: str, words: str) -> None:
    report = imported({**GOOD, "Accession number": "A-1", "Patient ID": "P-1"}, {**GOOD, **change})
    assert not report.applied
    assert [(row, heading) for row, heading, _ in problems(report)] == [(3, column)], problems(report)
    assert words in problems(report)[0][2]
    assert not RequestedProcedure.objects.exists()


def test_all_that_is_wrong_is_told_at_once() -> None:
    report = imported({**GOOD, "Time": "noon", "Sex": "X", "Modality": "C-T"}, {**GOOD, "Accession number": ""})
    assert [(row, heading) for row, heading, _ in problems(report)] == [
        (2, "Time"),
        (2, "Sex"),
        (2, "Modality"),
        (3, "Accession number"),
    ]


def test_rows_of_one_entry_must_agree() -> None:
    report = imported(GOOD, {**GOOD, "Time": "11:00", "Patient ID": "P-2"})
    assert problems(report) == [(3, "Patient ID", "differs from row 2, which is of the same entry.")]


def test_one_patient_id_has_one_name_in_a_file() -> None:
    report = imported(GOOD, {**GOOD, "Accession number": "A-2", "Family name": "Doe"})
    assert problems(report) == [(3, "Patient ID", "has another name in row 2.")]


def test_an_accession_number_of_another_patient_is_refused() -> None:
    imported(GOOD)
    report = imported({**GOOD, "Patient ID": "P-2"})
    assert [(row, column) for row, column, _ in problems(report)] == [(2, "Patient ID")]
    assert "another patient" in problems(report)[0][2]


def test_a_patient_id_does_not_become_somebody_else() -> None:
    imported(GOOD)
    report = imported({**GOOD, "Accession number": "A-2", "Family name": "Doe", "Birth date": "1971-02-28"})
    assert [(row, column) for row, column, _ in problems(report)] == [(2, "Patient ID")]


def test_a_study_instance_uid_of_another_entry_is_refused() -> None:
    imported({**GOOD, "Study Instance UID": "2.25.1"})
    report = imported({**GOOD, "Accession number": "A-2", "Study Instance UID": "2.25.1"})
    assert problems(report) == [(2, "Study Instance UID", "belongs to another entry.")]


def test_a_step_id_of_another_entry_is_refused() -> None:
    imported({**GOOD, "Step ID": "S-1"})
    report = imported({**GOOD, "Accession number": "A-2", "Step ID": "S-1"})
    assert problems(report) == [(2, "Step ID", "belongs to a step of another entry.")]


def test_which_of_several_steps_is_meant_must_be_told() -> None:
    imported(GOOD, {**GOOD, "Time": "11:00"})
    report = imported({**GOOD, "Time": "12:00"})
    assert [(row, column) for row, column, _ in problems(report)] == [(2, "Step ID")]
    step = ScheduledProcedureStep.objects.all()[1]
    assert imported({**GOOD, "Time": "12:00", "Step ID": step.scheduled_procedure_step_id}).applied
    step.refresh_from_db()
    assert step.scheduled_time == datetime.time(12)


def test_a_nightly_file_does_not_wake_up_what_is_cancelled() -> None:
    imported(GOOD)
    ScheduledProcedureStep.objects.get().transition(StepStatus.CANCELLED)
    report = imported({**GOOD, "Time": "12:00"})
    assert report.applied
    assert [row.action for row in report.rows] == [UNCHANGED]
    assert "cancelled" in report.rows[0].note
    step = ScheduledProcedureStep.objects.get()
    assert (step.status, step.scheduled_time) == (StepStatus.CANCELLED, datetime.time(10, 30))


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "cp1252", "utf-16"])
def test_csv_is_read_as_programs_and_spreadsheets_write_it(delimiter: str, encoding: str) -> None:
    table = read(csv_of(GOOD, delimiter=delimiter, encoding=encoding))
    assert import_table(table).applied
    assert Patient.objects.get().family_name == "Müller"


def test_a_workbook_is_read_with_its_own_dates_times_and_numbers() -> None:
    data = xlsx_of(
        ["accession_number", "PatientID", "Family name", "Birth date", "Date", "Time", "Modality", "Weight"],
        [],
        [
            5001,
            1001.0,
            "Doe",
            datetime.date(1971, 2, 28),
            datetime.datetime.fromisoformat("2026-05-04"),
            datetime.time(9),
            "CT",
            72.5,
        ],
    )
    report = import_table(read(data))
    assert report.applied
    assert [row.number for row in report.rows] == [3]
    step = ScheduledProcedureStep.objects.get()
    assert step.requested_procedure.accession_number == "5001"
    assert step.requested_procedure.patient.patient_id == "1001"
    assert step.scheduled_date == datetime.date(2026, 5, 4)


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "empty"),
        (b"\n\n", "empty"),
        (b"Accession number,Patient ID\n", "no rows"),
        (b"Accession number,Shoe size\n1,2\n", "Shoe size"),
        (b"Accession number,Patient IDs\n1,2\n", "Do you mean"),
        (b"Accession number,accession_number\n1,2\n", "twice"),
        (b"Accession number,,Patient ID\n1,2,3\n", "no heading"),
        (b"Patient ID\n1\n", "is missing"),
        (b'Accession number,Patient ID\n"1,2\n', "quotation mark"),
        (b"PK\x03\x04 but no workbook", "not an XLSX"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1", "old format"),
        (b"\x00\x01\x02", "neither CSV nor XLSX"),
        (b"Accession number\n" + b"1\n" * (TableLimits().rows + 1), "split it"),
    ],
)
def test_a_file_that_is_no_such_table_is_refused_whole(data: bytes, words: str) -> None:
    with pytest.raises(TableError, match=words):
        import_table(read(data))


def test_a_row_with_more_cells_than_headings_is_told() -> None:
    report = import_table(read(b"Accession number,Patient ID\nA,P,surplus\n"))
    assert (2, "", "has more cells than there are headings.") in problems(report)


@pytest.mark.parametrize("write", [write_csv, write_xlsx])
def test_what_is_exported_can_be_imported_and_changes_nothing(write: Any) -> None:
    make_station()
    assert imported(
        {**GOOD, "Stations": "CT1", "Allergies": "Iodine; Latex", "Weight": "72.50", "Reason": "=1+1", "Size": "1.7"},
        {
            **GOOD,
            "Accession number": "A-2",
            "Time": "11:00:30",
            "Patient name": "Yamada^Tarou=山田^太郎",
            "Patient ID": "2",
        }
        | {"Family name": "", "Given name": ""},
    ).applied
    table = read(write(export.headings(), export.rows(ScheduledProcedureStep.objects.all())))
    report = import_table(table)
    assert problems(report) == []
    assert [row.action for row in report.rows] == [UNCHANGED, UNCHANGED]
    assert RequestedProcedure.objects.get(accession_number="A-5001").reason_for_the_requested_procedure == "=1+1"


def test_the_template_has_each_column_that_is_read_and_no_rows() -> None:
    read_ones = [name for name in export.headings() if name not in DOWNTIME]
    assert read_headings(export.template_csv()) == read_ones
    workbook = load_workbook(io.BytesIO(export.template_xlsx()))
    assert [cell.value for cell in workbook["Entries"][1]] == read_ones
    assert workbook["Entries"].max_row == 1
    assert workbook.worksheets[1].max_row == len(HEADINGS) - len(DOWNTIME) + 1


def read_headings(data: bytes) -> list[str]:
    return next(csv.reader(io.StringIO(data.decode("utf-8-sig"))))


@pytest.mark.parametrize(("style", "day"), [("d/m/Y", 4), ("d.m.Y", 4), ("Y-m-d", 4), ("m/d/Y", 5)])
def test_a_date_is_read_in_the_order_in_which_the_department_writes_it(settings: Any, style: str, day: int) -> None:
    settings.DATE_STYLE = style
    assert imported({**GOOD, "Date": "04/05/2026"}).applied
    step = ScheduledProcedureStep.objects.get()
    assert step.scheduled_date == datetime.date(2026, 9 - day, day)
    report = imported({**GOOD, "Date": "31/31/2026"})
    assert ("05/04/2026" if day == 5 else "04/05/2026") in report.rows[0].problems[0][1]
