"""The page for a new entry in a real browser: scripts, search while typing, and no mouse."""

from collections.abc import Iterator
from typing import Any

import pytest
from django.contrib.auth import get_user_model
from playwright.sync_api import Page, expect, sync_playwright

from tests import components
from tests.clients.search_field import SELECTION, pick, wait_for_new_entry
from tests.factory import make_patient, make_procedure, make_station

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.requires_component("chromium")]


@pytest.fixture
def cast(transactional_db: None) -> None:
    """Made before the browser starts: its event loop keeps Django from the database."""
    get_user_model().objects.create_superuser("anna", password="correct horse")
    make_patient()
    make_procedure(usual_station=make_station())


@pytest.fixture
def page(cast: None, live_server: Any) -> Iterator[Page]:
    """The site after logging in; what the browser complains of fails the test."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=components.chromium(), args=["--no-sandbox"])
        page = browser.new_page()
        complaints: list[str] = []
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.goto(live_server.url)
        page.get_by_label("Username").fill("anna")
        page.get_by_label("Password").fill("correct horse")
        page.keyboard.press("Enter")
        page.get_by_role("link", name="New entry").first.wait_for()
        yield page
        browser.close()
    assert complaints == []


def test_an_entry_is_added_with_the_keyboard_alone(page: Page, live_server: Any) -> None:
    page.goto(f"{live_server.url}/admin/mwl_admin/requestedprocedure/add/")
    wait_for_new_entry(page)
    pick_in(page, "#id_patient", "mull", "Müller, Änne (P-1001)")
    pick_in(page, "#id_procedure", "thorax", "CT thorax")
    page.locator("#id_scheduled_procedure_steps-0-scheduled_time").fill("1030")
    page.keyboard.press("Enter")
    page.get_by_text("was added successfully").wait_for()
    page.goto(live_server.url)
    page.get_by_role("cell", name="10:30").wait_for()


def pick_in(page: Page, field: str, typed: str, expected: str) -> None:
    page.locator(SELECTION.format(field=field)).focus()
    pick(page, typed, expected)
    page.locator(f"{field} + .select2", has_text=expected).wait_for()


def test_a_second_step_is_added_on_the_same_page(page: Page, live_server: Any) -> None:
    page.goto(f"{live_server.url}/admin/mwl_admin/requestedprocedure/add/")
    wait_for_new_entry(page)
    page.locator("#id_new_family_name").fill("Doe")
    page.locator("#id_new_patient_id").fill("P-2")
    pick_in(page, "#id_procedure", "thorax", "CT thorax")
    page.locator("#id_scheduled_procedure_steps-0-scheduled_time").fill("09:00")
    page.get_by_role("link", name="Add another Step").click()
    page.locator("#id_scheduled_procedure_steps-1-scheduled_time").fill("09:30")
    page.get_by_role("button", name="Save", exact=True).click()
    page.get_by_text("was added successfully").wait_for()
    page.goto(live_server.url)
    page.get_by_role("cell", name="09:30").wait_for()
    expect(page.get_by_role("link", name="Doe")).to_have_count(2)
