"""The alarms of the start page in a real browser: settled with one click, live, and on paper."""

from __future__ import annotations

from typing import Any

import pytest
from playwright.sync_api import Browser, expect

from tests.site.test_in_browser import browser, department, enter, in_database  # noqa: F401 - fixtures

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.requires_component("chromium")]


def test_an_alarm_is_settled_with_one_click_and_comes_back_with_another(
    browser: Browser,  # noqa: F811 - the fixture
    live_server: Any,
) -> None:
    page = enter(browser, live_server.url)
    alarm = page.locator(".g-grave")
    expect(alarm).to_contain_text("352 images of Okafor, Chidi (P-1004) arrived for the entry of Haddad, Samir")
    alarm.get_by_role("button", name="Seen").click()
    expect(alarm).to_have_count(0)
    page.locator("#notice").get_by_role("button", name="Undo").click()
    expect(alarm).to_have_count(1)
    # What the receiver tells meanwhile is shown without reloading.
    in_database("UPDATE mwl_admin_receivedstudy SET instance_count = 353 WHERE patient_id = 'P-1004'")
    expect(alarm).to_contain_text("353 images of Okafor")
    assert page.complaints == []  # type: ignore[attr-defined]


def test_alarms_are_on_paper_without_their_buttons_and_only_on_todays(
    browser: Browser,  # noqa: F811 - the fixture
    live_server: Any,
) -> None:
    page = enter(browser, live_server.url)
    page.emulate_media(media="print")
    expect(page.locator(".g-grave")).to_be_visible()
    expect(page.locator(".g-grave button")).to_be_hidden()
    page.goto(f"{live_server.url}/today/?day=2030-01-01")
    expect(page.locator(".g-grave")).to_be_hidden()
    page.emulate_media(media="screen")
    expect(page.locator(".g-grave")).to_be_visible()
