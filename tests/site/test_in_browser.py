"""The pages in a real browser: live, by keyboard, and for two people at once."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest
from django.contrib.auth.models import Group, User
from django.db import connection
from django.utils import timezone
from playwright.sync_api import Browser, Page, expect, sync_playwright

from mwl_admin.site.pages import today
from tests import components
from tests.clients.search_field import pick, wait_for_new_entry
from tests.site import demo

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.requires_component("chromium")]

PASSWORD = "correct horse battery"


@pytest.fixture
def department(transactional_db: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Made before the browser starts: its event loop keeps Django from the database."""
    monkeypatch.setattr(today, "REFRESH_SECONDS", 1)
    for name in ("anna", "ben"):
        User.objects.create_superuser(name, password=PASSWORD)
    # a test that flushes tables takes the groups of the migration with it
    Group.objects.get_or_create(name="Reception")
    demo.fill(timezone.localtime().replace(tzinfo=None))


@pytest.fixture
def browser(department: None) -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=components.chromium(), args=["--no-sandbox"])
        yield browser
        browser.close()


def enter(browser: Browser, url: str, user: str = "anna", **options: Any) -> Page:
    """Log in; what the page's scripts complain of, or take from another host, fails the test later (``complaints``)."""
    page = browser.new_page(**options)
    complaints: list[str] = []
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("console", lambda said: complaints.append(said.text) if "Security Policy" in said.text else None)
    page.on(
        "request",
        lambda request: None if request.url.startswith((url, "data:", "blob:")) else complaints.append(request.url),
    )
    page.complaints = complaints  # type: ignore[attr-defined]
    page.goto(url)
    page.get_by_label("Username").fill(user)
    page.get_by_label("Password").fill(PASSWORD)
    page.keyboard.press("Enter")
    page.locator("#list").wait_for()
    return page


def in_database(statement: str, *values: int | str) -> list[Any]:
    """Run SQL from the browser's thread, where Django's own checks stand in the way."""
    import threading

    found: list[Any] = []

    def run() -> None:
        with connection.cursor() as cursor:
            cursor.execute(statement, values)
            found.extend(cursor.fetchall() if cursor.description else [])
        connection.close()

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    return found


def row(page: Page, name: str) -> Any:
    return page.locator("tr", has_text=name)


def test_a_day_at_the_desk(browser: Browser, live_server: Any) -> None:
    page = enter(browser, live_server.url)
    # One click, told, and taken back.
    row(page, "Okafor, Chidi").get_by_role("button", name="Start").click()
    expect(row(page, "Okafor, Chidi").locator(".g-status")).to_have_text("started")
    page.locator("#notice").get_by_role("button", name="Undo").click()
    expect(row(page, "Okafor, Chidi").locator(".g-status")).to_have_text("ready")
    # What a modality reports shows without reloading, and what is being typed stays.
    page.locator("#search").focus()
    page.keyboard.type("ova")
    expect(row(page, "Doe, John")).to_have_count(0)
    expect(row(page, "Novák, Eliška")).to_have_count(1)
    in_database("UPDATE mwl_admin_scheduledprocedurestep SET status = 'STARTED' WHERE status = 'ARRIVED'")
    expect(row(page, "Novák, Eliška").locator(".g-status")).to_have_text("started")
    expect(page.locator("#search")).to_have_value("ova")
    expect(page.locator("#search")).to_be_focused()
    page.locator("#search").fill("")
    expect(row(page, "Doe, John")).to_have_count(1)
    # Cancelled with a reason, by keyboard.
    menu = row(page, "Patel, Asha").get_by_text("More")
    menu.press("Enter")
    row(page, "Patel, Asha").get_by_role("button", name="Cancel…").press("Enter")
    expect(page.get_by_label("Reason")).to_be_focused()
    page.keyboard.type("Patient unwell")
    page.keyboard.press("Enter")
    expect(row(page, "Patel, Asha")).to_contain_text("Patient unwell")
    expect(page.locator("#dialog")).to_be_hidden()
    assert page.complaints == []  # type: ignore[attr-defined]


