"""A department for a day: everything as `make run` starts it, its people in browsers, its scanners as DCMTK."""

from __future__ import annotations

import datetime
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast
from zoneinfo import ZoneInfo

from playwright.sync_api import Browser, Page, StorageState, expect, sync_playwright
from pydicom import Dataset

from tests import components
from tests.acceptance.embedded import Embedded, end
from tests.clients import dcmtk
from tests.clients.site import Site
from tests.processes import PASSWORD
from tests.site.screenshots import where_it_is_late_morning

PEOPLE = {"rita": "Reception", "max": "Manager"}
STATIONS = (("CT1", "CT room 1", "CT"), ("CT2", "CT room 2", "CT"), ("MR1", "MR room 1", "MR"))
STEP = "ScheduledProcedureStepSequence[0]"
RETURN_KEYS = (
    "PatientName", "PatientID", "PatientBirthDate", "PatientSex", "AccessionNumber", "RequestedProcedureID",
    "RequestedProcedureDescription", "StudyInstanceUID", "SpecificCharacterSet=ISO_IR 192",
    *(f"{STEP}.{keyword}" for keyword in (
        "ScheduledStationAETitle", "ScheduledProcedureStepStartDate", "ScheduledProcedureStepStartTime", "Modality",
        "ScheduledProcedureStepDescription", "ScheduledProcedureStepID",
    )),
)  # fmt: skip
NEXT_REFRESH = 60_000
"""Milliseconds within which the day's list has refreshed itself, on a slow machine too."""


class Department:
    """The running system. Each test brings its own patients; stations, catalogue and accounts are there."""

    def __init__(self, system: Embedded, browser: Browser, zone: str) -> None:
        self._system = system
        self.parts = system.parts
        self.url = system.parts.web_url
        self.today = datetime.datetime.now(ZoneInfo(zone)).date()
        self.site = Site(self.url, PASSWORD)
        self._browser = browser
        self._logins: dict[str, StorageState] = {}
        self._stations: dict[str, str] = {}
        self._pages: list[Page] = []
        self._complaints: list[str] = []

    def furnish(self) -> None:
        """Make stations, a catalogue and accounts, on the site's own pages."""
        for title, name, modality in STATIONS:
            self._stations[title] = self.site.add_station(ae_title=title, station_name=name, modality=modality)
        procedure = {"name": "CT thorax", "modality": "CT", "usual_minutes": "15"}
        self.site.fill("/admin/mwl_admin/procedure/add/", {**procedure, "usual_station": self._stations["CT1"]})
        roles = self.site.options("/admin/auth/user/1/change/", "groups")
        for name, role in PEOPLE.items():
            self.site.fill("/admin/auth/user/add/", {"username": name, "password1": PASSWORD, "password2": PASSWORD})
            page = self.site.path_of("user", name, application="auth")
            self.site.fill(page, {"is_staff": "on", "groups": [roles[role]]})

    def add_entry(self, family_name: str, patient_id: str, *, station: str = "CT1", **values: Any) -> str:
        """Make an entry for a new patient today, for a test that is about what comes after; return where it is kept."""
        accession_number = f"A-{patient_id}"
        self.site.add_entry(
            **{
                "new_family_name": family_name,
                "new_given_name": "Robin",
                "new_patient_id": patient_id,
                "new_patient_birth_date": "1970-01-01",
                "new_patient_sex": "O",
                "is_another_person": "on",
                "requested_procedure_description": "CT thorax",
                "accession_number": accession_number,
                "step_scheduled_date": self.today.isoformat(),
                "step_scheduled_time": "15:00",
                "step_modality": "CT",
                "step_scheduled_procedure_step_description": "CT thorax",
                "step_stations": [self._stations[station]],
                **values,
            }
        )
        return self.site.path_of("requestedprocedure", accession_number)

    def find(self, *, calling: str = "CT1", **keys: str) -> list[Dataset]:
        """Return what a scanner finds by `findscu`; ``keys`` are of the entry, or of its step."""
        step = {
            "station": "ScheduledStationAETitle",
            "date": "ScheduledProcedureStepStartDate",
            "modality": "Modality",
        }
        asked = [f"{f'{STEP}.{step[name]}' if name in step else name}={value}" for name, value in keys.items()]
        return dcmtk.find(self.parts.mwl_port, [*RETURN_KEYS, *asked], calling=calling)

    def day(self, later: int = 0) -> datetime.date:
        return self.today + datetime.timedelta(days=later)

    def enter(self, user: str = "rita", path: str = "/today/", **options: Any) -> Page:
        """Open a browser window of one's own, logged in, at a page."""
        page = self.window(storage_state=self._login(user), **options)
        page.goto(self.url + path)
        return page

    def window(self, **options: Any) -> Page:
        """Open a browser window of one's own; what its scripts complain of fails the test (:meth:`close`)."""
        page = self._browser.new_context(**options).new_page()
        page.on("pageerror", lambda error: self._complaints.append(str(error)))
        self._pages.append(page)
        return page

    def logs(self) -> list[tuple[str, str]]:
        """Return the end of what all three processes said: their supervisor keeps it in one log."""
        return [(self._system.name, self._system.log_text()[-12000:])]

    def close(self) -> list[str]:
        """Close all windows; return what their scripts complained of."""
        for page in self._pages:
            page.context.close()
        self._pages.clear()
        complaints, self._complaints = self._complaints, []
        return complaints

    def _login(self, user: str) -> StorageState:
        if user not in self._logins:
            context = self._browser.new_context()
            page = context.new_page()
            page.goto(self.url)
            page.get_by_label("Username").fill(user)
            page.get_by_label("Password").fill(PASSWORD)
            page.get_by_role("button", name="Log in").click()
            expect(page.locator("#list")).to_be_visible()
            self._logins[user] = context.storage_state()
            context.close()
        return self._logins[user]


@contextmanager
def open_department(folder: Path) -> Iterator[Department]:
    """Start everything, furnish it, and end it afterwards."""
    zone = where_it_is_late_morning()  # free times are offered within the department's hours
    system = Embedded(folder, TIME_ZONE=zone, PACS_STUDY_STABLE_SECONDS="1")
    try:
        system.start()
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=components.chromium(), args=["--no-sandbox"])
            department = Department(system, browser, zone)
            department.furnish()
            yield department
            browser.close()
    finally:
        end(system)


def row(page: Page, name: str) -> Any:
    """Return the line of the day's list with a name."""
    return page.locator("#list tr", has_text=name)


def step_of(entry: Dataset) -> Dataset:
    return cast(Dataset, entry.ScheduledProcedureStepSequence[0])


def status(page: Page, name: str) -> Any:
    return row(page, name).locator(".g-state .g-status")
