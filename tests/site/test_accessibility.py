"""Every page that the site has, for people with disabilities: axe-core, 200 % zoom, a tablet, and targets to hit."""

from __future__ import annotations

from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe  # type: ignore[import-untyped]
from playwright.sync_api import Browser, Page, expect

from tests.clients.search_field import SELECTION, search, wait_until_closed
from tests.site.addresses import DATA, PAGES, PARTS, REDIRECTS, REFUSED, addresses, all_names, make_what_is_shown
from tests.site.test_in_browser import browser, department, enter, row  # noqa: F401 - fixtures

pytestmark = pytest.mark.requires_component("chromium")


def test_every_address_is_a_page_that_is_looked_at_or_none() -> None:
    assert all_names() == {name for pages in PAGES.values() for name in pages} | PARTS | REDIRECTS | DATA | REFUSED


@pytest.fixture
def known(department: None) -> dict[str, list[str]]:  # noqa: F811 - the fixture
    """The addresses of the pages, with something to be seen on each. Made before the browser starts."""
    make_what_is_shown()
    return {name: addresses(name) for pages in PAGES.values() for name in pages}


@pytest.mark.timeout(300)
@pytest.mark.parametrize("subject", PAGES)
def test_no_page_keeps_people_with_disabilities_out(
    known: dict[str, list[str]],
    browser: Browser,  # noqa: F811 - the fixture
    live_server: Any,
    subject: str,
) -> None:
    page = enter(browser, live_server.url, viewport={"width": WIDE, "height": 900})
    told: list[str] = []
    for name in PAGES[subject]:
        for address in known[name]:
            response = page.goto(live_server.url + address)
            assert response is not None
            assert response.status == 200, address
            told += [f"{address} {fault}" for fault in [*violations(page), *overflowing(page)]]
    assert not told, "\n".join(told)


