"""A person at the site, over plain HTTP: pages are fetched, their forms filled and sent as a browser would."""

from __future__ import annotations

import re
from collections.abc import Mapping

import requests

from tests.mwl_admin.pages import STEP, form_values

ADD_ENTRY = "/admin/mwl_admin/requestedprocedure/add/"
ADD_STATION = "/admin/mwl_admin/station/add/"


class Site:
    """The site as one logged-in person sees it."""

    def __init__(self, url: str, password: str, *, user: str = "admin", trusted: str = "") -> None:
        """Log in; ``trusted`` is a file with the certificate by which an HTTPS site is known."""
        self._url = url
        self.session = requests.Session()
        if trusted:
            self.session.verify = trusted
            self.session.trust_env = False  # REQUESTS_CA_BUNDLE would win
        self.get("/admin/login/")
        answer = self._post("/admin/login/", {"username": user, "password": password, "next": "/admin/"})
        if "errornote" in answer.text or "sessionid" not in self.session.cookies:
            raise PermissionError("the site did not let us in")

    def get(self, path: str) -> requests.Response:
        answer = self.session.get(self._url + path, timeout=30)
        answer.raise_for_status()
        return answer

    def fill(self, path: str, values: Mapping[str, str | list[str]]) -> requests.Response:
        """Open the page's form, change ``values`` in it, send it. Raises ValueError with the page's complaints."""
        filled = form_values(self.get(path))
        answer = self._post(path, {**filled, **values})
        complaints = re.findall(r'class="errorlist[^"]*"[^>]*>\s*<li>([^<]*)', answer.text)
        if complaints:
            raise ValueError("; ".join(complaints))
        return answer

    def add_station(self, **values: str) -> str:
        """Add a station; return its primary key, which :meth:`add_entry` takes as ``step_stations``."""
        self.fill(ADD_STATION, values)
        return self.path_of("station", values["ae_title"]).split("/")[-3]

    def path_of(self, model: str, search: str, *, application: str = "mwl_admin") -> str:
        """Return the path of the page of what the list of a model shows for a search; it must be one."""
        listed = self.get(f"/admin/{application}/{model}/?q={search}").text
        found: set[str] = set(re.findall(rf"/admin/{application}/{model}/\d+/change/", listed))
        if len(found) != 1:
            raise LookupError(f"{len(found)} of {model} are found for {search!r}")
        return found.pop()

    def options(self, path: str, field: str) -> dict[str, str]:
        """Return what a page's field of choices offers: the value of each, by what it shows."""
        select = re.search(rf'<select name="{field}".*?</select>', self.get(path).text, re.DOTALL)
        found = re.findall(r'<option value="([^"]*)"[^>]*>([^<]*)', select[0] if select else "")
        return {shown.strip(): value for value, shown in found}

    def add_entry(self, **values: str | list[str]) -> None:
        """Add patient, requested procedure and one step on one page; ``step_…`` are fields of the step."""
        renamed = {
            f"{STEP}{name.removeprefix('step_')}" if name.startswith("step_") else name: value
            for name, value in values.items()
        }
        self.fill(ADD_ENTRY, renamed)

    def _post(self, path: str, values: Mapping[str, str | list[str]]) -> requests.Response:
        sent = {**values, "csrfmiddlewaretoken": self.session.cookies["csrftoken"]}
        answer = self.session.post(self._url + path, data=sent, headers={"Referer": self._url + path}, timeout=30)
        answer.raise_for_status()
        return answer
