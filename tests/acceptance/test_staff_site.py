"""A day's work on the site, in a real browser, with everything running as `make run` starts it.

What a person does shows at the scanner (`findscu`), and what the scanner does shows to the person.
"""

from __future__ import annotations

import datetime
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from simulator.examination import Examination
from simulator.images import image
from simulator.network import Results, Scanner, ServiceAddress
from tests.acceptance.department import NEXT_REFRESH, Department, open_department, row, status, step_of
from tests.clients import dcmtk
from tests.clients.search_field import pick, search, wait_for_new_entry, wait_until_closed
from tests.components import requires
from tests.processes import PASSWORD

pytestmark = requires("chromium", "dcmtk")


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Department]:
    with open_department(tmp_path_factory.mktemp("department")) as opened:
        yield opened


@pytest.fixture
def department(running: Department) -> Iterator[Department]:
    """Windows that a test opened are closed after it; what their scripts complained of fails it."""
    yield running
    assert running.close() == []


def focused(page: Page) -> str:
    """Return the name of what has the focus, as a screen reader would say it."""
    name: str = page.evaluate(
        """() => {
            const element = document.activeElement;
            const name = element.getAttribute("aria-label") || element.labels?.[0]?.textContent || element.textContent;
            return name.replace(/\\s+/g, " ").trim();
        }"""
    )
    return name


def tab_to(page: Page, name: str) -> None:
    """Press the tabulator key until what is called ``name`` has the focus."""
    passed = []
    for _ in range(60):
        page.keyboard.press("Tab")
        passed.append(focused(page))
        if re.search(rf"\b{name}\*?$", passed[-1]):
            return
    pytest.fail(f"{name!r} is not among {passed}")


def type_into(page: Page, name: str, text: str) -> None:
    tab_to(page, name)
    page.keyboard.type(text)


def begin_entry(page: Page) -> None:
    """From the day's page to the new entry's, where the search for a patient waits."""
    tab_to(page, "New entry")
    page.keyboard.press("Enter")
    wait_for_new_entry(page)


def take_first_slot(page: Page) -> str:
    """Pick the procedure, then the first time that its station offers; return that time."""
    tab_to(page, "Procedure")
    pick(page, "thorax", "CT thorax")
    expect(page.get_by_text("CT1, 15 min free at")).to_be_visible()
    tab_to(page, r"\d\d:\d\d")
    time = focused(page)
    page.keyboard.press("Enter")
    expect(page.locator("[id$='-0-scheduled_time']")).to_be_focused()
    return time


def test_entries_are_made_by_keyboard_alone_and_found_by_the_scanner(department: Department) -> None:
    page = department.window()
    page.goto(department.url)
    expect(page.get_by_label("Username")).to_be_focused()
    page.keyboard.type("rita")
    type_into(page, "Password", PASSWORD)
    page.keyboard.press("Enter")
    expect(page.locator("#list")).to_be_visible()

    # Somebody new: not found, so entered.
    begin_entry(page)
    search(page, "Lindqvist")
    expect(page.get_by_text("No results found")).to_be_visible()
    page.keyboard.press("Escape")
    wait_until_closed(page)
    type_into(page, "Family name", "Lindqvist")
    type_into(page, "Given name", "Åsa")
    type_into(page, "Patient ID", "K-1")
    type_into(page, "Birth date", "05/11/1961")
    type_into(page, "Sex", "f")
    first = take_first_slot(page)
    page.keyboard.press("Enter")
    expect(page.get_by_text("was added successfully")).to_be_visible()
    (entry,) = department.find(PatientID="K-1", station="CT1", date=f"{department.today:%Y%m%d}", modality="CT")
    assert (str(entry.PatientName), entry.PatientBirthDate, entry.PatientSex) == ("Lindqvist^Åsa", "19611105", "F")
    assert step_of(entry).ScheduledProcedureStepStartTime[:4] == first.replace(":", "")
    assert step_of(entry).ScheduledProcedureStepDescription == "CT thorax"
    assert entry.AccessionNumber

    # Now she is known: found by a part of her name, and given the next free time.
    tab_to(page, "Today")
    page.keyboard.press("Enter")
    expect(row(page, "Lindqvist, Åsa")).to_contain_text(first)
    begin_entry(page)
    pick(page, "lindq", "Lindqvist, Åsa (K-1)")
    second = take_first_slot(page)
    assert second > first
    page.keyboard.press("Enter")
    expect(page.get_by_text("was added successfully")).to_be_visible()
    found = department.find(PatientID="K-1")
    starts = [step_of(entry).ScheduledProcedureStepStartTime[:4] for entry in found]
    assert starts == [time.replace(":", "") for time in (first, second)]
    assert len({str(entry.StudyInstanceUID) for entry in found}) == 2


