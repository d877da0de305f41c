"""The site's search fields (select2) by keyboard, each key after the field is ready for it."""

from __future__ import annotations

from playwright.sync_api import Page, expect

SELECTION = "{field} + .select2 .select2-selection"
"""What has the focus while the field is closed, by the selector of its form field."""


def search(page: Page, typed: str) -> None:
    """Open the search field that has the focus, and type; before it is open, its keys would go elsewhere."""
    expect(page.locator(".select2-selection:focus")).to_have_count(1)
    page.keyboard.press("Enter")
    expect(page.locator(".select2-dropdown .select2-search__field")).to_be_focused()
    page.keyboard.type(typed)


def pick(page: Page, typed: str, expected: str) -> None:
    """Search in the field that has the focus, and take the first that is found, which contains ``expected``."""
    search(page, typed)
    page.locator(".select2-results__option--highlighted", has_text=expected).wait_for()
    page.keyboard.press("Enter")
    wait_until_closed(page)


def wait_until_closed(page: Page) -> None:
    """Wait until a search field has given the focus back: by a timer, which would take it from the next field."""
    expect(page.locator(".select2-dropdown")).to_have_count(0)
    expect(page.locator(".select2-selection:focus")).to_have_count(1)


def wait_for_new_entry(page: Page) -> None:
    """Wait until the page for a new entry has put the focus on the search for a patient: its last act on loading."""
    expect(page.locator(SELECTION.format(field="#id_patient"))).to_be_focused()
