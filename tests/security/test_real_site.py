"""Accounts and roles as somebody with an HTTP client meets them: the real site, its worker and all."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
import requests

from tests.clients.site import Site
from tests.mwl_admin.pages import form_values
from tests.processes import PASSWORD, Processes

ATTACKER, DESK = "203.0.113.66", "192.0.2.17"
RADIOGRAPHER = f"""
from django.contrib.auth.models import Group, User
from mwl_admin.models import Patient
user = User.objects.create_user("radiographer", password="{PASSWORD}", is_staff=True)
user.groups.add(Group.objects.get(name="Radiographer"))
Patient.objects.create(patient_id="P-1001", family_name="Müller", given_name="Änne")
"""
TOLD = "from mwl_admin.models import Patient; print([str(p) for p in Patient.objects.all()])"


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Processes]:
    """The site behind a proxy on this machine, as far as it knows."""
    settings = {"WEB_TRUSTED_PROXIES": "127.0.0.1", "WEB_LOGIN_FAILURES_PER_ADDRESS": "4"}
    made = Processes(tmp_path_factory.mktemp("site"), settings)
    made.data_dir.mkdir()
    made.prepare()
    made.manage("shell", "-c", RADIOGRAPHER)
    made.mwl_admin.start()
    yield made
    made.stop()


def log_in(url: str, user: str, password: str, forwarded_for: str) -> int:
    """Log in through the proxy; return the status of the answer."""
    session = requests.Session()
    session.headers["X-Forwarded-For"] = forwarded_for
    page = session.get(f"{url}/admin/login/", timeout=30).text
    token = re.search(r'csrfmiddlewaretoken" value="([^"]+)', page)
    assert token is not None
    given = {"username": user, "password": password, "csrfmiddlewaretoken": token[1]}
    return session.post(f"{url}/admin/login/", given, timeout=60, allow_redirects=False).status_code


def test_one_attacker_is_locked_out_whatever_he_says_of_himself_and_nobody_else_is(served: Processes) -> None:
    tried = [log_in(served.web_url, f"user{n}", "Summer2026!", f"192.0.2.{n}, {ATTACKER}") for n in range(5)]
    assert tried == [200, 200, 200, 429, 429]
    assert log_in(served.web_url, "admin", PASSWORD, ATTACKER) == 429
    assert log_in(served.web_url, "admin", PASSWORD, f"{ATTACKER}, {DESK}") == 302


def test_a_radiographer_rewrites_no_patient_by_the_history(served: Processes) -> None:
    site = Site(served.web_url, PASSWORD, user="radiographer")
    history = site.get("/admin/mwl_admin/patient/1/history/").text
    version = re.search(r"/admin/mwl_admin/patient/1/history/\d+/", history)
    assert version is not None
    forged = {
        **form_values(site.get(version[0])),
        "patient_id": "P-1001",
        "family_name": "Forged",
        "patient_sex": "M",
        "csrfmiddlewaretoken": site.session.cookies["csrftoken"],
    }
    address = served.web_url + version[0]
    assert site.session.post(address, forged, headers={"Referer": address}, timeout=30).status_code == 405
    assert "Müller, Änne (P-1001)" in served.manage("shell", "-c", TOLD)