def test_what_the_scanner_reports_shows_on_the_open_page(department: Department, tmp_path: Path) -> None:
    department.add_entry("Moreau", "M-1")
    page = department.enter("max")
    expect(status(page, "Moreau")).to_have_text("scheduled")
    page.evaluate("window.neverReloaded = true")

    (entry,) = department.find(PatientID="M-1")
    now = datetime.datetime.combine(department.today, datetime.time(15, 2))
    examination = Examination(entry, "CT1", "CT", now)
    provider = ServiceAddress("127.0.0.1", department.parts.mwl_port, "MWL_SCP")
    scanner = Scanner("CT1", Results())
    assert scanner.create_step(provider, examination.creation(), examination.mpps_uid).good
    expect(status(page, "Moreau")).to_have_text("started", timeout=NEXT_REFRESH)

    files = made_images(examination, tmp_path, count=2)
    stored = dcmtk.store(department.parts.pacs_port, *files)
    assert stored.succeeded, stored.output
    assert scanner.set_step(provider, examination.ending(now), examination.mpps_uid).good
    expect(status(page, "Moreau")).to_have_text("completed", timeout=NEXT_REFRESH)
    # The receiver has told the site how many images came.
    expect(row(page, "Moreau")).to_contain_text("2 images", timeout=NEXT_REFRESH)
    assert page.evaluate("window.neverReloaded")
    assert department.find(PatientID="M-1") == []


def made_images(examination: Examination, folder: Path, *, count: int) -> list[Path]:
    files = []
    for number in range(1, count + 1):
        made = image(examination, number, count, size=32)
        examination.images.append((str(made.SOPClassUID), str(made.SOPInstanceUID)))
        files.append(folder / f"{number}.dcm")
        made.save_as(files[-1], enforce_file_format=True)
    return files


def test_a_step_is_moved_to_tomorrow(department: Department) -> None:
    department.add_entry("Nakamura", "R-1")
    today, tomorrow = (f"{department.day(later):%Y%m%d}" for later in (0, 1))
    page = department.enter()
    row(page, "Nakamura").get_by_text("More").click()
    row(page, "Nakamura").get_by_role("link", name="Reschedule…").click()
    expect(page.get_by_role("cell", name="Nakamura")).to_be_visible()
    page.get_by_label("New date").fill(f"{department.day(1):%d/%m/%Y}")
    page.get_by_label("New time").fill("08:30")
    page.get_by_label("Station").select_option("CT2 (CT room 2)")
    page.get_by_role("button", name="Move").click()
    expect(page.get_by_text("1 step rescheduled.")).to_be_visible()
    expect(page.get_by_label("Day", exact=True).last).to_have_value(department.day(1).isoformat())
    expect(row(page, "Nakamura")).to_contain_text("08:30")
    assert department.find(PatientID="R-1", date=today) == []
    (entry,) = department.find(calling="CT2", PatientID="R-1", date=tomorrow, station="CT2")
    assert step_of(entry).ScheduledProcedureStepStartTime[:4] == "0830"


def test_many_steps_are_moved_at_once_and_one_that_has_started_is_left(department: Department) -> None:
    for number, time in (("1", "16:00"), ("2", "16:20"), ("3", "16:40")):
        department.add_entry(f"Bulk{number}", f"B-{number}", step_scheduled_time=time)
    page = department.enter()
    row(page, "Bulk3").get_by_text("More").click()
    row(page, "Bulk3").get_by_role("button", name="Start").click()
    expect(status(page, "Bulk3")).to_have_text("started")

    page.goto(f"{department.url}/admin/mwl_admin/scheduledprocedurestep/?q=Bulk")
    for number in "123":
        page.locator("tr", has_text=f"Bulk{number}").get_by_role("checkbox").check()
    page.locator("select[name=action]").select_option(label="Reschedule…")
    page.get_by_role("button", name="Run").click()
    expect(page.get_by_text("1 step has started or ended, and stays where it is.")).to_be_visible()
    page.get_by_label("Or later by (minutes)").fill("45")
    page.get_by_role("button", name="Move").click()
    expect(page.get_by_text("2 steps rescheduled.")).to_be_visible()
    times = [step_of(entry).ScheduledProcedureStepStartTime[:4] for entry in department.find(PatientID="B-*")]
    assert times == ["1640", "1645", "1705"]


