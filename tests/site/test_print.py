"""What is on paper: the day, and a step, without what only a screen can use."""

from __future__ import annotations

from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.site.test_in_browser import browser, department, enter, in_database  # noqa: F401 - fixtures

pytestmark = pytest.mark.requires_component("chromium")

A4 = {"width": 718, "height": 1045}
"""An A4 page within its margins, in CSS pixels."""
ON_SCREEN_ONLY = (
    "button:visible, .g-button:visible, nav:visible, #submit-row:visible, #filters:visible, summary:visible"
)


@pytest.fixture
def paper(browser: Browser, live_server: Any) -> Page:  # noqa: F811 - the fixture
    """The day as it is printed."""
    page = enter(browser, live_server.url, viewport=A4)
    page.emulate_media(media="print")
    return page


def test_the_days_list_on_paper_has_every_step_on_a_line_and_nothing_to_click(paper: Page) -> None:
    steps = in_database("SELECT COUNT(*) FROM mwl_admin_scheduledprocedurestep")[0][0]
    lines = paper.locator("#list tbody tr")
    expect(lines).to_have_count(steps)
    for line in lines.all():
        expect(line).to_be_visible()
        # patient, examination, number and status stand beside each other, not below
        tops = line.locator("td:visible").evaluate_all("cells => cells.map(cell => cell.getBoundingClientRect().top)")
        assert len(tops) == 5
        assert len(set(tops)) == 1
    expect(paper.locator("#list thead").first).to_be_visible()
    expect(paper.locator("h1.g-day")).to_be_visible()
    expect(paper.locator(ON_SCREEN_ONLY)).to_have_count(0)
    assert paper.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth")
    assert paper.pdf(format="A4").startswith(b"%PDF")


def test_a_step_on_paper_names_the_patient_and_shows_its_values_once(paper: Page, live_server: Any) -> None:
    step = in_database("SELECT MIN(id) FROM mwl_admin_scheduledprocedurestep")[0][0]
    for address in (f"/admin/mwl_admin/scheduledprocedurestep/{step}/change/", f"/steps/{step}/delivery/"):
        paper.goto(live_server.url + address)
        expect(paper.get_by_text("Müller, Änne").first).to_be_visible()
        expect(paper.locator("h1:visible")).to_have_count(1)
        expect(paper.locator(ON_SCREEN_ONLY)).to_have_count(0)
    paper.go_back()
    expect(paper.get_by_text("CT1 (CT room 1)").filter(visible=True)).to_have_count(1)
