"""Staff's answers to callers, in a real browser: every control is used, by each role that has it."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import Group, User
from django.utils import timezone
from playwright.sync_api import Browser, Page, expect, sync_playwright

from mwl_admin.models import Enrolment, Station, UnknownCaller
from tests import components
from tests.factory import make_station
from tests.site.test_in_browser import PASSWORD, enter

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.requires_component("chromium")]


@pytest.fixture
def cast(transactional_db: None, roles: None) -> None:
    """A person of each role, and callers of each kind; made before the browser starts."""
    for role in ("Radiographer", "Manager", "Administrator"):
        person = User.objects.create_user(role.lower(), password=PASSWORD, is_staff=True)
        person.groups.add(Group.objects.get(name=role))
    now = timezone.now()
    make_station(enabled=False)
    Station.objects.update(updated_at=now - timedelta(hours=1))
    Enrolment.objects.create(ae_title="OLDCT", service="worklist", address="192.0.2.7", last_seen_at=now)
    for title, service, because in (
        ("CT1", "worklist", "device is switched off"),
        ("STRANGER", "images", "calling AE title belongs to no known device"),
    ):
        UnknownCaller.objects.create(
            ae_title=title, service=service, address="192.0.2.9", last_seen_at=now, rejected_because=because, attempts=2
        )


@pytest.fixture
def browser(cast: None) -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=components.chromium(), args=["--no-sandbox"])
        yield browser
        browser.close()


def stations(browser: Browser, url: str, role: str) -> Page:
    page = enter(browser, url, role)
    page.goto(f"{url}/stations/")
    return page


def test_a_radiographer_sees_who_called_and_answers_nothing(browser: Browser, live_server: Any) -> None:
    page = stations(browser, live_server.url, "radiographer")
    expect(page.locator("#waiting")).to_contain_text("OLDCT")
    expect(page.locator("#unknown")).to_contain_text("images, 2 calls", use_inner_text=True)
    expect(page.locator("#unknown")).to_contain_text("turned away, calling AE title belongs to no known device")
    expect(page.locator("#turned-away")).to_contain_text("device is switched off")
    for name in ("Keep out", "Add as station"):
        expect(page.get_by_text(name, exact=True)).to_have_count(0)
    assert page.complaints == []  # type: ignore[attr-defined]


def test_a_manager_keeps_callers_out_and_takes_that_back(browser: Browser, live_server: Any) -> None:
    page = enter(browser, live_server.url, "manager")
    page.get_by_role("link", name="Add them or keep them out").click()
    expect(page.get_by_text("Add as station", exact=True)).to_have_count(0)
    page.get_by_role("button", name="Keep OLDCT out", exact=True).click()
    expect(page.locator("#waiting")).to_have_count(0)
    page.get_by_role("button", name="Keep STRANGER out", exact=True).click()
    expect(page.locator("#unknown")).to_have_count(0)
    expect(page.locator("#kept-out")).to_contain_text("by manager")
    page.get_by_role("button", name="No longer keep STRANGER out").click()
    expect(page.locator("#unknown")).to_contain_text("STRANGER")
    expect(page.locator("#kept-out")).not_to_contain_text("STRANGER")
    page.reload()
    expect(page.locator("#kept-out")).to_contain_text("OLDCT")
    page.get_by_role("link", name="Open station CT1").click()
    expect(page.locator("#id_ae_title")).to_have_value("CT1")
    assert page.complaints == []  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("title", "address", "where"), [("OLDCT", "192.0.2.7", "#waiting"), ("STRANGER", "192.0.2.9", "#unknown")]
)
def test_an_administrator_adds_a_caller_with_one_click_and_a_modality(
    browser: Browser, live_server: Any, title: str, address: str, where: str
) -> None:
    page = stations(browser, live_server.url, "administrator")
    page.get_by_role("link", name=f"Add {title} as station").click()
    expect(page.locator("#id_ae_title")).to_have_value(title)
    expect(page.locator("#id_expected_addresses")).to_have_value(address)
    page.locator("#id_modality").fill("CT")
    page.get_by_role("button", name="Save", exact=True).click()
    expect(page.get_by_text("was added successfully")).to_be_visible()
    page.goto(f"{live_server.url}/stations/")
    expect(page.locator(where)).to_have_count(0)
    expect(page.locator("table")).to_contain_text(title)
    page.goto(live_server.url)
    expect(page.locator("#waiting")).to_have_count(0 if title == "OLDCT" else 1)
    assert page.complaints == []  # type: ignore[attr-defined]


def test_an_administrator_enters_an_archive(browser: Browser, live_server: Any) -> None:
    page = stations(browser, live_server.url, "administrator")
    page.get_by_role("link", name="Add station").click()
    page.locator("#id_ae_title").fill("ARCHIVE")
    page.locator("#id_kind").select_option("archive")
    page.locator("#id_host").fill("archive.example")
    page.locator("#id_may_query").check()
    page.get_by_role("button", name="Save", exact=True).click()
    expect(page.get_by_text("was added successfully")).to_be_visible()
    page.goto(f"{live_server.url}/stations/")
    row = page.get_by_role("row").filter(has_text="ARCHIVE")
    expect(row).to_contain_text("archive")
    expect(row.get_by_role("link", name="Query as ARCHIVE")).to_have_count(0)
    assert page.complaints == []  # type: ignore[attr-defined]
