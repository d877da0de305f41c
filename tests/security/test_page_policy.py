"""What browsers are told about the pages: no script runs that isn't ours, and no page needs an exception."""

from __future__ import annotations

import re
from collections.abc import Iterator
from html.parser import HTMLParser
from typing import Any

import pytest
from django.contrib.auth.models import Group, User
from django.test import Client
from django.utils import timezone
from playwright.sync_api import Browser, Page, expect

from tests.clients.search_field import pick, wait_for_new_entry
from tests.site import demo
from tests.site.addresses import PAGES, addresses, make_what_is_shown
from tests.site.test_in_browser import browser, department, enter, row

__all__ = ["browser", "department"]

ALLOWED_EXCEPTIONS: dict[str, str] = {}
"""Pages whose policy is wider than the others', and why."""


class Inline(HTMLParser):
    """Finds what a policy without `unsafe-inline` forbids in a page."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        is_data = values.get("type") in {"application/json", "text/plain"}
        if tag == "script" and "src" not in values and not is_data:
            self.found.append("an inline script")
        if tag == "style":
            self.found.append("an inline style sheet")
        for name, value in attrs:
            if name.startswith(("on", "hx-on")) or name == "style":
                self.found.append(f"{name}={value!r} of {tag}")
            if (value or "").strip().lower().startswith("javascript:"):
                self.found.append(f"{name}={value!r} of {tag}")

    handle_startendtag = handle_starttag


def inline(html: str) -> list[str]:
    parser = Inline()
    parser.feed(html)
    return parser.found


@pytest.fixture
def staff(db: None) -> Client:
    User.objects.create_superuser("anna")
    User.objects.create_superuser("ben")
    Group.objects.get_or_create(name="Reception")
    demo.fill(timezone.localtime().replace(tzinfo=None))
    make_what_is_shown()
    client = Client()
    client.force_login(User.objects.get(username="anna"))
    return client


def test_no_page_holds_scripts_handlers_or_styles_of_its_own(staff: Client) -> None:
    told: list[str] = []
    for name in (name for pages in PAGES.values() for name in pages):
        for address in addresses(name):
            response = staff.get(address, follow=True)
            assert response.status_code == 200, address
            told += [f"{address}: {what}" for what in inline(response.content.decode())]
    for address in ("/admin/login/", "/nowhere/"):
        told += [f"{address}: {what}" for what in inline(Client().get(address).content.decode())]
    refused = Client(enforce_csrf_checks=True).post("/admin/login/", {"username": "x"})
    assert refused.status_code == 403
    told += [f"a form that was refused: {what}" for what in inline(refused.content.decode())]
    assert not told, "\n".join(told)


def test_what_is_found_in_a_page_that_has_all_of_it() -> None:
    page = """<script>x()</script><script type="module">x</script><script src="x.js"></script>
        <script type="application/json">{}</script><p style="color: red" onclick="x()"><img src=x onerror=x />
        <a href=" JavaScript:x()">x</a><style>p {}</style><div hx-on:click="x">"""
    assert len(inline(page)) == 8


def directives(response: Any) -> dict[str, list[str]]:
    parts = response.headers["Content-Security-Policy"].split(";")
    return {words[0]: words[1:] for words in (part.split() for part in parts) if words}


def test_each_answer_says_what_a_browser_may_do_with_it(staff: Client) -> None:
    for address in (*all_addresses(), "/admin/login/", "/nowhere/", "/health", "/api/worklist/", "/texts.js"):
        response = staff.get(address)
        policy = directives(response)
        if address not in ALLOWED_EXCEPTIONS:
            assert policy["script-src"] == policy["style-src"] == ["'self'"], address
        assert policy["default-src"] == policy["frame-ancestors"] == policy["base-uri"] == ["'none'"], address
        assert not [word for words in policy.values() for word in words if word.startswith(("'unsafe", "http", "*"))]
        assert response.headers["X-Content-Type-Options"] == "nosniff", address
        assert response.headers["X-Frame-Options"] == "DENY", address
        assert response.headers["Referrer-Policy"] == "same-origin", address
        assert response.headers["Cross-Origin-Opener-Policy"] == "same-origin", address
        assert response.headers["Cross-Origin-Resource-Policy"] == "same-origin", address
        assert "camera=()" in response.headers["Permissions-Policy"], address


def all_addresses() -> Iterator[str]:
    for name in (name for pages in PAGES.values() for name in pages):
        yield from addresses(name)


# --- in a browser

LISTEN = """document.addEventListener("securitypolicyviolation", (event) => console.error(
    `policy: ${event.effectiveDirective} ${event.blockedURI} ${event.sourceFile}:${event.lineNumber}`))"""


@pytest.fixture
def known(department: None) -> list[str]:
    """The addresses of the pages, with something to be seen on each. Made before the browser starts."""
    make_what_is_shown()
    return list(all_addresses())


@pytest.fixture
def page(known: list[str], browser: Browser, live_server: Any) -> Iterator[Page]:
    """A page of somebody logged in; what it complains of fails the test."""
    page = enter(browser, live_server.url, viewport={"width": 1400, "height": 900})
    page.add_init_script(LISTEN)
    told: list[str] = page.complaints  # type: ignore[attr-defined]
    page.on("console", lambda said: told.append(f"{page.url} {said.text}") if said.type == "error" else None)
    page.on("pageerror", lambda error: told.append(f"{page.url} {error}"))
    page.goto(live_server.url)
    yield page
    assert not told, "\n".join(told)


pytestmark_browser = pytest.mark.requires_component("chromium")


@pytestmark_browser
@pytest.mark.django_db(transaction=True)
@pytest.mark.timeout(300)
def test_no_page_asks_for_what_the_policy_forbids(known: list[str], page: Page, live_server: Any) -> None:
    for address in known:
        page.goto(live_server.url + address)
        page.wait_for_load_state("load")
        if "/api/docs" in address:
            page.locator(".opblock-summary").first.click()
            page.locator(".opblock-body").first.wait_for()


@pytestmark_browser
@pytest.mark.django_db(transaction=True)
def test_the_theme_s_controls_work(page: Page, live_server: Any) -> None:
    # the account's menu, the theme in it, and its memory
    page.locator("#nav-sidebar div[x-on\\:click]").last.click()
    expect(page.get_by_text("Change password")).to_be_visible()
    page.keyboard.press("Control+e")
    expect(page.locator("html")).to_have_class(re.compile("dark"))
    page.reload()
    expect(page.locator("html")).to_have_class(re.compile("dark"))
    page.keyboard.press("Control+e")
    expect(page.locator("html")).not_to_have_class(re.compile("dark"))
    # actions on a list: their bar opens with the first line that is ticked, as wide as the list
    page.goto(f"{live_server.url}/admin/mwl_admin/patient/")
    page.locator("#result_list .action-select").first.check()
    bar = page.locator("#changelist-actions")
    expect(bar).to_be_visible()
    box = bar.bounding_box()
    assert box is not None
    assert box["width"] > 300
    # the search over everything
    page.locator("#result_list .action-select").first.blur()
    page.keyboard.press("Control+k")
    page.locator("input[x-ref=searchInputCommand]").press_sequentially("patie")
    expect(page.locator("#command-results-list")).to_contain_text(re.compile("patient", re.IGNORECASE))
    page.keyboard.press("Escape")
    page.keyboard.press("Escape")
    expect(page.locator("input[x-ref=searchInputCommand]")).to_be_hidden()


@pytestmark_browser
@pytest.mark.django_db(transaction=True)
def test_filters_dialogs_and_pickers_work(page: Page, live_server: Any) -> None:
    page.locator("#search").fill("ova")
    expect(row(page, "Novák, Eliška")).to_have_count(1)
    expect(row(page, "Doe, John")).to_have_count(0)
    page.locator("#search").fill("")
    row(page, "Patel, Asha").get_by_text("More").click()
    row(page, "Patel, Asha").get_by_role("button", name="Cancel…").click()
    expect(page.get_by_label("Reason")).to_be_focused()
    page.keyboard.press("Escape")
    page.goto(f"{live_server.url}/admin/mwl_admin/requestedprocedure/add/")
    wait_for_new_entry(page)
    pick(page, "haddad", "Haddad, Samir")
    page.locator("#calendarlink0").click()
    page.locator("#calendarin0 td a").first.click()
    expect(page.locator("#id_new_patient_birth_date")).to_have_value(re.compile(r"\d\d/\d\d/\d{4}"))
    page.get_by_text("Add another").first.click()
    page.locator("a.related-widget-wrapper-link").first.wait_for(state="attached")
    page.goto(f"{live_server.url}/admin/mwl_admin/scheduledprocedurestep/")
    page.get_by_text("Filters").first.click()
    expect(page.locator("#changelist-filter")).to_be_visible()


MEANING: list[tuple[str, Any]] = [
    ("1 + 2 * 3 - -4 / 2", 9),
    ("'a' + \"b\\'c\"", "ab'c"),
    ("!null && (undefined ?? 0 || 'yes')", "yes"),
    ("[1, 2, 3].includes(2) ? 'in' : 'out'", "in"),
    ("{ a: 1, 'b': [2, 3], c: { d: null } }", {"a": 1, "b": [2, 3], "c": {"d": None}}),
    ("[3, 4].map(x => x * 2)", [6, 8]),
    ("[1, 2].map((x, i) => x + i)[1]", 3),
    ("typeof $el.tagName + $el?.tagName.toLowerCase()", "stringbody"),
    ("if (1 > 2) { 'no' } else { 'else' }", "else"),
    ("Math.max(1, 5) % 3 === 2 && 1 != 2 && 2 <= 2", True),
    ("new Date(0).getTime()", 0),
]
CODE = [
    "''.constructor.constructor('return 1')()",
    "(x => x)['constructor']('return 1')()",
    "['con' + 'structor'].map(x => ''[x])",
    "$el.ownerDocument.defaultView",
    "$el.innerHTML = '<img src=x onerror=alert(1)>'",
    "document.cookie",
    "fetch('/')",
    "window.open('/')",
    "new Function('return 1')()",
    "eval('1')",
    "import('/x.js')",
]


@pytestmark_browser
@pytest.mark.django_db(transaction=True)
def test_expressions_mean_what_they_mean_to_alpine_and_reach_no_code(browser: Browser, live_server: Any) -> None:
    page = enter(browser, live_server.url)
    evaluate = "(text) => Alpine.evaluate(document.body, text) ?? null"
    for expression, result in MEANING:
        assert page.evaluate(evaluate, expression) == result, expression
    for expression in CODE:
        with page.expect_event("pageerror"):
            assert page.evaluate(evaluate, expression) is None, expression