def violations(page: Page) -> list[str]:
    """Return what axe-core calls serious or critical, by rule and place."""
    result = Axe().run(page, options={"runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]})
    return [
        f"{fault['id']}: {node['html'][:160]}"
        for fault in result.response["violations"]
        if fault["impact"] in {"serious", "critical"}
        for node in fault["nodes"][:3]
    ]


def overflowing(page: Page) -> list[str]:
    """Return what does not fit on a tablet, or on a wide screen at 200 %."""
    found = []
    for width in (TABLET, WIDE // 2):
        page.set_viewport_size({"width": width, "height": 900})
        found += [f"at {width} pixels: {part}" for part in page.evaluate(_OVERFLOWING)]
    page.set_viewport_size({"width": WIDE, "height": 900})
    return found


WIDE, TABLET = 1400, 820
_OVERFLOWING = """() => {
    const width = document.documentElement.clientWidth, found = [];
    if (document.documentElement.scrollWidth > width) found.push("the page scrolls sideways");
    const parts = "a, button, input, select, textarea, summary, h1, h2, label, td, th";
    for (const part of document.querySelectorAll(parts)) {
        const box = part.getBoundingClientRect();
        if (box.right <= width + 1 || !box.width || !part.checkVisibility({ visibilityProperty: true })) continue;
        let scrolls = false, above = part;
        while ((above = above.parentElement)) {
            const style = getComputedStyle(above);
            scrolls ||= ["auto", "scroll"].includes(style.overflowX) || style.clipPath !== "none";
        }
        if (!scrolls) found.push(`cut off: ${part.outerHTML.slice(0, 120)}`);
    }
    return found.slice(0, 4);
}"""


def test_what_opens_on_a_page_keeps_nobody_out_either(
    known: dict[str, list[str]],
    browser: Browser,  # noqa: F811 - the fixture
    live_server: Any,
) -> None:
    page = enter(browser, live_server.url)
    told: list[str] = []

    def look(what: str) -> None:
        told.extend(f"{what} {fault}" for fault in violations(page))

    row(page, "Patel, Asha").get_by_text("More").click()
    look("a line's menu")
    row(page, "Patel, Asha").get_by_role("button", name="Cancel…").click()
    expect(page.get_by_label("Reason")).to_be_focused()
    look("the dialog")
    page.keyboard.press("Escape")
    expect(page.locator("#dialog")).to_be_hidden()
    row(page, "Okafor, Chidi").get_by_role("button", name="Start").click()
    expect(page.locator("#notice")).to_contain_text("started")
    look("the notice")

    page.goto(f"{live_server.url}/admin/mwl_admin/requestedprocedure/add/")
    page.get_by_role("button", name="Save", exact=True).click()
    expect(page.get_by_text("Pick a patient, or enter a new one below.")).to_be_visible()
    look("errors at the fields")
    page.locator("#id_new_family_name").fill("Mueller")
    page.locator("#id_new_given_name").fill("Anne")
    page.locator("#id_new_patient_birth_date").fill("01/07/1950")
    expect(page.get_by_role("button", name="Use this one")).to_be_visible()
    page.locator(SELECTION.format(field="#id_procedure")).focus()
    search(page, "knee")
    expect(page.locator(".select2-results__option--highlighted")).to_be_visible()
    look("the search in the catalogue")
    page.keyboard.press("Enter")
    wait_until_closed(page)
    # a day to come: today has no free time left in the evening
    page.locator("#id_scheduled_procedure_steps-0-scheduled_date").fill("01/03/2030")
    page.keyboard.press("Tab")
    expect(page.locator("[data-slot]").first).to_be_visible()
    look("duplicates and free times")

    for time, button in (("noon", "Submit"), ("12:00", "Confirm import")):
        page.goto(f"{live_server.url}/admin/mwl_admin/requestedprocedure/import/")
        content = f"Accession number,Patient ID,Family name,Date,Time,Modality\nA-1,P-1,Roe,2030-01-01,{time},CT\n"
        file = {"name": "entries.csv", "mimeType": "text/csv", "buffer": content.encode()}
        page.locator("input[type=file]").set_input_files(file)  # type: ignore[arg-type]
        page.locator("select[name=format]").select_option(label="csv")
        page.get_by_role("button", name="Submit").click()
        expect(page.get_by_role("cell", name="A-1")).to_be_visible()
        expect(page.get_by_role("button", name=button)).to_be_visible()
        look(f"the file with {time}")
    assert not told, "\n".join(told)


def test_those_who_are_not_let_in_can_read_why(
    known: dict[str, list[str]],
    browser: Browser,  # noqa: F811 - the fixture
    live_server: Any,
    settings: Any,
) -> None:
    settings.AXES_FAILURE_LIMIT = 2
    page = enter(browser, live_server.url)
    told: list[str] = []

    def look(what: str) -> None:
        told.extend(f"{what} {fault}" for fault in [*violations(page), *overflowing(page)])

    page.goto(f"{live_server.url}/today/nowhere/")
    look("nothing there")
    page.goto(f"{live_server.url}{known['admin:mwl_admin_receivedstudy_change'][0].replace('change', 'delete')}")
    look("refused")
    page.goto(live_server.url)
    page.evaluate("document.getElementById('logout-form').submit()")
    page.wait_for_url("**/logout/")
    look("logged out")
    for words in ("Please enter the correct username", "Too many"):
        page.goto(f"{live_server.url}/admin/login/")
        page.get_by_label("Username").fill("ben")
        page.get_by_label("Password").fill("wrong")
        page.keyboard.press("Enter")
        expect(page.get_by_text(words)).to_be_visible()
        look(words)
    assert not told, "\n".join(told)


def test_the_menu_and_the_way_out_are_reached_by_keyboard_on_a_tablet_too(
    browser: Browser,  # noqa: F811 - the fixture
    live_server: Any,
) -> None:
    page = enter(browser, live_server.url, viewport={"width": TABLET, "height": 900})
    expect(page.get_by_role("link", name="Patients")).to_be_hidden()
    tab_to(page, "Menu")
    page.keyboard.press("Enter")
    expect(page.get_by_role("link", name="Patients")).to_be_visible()
    tab_to(page, "anna")
    page.keyboard.press("Space")
    expect(page.get_by_role("button", name="Log out")).to_be_visible()
    tab_to(page, "Log out")
    page.keyboard.press("Enter")
    page.wait_for_url("**/logout/")


def tab_to(page: Page, name: str) -> None:
    """Press the tabulator key until what is called ``name`` has the focus."""
    element = page.get_by_role("button", name=name).filter(visible=True)
    for _ in range(60):
        page.keyboard.press("Tab")
        if element.evaluate_all("elements => elements.includes(document.activeElement)"):
            return
    pytest.fail(f"{name} is not reached")
