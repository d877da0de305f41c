"""Forms of the admin, filled as a browser would."""

from html.parser import HTMLParser
from typing import Any

from django.http import HttpResponse
from django.test import Client
from django.urls import reverse

ADD_ENTRY = "admin:mwl_admin_requestedprocedure_add"
STEP = "scheduled_procedure_steps-0-"


class _Form(HTMLParser):
    """Collects what a browser would send of the form that the page is about."""

    def __init__(self) -> None:
        super().__init__()
        self.values: dict[str, Any] = {}
        self._inside = False
        self._select: tuple[str, bool] | None = None
        self._textarea: str | None = None

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        name, value = given.get("name"), given.get("value") or ""
        if tag == "form":
            self._inside = (given.get("id") or "").endswith("_form") and given.get("id") != "logout-form"
        if not self._inside:
            return
        if tag == "input" and name and given.get("type") not in {"submit", "file"}:
            ticks = given.get("type") in {"checkbox", "radio"}
            if not ticks or "checked" in given:
                self.values[name] = value or ("on" if ticks else "")
        elif tag == "select" and name:
            self._select = (name, "multiple" in given)
            if "multiple" in given:
                self.values[name] = []
        elif tag == "option" and self._select and "selected" in given:
            selected, multiple = self._select
            if multiple:
                self.values[selected].append(value)
            else:
                self.values[selected] = value
        elif tag == "textarea" and name:
            self._textarea = name
            self.values[name] = ""

    def handle_endtag(self, tag: str) -> None:
        if tag == "form":
            self._inside = False
        elif tag == "select":
            self._select = None
        elif tag == "textarea":
            self._textarea = None

    def handle_data(self, data: str) -> None:
        if self._textarea:
            self.values[self._textarea] = (self.values[self._textarea] + data).removeprefix("\n")


def form_values(response: Any) -> dict[str, Any]:
    """What the browser would send if nothing were changed."""
    form = _Form()
    form.feed(response.content.decode())
    return {name: value for name, value in form.values.items() if "__prefix__" not in name}


def open_form(browser: Client, view: str, *arguments: Any) -> dict[str, Any]:
    response = browser.get(reverse(view, args=arguments))
    assert response.status_code == 200
    return form_values(response)


def add_entry(browser: Client, **values: Any) -> HttpResponse:
    """Fill the page for a new entry and save it. ``step_…`` are fields of its first step."""
    filled = open_form(browser, ADD_ENTRY)
    for name, value in values.items():
        filled[f"{STEP}{name.removeprefix('step_')}" if name.startswith("step_") else name] = value
    return browser.post(reverse(ADD_ENTRY), filled)  # type: ignore[return-value]


def errors(response: Any) -> dict[str, list[str]]:
    """The errors next to the fields of the form and of its steps (``step_…``, ``step1_…``)."""
    context = response.context_data
    found = {name: list(messages) for name, messages in context["adminform"].form.errors.items()}
    for inline in context["inline_admin_formsets"]:
        for number, form in enumerate(inline.formset.forms):
            prefix = f"step{number or ''}_"
            found |= {f"{prefix}{name}": list(messages) for name, messages in form.errors.items()}
        found |= {"steps": messages} if (messages := list(inline.formset.non_form_errors())) else {}
    return found