def test_a_click_while_the_list_is_being_refreshed_is_not_lost(browser: Browser, live_server: Any) -> None:
    page = enter(browser, live_server.url)
    held: list[Any] = []
    page.route("**/*seen=*", lambda route: held.append(route))  # noqa: PLW0108 - a built-in method takes no mark
    with page.expect_request("**/*seen=*"):
        page.evaluate("htmx.trigger('#list', 'refresh')")
    row(page, "Okafor, Chidi").get_by_role("button", name="Start").click()
    expect(page.locator("#notice")).to_contain_text("started")
    assert held


def test_an_entry_by_keyboard_alone_with_what_the_catalogue_and_the_station_offer(
    browser: Browser, live_server: Any
) -> None:
    page = enter(browser, live_server.url)
    page.goto(f"{live_server.url}/admin/mwl_admin/requestedprocedure/add/")
    wait_for_new_entry(page)
    pick(page, "haddad", "Haddad, Samir")
    page.locator("#id_procedure + .select2 .select2-selection").focus()
    pick(page, "knee", "MR knee left")
    expect(page.locator("#id_requested_procedure_description")).to_have_value("MR knee left")
    expect(page.locator("#id_scheduled_procedure_steps-0-modality")).to_have_value("MR")
    with page.expect_response(re.compile(r"slots.*2030")):
        page.locator("#id_scheduled_procedure_steps-0-scheduled_date").fill("01/03/2030")
        page.keyboard.press("Tab")
    slot = page.locator("[data-slot='08:30']")
    slot.wait_for()
    slot.press("Enter")
    expect(page.locator("#id_scheduled_procedure_steps-0-scheduled_time")).to_have_value("08:30")
    page.keyboard.press("Enter")
    page.get_by_text("was added successfully").wait_for()
    page.goto(f"{live_server.url}/today/?day=2030-03-01")
    expect(row(page, "Haddad, Samir")).to_contain_text("08:30")
    assert page.locator(".g-station", has_text="MR1").count() == 1
    assert page.complaints == []  # type: ignore[attr-defined]


def test_a_probable_duplicate_is_offered_and_taken(browser: Browser, live_server: Any) -> None:
    page = enter(browser, live_server.url)
    page.goto(f"{live_server.url}/admin/mwl_admin/requestedprocedure/add/")
    wait_for_new_entry(page)
    page.locator("#id_new_family_name").fill("Mueller")
    page.locator("#id_new_given_name").fill("Anne")
    page.locator("#id_new_patient_birth_date").fill("01/07/1950")
    page.get_by_role("button", name="Use this one").press("Enter")
    expect(page.locator("#id_patient + .select2")).to_contain_text("Müller, Änne (P-1001)")
    expect(page.locator("#id_new_family_name")).to_have_value("")


def test_the_second_of_two_browsers_is_told(browser: Browser, live_server: Any) -> None:
    (entry,) = in_database("SELECT id FROM mwl_admin_requestedprocedure ORDER BY id LIMIT 1")[0]
    address = f"{live_server.url}/admin/mwl_admin/requestedprocedure/{entry}/change/"
    anna, ben = enter(browser.new_context().browser, live_server.url), None  # type: ignore[arg-type]
    ben = enter(browser.new_context().browser, live_server.url, "ben")  # type: ignore[arg-type]
    for page, words in ((anna, "from Anna"), (ben, "from Ben")):
        page.goto(address)
        page.locator("#id_reason_for_the_requested_procedure").fill(words)
    anna.get_by_role("button", name="Save", exact=True).click()
    anna.get_by_text("was changed successfully").wait_for()
    ben.get_by_role("button", name="Save", exact=True).click()
    ben.get_by_text("This entry was changed by anna").wait_for()
    found = in_database(
        "SELECT reason_for_the_requested_procedure FROM mwl_admin_requestedprocedure WHERE id = %s", entry
    )
    assert found == [("from Anna",)]


@pytest.mark.parametrize("width", [1110, 1290, 1300, 1400, 1510, 1900])
def test_no_column_of_the_day_runs_into_its_neighbour(
    browser: Browser,
    live_server: Any,
    width: int,
) -> None:
    page = enter(browser, live_server.url)
    page.set_viewport_size({"width": width, "height": 900})
    overflowing = page.evaluate(
        "() => [...document.querySelectorAll('.g-daylist th, .g-daylist td:not(.g-actions)')]"
        ".filter(cell => cell.scrollWidth > cell.clientWidth + 1).map(cell => cell.innerText)"
    )
    assert overflowing == []
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
