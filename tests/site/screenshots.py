"""Screenshots of the main pages into docs/images/: ``python -m tests.site.screenshots`` (``make screenshots``).

The real site, on a database of its own with an invented department in it, seen through the system's Chromium.
"""

from __future__ import annotations

import datetime
import subprocess
import sys
import tempfile
from pathlib import Path

from playwright.sync_api import Page, sync_playwright

from tests import components
from tests.processes import PASSWORD, ROOT, Processes

IMAGES = ROOT / "docs" / "images"


def main(folder: Path = IMAGES) -> None:
    """Start the site, fill it, look at it."""
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as data:
        made = Processes(Path(data), {"TIME_ZONE": where_it_is_late_morning()})
        made.data_dir.mkdir()
        made.prepare()
        made.manage("collectstatic", "--noinput", "--verbosity", "0")
        subprocess.run([sys.executable, "-m", "tests.site.demo"], env=made.env, cwd=data, check=True)
        made.mwl_admin.start()
        try:
            _look(made.web_url, folder)
        finally:
            made.mwl_admin.stop()


def where_it_is_late_morning() -> str:
    """Return a time zone in which a department is busy just now."""
    hours = (11 - datetime.datetime.now(datetime.UTC).hour + 12) % 24 - 12
    return f"Etc/GMT{-hours:+d}" if hours else "Etc/GMT"


def _look(url: str, folder: Path) -> None:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=components.chromium(), args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 1400, "height": 900})
        page.goto(url)
        page.screenshot(path=folder / "login.png")
        page.get_by_label("Username").fill("admin")
        page.get_by_label("Password").fill(PASSWORD)
        page.keyboard.press("Enter")
        page.locator("#list").wait_for()
        _take(page, folder, "today")
        page.locator("button.g-next").first.click()
        page.locator("#notice").get_by_text("Undo").wait_for()
        _take(page, folder, "undo")
        page.goto(f"{url}/today/?q=ller")
        page.locator("#list").wait_for()
        _take(page, folder, "search")
        page.goto(f"{url}/admin/mwl_admin/requestedprocedure/add/")
        page.locator("#id_new_family_name").fill("Mueller")
        page.locator("#id_new_given_name").fill("Anne")
        page.locator("#id_new_patient_birth_date").fill("01/07/1950")
        page.locator("#similar-patients .g-duplicates").wait_for()
        _take(page, folder, "new-entry", whole=True)
        for path, name in (
            ("/stations/", "stations"),
            ("/stations/1/query/", "query-as-station"),
            ("/queries/3/", "query-explained"),
            ("/steps/1/delivery/", "seen-by-whom"),
            ("/patients/19/merge/?other=18", "merge"),
            ("/steps/reschedule/?step=11&step=12", "reschedule"),
            ("/admin/mwl_admin/performedprocedurestep/", "examinations"),
            ("/admin/mwl_admin/patient/1/change/", "patient"),
            ("/admin/mwl_admin/scheduledprocedurestep/", "all-steps"),
            ("/admin/mwl_admin/scheduledprocedurestep/1/history/", "history"),
        ):
            page.goto(url + path)
            _take(page, folder, name)
        page.set_viewport_size({"width": 800, "height": 1100})
        page.goto(url + "/today/")
        _take(page, folder, "today-tablet")
        browser.close()


def _take(page: Page, folder: Path, name: str, *, whole: bool = False) -> None:
    # Asked by the debugger, as the pages' policy forbids eval in them.
    page.evaluate("document.fonts.ready.then(() => true)")
    page.screenshot(path=folder / f"{name}.png", full_page=whole)


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else IMAGES)