def test_a_step_is_cancelled_with_a_reason_and_taken_back(department: Department) -> None:
    department.add_entry("Fontaine", "C-1")
    page = department.enter()
    row(page, "Fontaine").get_by_text("More").click()
    row(page, "Fontaine").get_by_role("button", name="Cancel…").click()
    page.get_by_label("Reason").fill("Patient unwell")
    page.get_by_role("dialog").get_by_role("button", name="Cancel").click()
    expect(status(page, "Fontaine")).to_have_text("cancelled")
    expect(row(page, "Fontaine")).to_contain_text("Patient unwell")
    assert department.find(PatientID="C-1") == []

    page.locator("#notice").get_by_role("button", name="Undo").click()
    expect(status(page, "Fontaine")).to_have_text("scheduled")
    expect(row(page, "Fontaine")).not_to_contain_text("Patient unwell")
    assert len(department.find(PatientID="C-1")) == 1


def test_a_copy_has_all_but_the_numbers_and_the_time(department: Department) -> None:
    department.add_entry("Okonkwo", "D-1", requested_procedure_description="CT thorax, control")
    page = department.enter()
    row(page, "Okonkwo").get_by_text("More").click()
    row(page, "Okonkwo").get_by_role("link", name="Copy as new").click()
    expect(page.locator("#id_patient + .select2")).to_contain_text("Okonkwo, Robin (D-1)")
    expect(page.locator("#id_requested_procedure_description")).to_have_value("CT thorax, control")
    expect(page.locator("#id_accession_number")).to_have_value("")
    expect(page.locator("#id_scheduled_procedure_steps-0-scheduled_time")).to_have_value("")
    page.locator("#id_scheduled_procedure_steps-0-scheduled_date").fill(f"{department.day(7):%d/%m/%Y}")
    page.locator("#id_scheduled_procedure_steps-0-scheduled_time").fill("1015")
    page.get_by_role("button", name="Save", exact=True).click()
    expect(page.get_by_text("was added successfully")).to_be_visible()

    first, copy = department.find(PatientID="D-1")
    assert step_of(copy).ScheduledProcedureStepStartDate == f"{department.day(7):%Y%m%d}"
    assert step_of(copy).ScheduledStationAETitle == step_of(first).ScheduledStationAETitle == "CT1"
    for keyword in ("AccessionNumber", "RequestedProcedureID", "StudyInstanceUID"):
        assert first[keyword].value
        assert first[keyword].value != copy[keyword].value


HEADINGS = "Accession number,Patient ID,Family name,Given name,Birth date,Date,Time,Modality,Stations,Description"


def test_a_file_with_a_fault_is_explained_and_the_mended_one_is_taken(department: Department) -> None:
    day = department.day(1).isoformat()
    good = [
        f"I-1,I-1,Petrov,Ivan,1980-02-03,{day},09:00,CT,CT1,CT head",
        f"I-2,I-2,Petrova,Olga,1982-04-05,{day},09:15,CT,CT1,CT head",
    ]
    page = department.enter()
    upload(page, department, [good[0], good[1].replace("09:15", "quarter past nine")])
    expect(page.get_by_role("row", name="3 I-2 I-2 Petrova Olga")).to_contain_text("quarter past nine")
    told = page.get_by_role("row", name="must be a time of day")
    expect(told).to_have_text(re.compile(r"Time:\s*must be a time of day, such as 10:30\."))
    expect(page.get_by_role("button", name="Confirm import")).to_have_count(0)
    assert department.find(PatientID="I-*") == []

    upload(page, department, good)
    expect(page.locator("tr", has_text="Petrova")).to_contain_text("New")
    assert department.find(PatientID="I-*") == []
    page.get_by_role("button", name="Confirm import").click()
    expect(page.get_by_text("2 rows taken: 2 made, 0 updated, 0 unchanged.")).to_be_visible()
    found = department.find(PatientID="I-*", date=f"{department.day(1):%Y%m%d}", station="CT1")
    assert [str(entry.PatientName) for entry in found] == ["Petrov^Ivan", "Petrova^Olga"]


def upload(page: Page, department: Department, rows: list[str]) -> None:
    page.goto(f"{department.url}/admin/mwl_admin/requestedprocedure/")
    page.get_by_role("link", name="Import").click()
    content = "\n".join([HEADINGS, *rows, ""]).encode()
    page.locator("input[type=file]").set_input_files({"name": "entries.csv", "mimeType": "text/csv", "buffer": content})
    page.locator("select[name=format]").select_option(label="csv")
    page.get_by_role("button", name="Submit").click()


def test_two_records_of_one_person_become_one(department: Department) -> None:
    department.add_entry("Castellano", "G-1")
    department.add_entry("Castelano", "G-2", new_patient_birth_date="1970-01-01", step_scheduled_time="15:20")
    page = department.enter("max", department.site.path_of("patient", "G-1"))
    page.get_by_role("link", name="Merge with another record").click()
    page.get_by_role("row", name=re.compile("G-2")).get_by_role("link", name=re.compile("what would move")).click()
    # What moves is shown first, and nothing has moved yet.
    expect(page.get_by_role("heading", name="1 entry moves")).to_be_visible()
    expect(page.get_by_role("cell", name="A-G-2")).to_be_visible()
    expect(page.get_by_role("row", name=re.compile("Castellano.*Castelano.*given up"))).to_be_visible()
    assert len(department.find(PatientID="G-2")) == 1

    page.get_by_role("button", name="Merge").click()
    expect(page.get_by_text("Merged: 1 entry moved.")).to_be_visible()
    assert department.find(PatientID="G-2") == []
    found = department.find(PatientID="G-1")
    assert [str(entry.AccessionNumber) for entry in found] == ["A-G-1", "A-G-2"]
    assert {str(entry.PatientName) for entry in found} == {"Castellano^Robin"}


def test_why_a_scanner_does_not_see_the_patient(department: Department) -> None:
    department.add_entry("Quigley", "E-1", station="CT1")
    today = f"{department.today:%Y%m%d}"
    assert department.find(calling="CT2", PatientID="E-1", station="CT2", modality="CT", date=today) == []

    page = department.enter("max", "/admin/mwl_admin/worklistquery/")
    page.locator("#result_list tr", has_text="CT2").first.get_by_role("link").first.click()
    expect(page.get_by_role("heading", name="Query of CT2")).to_be_visible()
    missed = page.get_by_role("row", name="Quigley, Robin")
    expect(missed).to_contain_text("its key Scheduled Station AE Title")
    for innocent in ("its key Modality", "its key Patient ID", "its key Scheduled Procedure Step Start Date"):
        expect(missed).not_to_contain_text(innocent)

    # The same from the entry's side.
    missed.get_by_role("link", name="Quigley").click()
    expect(page.locator(".g-page h1")).to_have_text("Seen by whom?")
    verdict = page.get_by_role("row", name=re.compile(r"^CT2 "))
    expect(verdict).to_contain_text("never")
    expect(verdict).to_contain_text("No: its key Scheduled Station AE Title")


def test_the_second_of_two_people_at_one_entry_is_told(department: Department) -> None:
    path = department.add_entry("Zimmermann", "T-1")
    rita, max_ = department.enter("rita", path), department.enter("max", path)
    for page, words in ((rita, "CT thorax, from Rita"), (max_, "CT thorax, from Max")):
        page.locator("#id_requested_procedure_description").fill(words)
    rita.get_by_role("button", name="Save", exact=True).click()
    expect(rita.get_by_text("was changed successfully")).to_be_visible()
    max_.get_by_role("button", name="Save", exact=True).click()
    expect(max_.get_by_text("This entry was changed by rita")).to_be_visible()
    (entry,) = department.find(PatientID="T-1")
    assert entry.RequestedProcedureDescription == "CT thorax, from Rita"
