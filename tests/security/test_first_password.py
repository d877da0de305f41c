"""The password that the machine made: in one file for its owner, good for nothing but choosing another."""

from __future__ import annotations

import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.management import call_command
from django.test import Client
from django.urls import reverse
from playwright.sync_api import Page, sync_playwright

from mwl_admin.models import FirstPassword
from tests import components
from tests.security.asking import all_addresses
from tests.security.scene import Scene

OWN = "staple-9-elephant-moon"
FORM = "/admin/password_change/"


@pytest.fixture
def first(monkeypatch: pytest.MonkeyPatch, settings: Any, tmp_path: Path, db: None) -> Path:
    """The file with the password of the first account, which was just made."""
    monkeypatch.delenv("DJANGO_SUPERUSER_PASSWORD", raising=False)
    settings.DATA_DIR = tmp_path
    call_command("first_account")
    return tmp_path / "first_password"


@pytest.fixture
def admin(first: Path) -> Client:
    """The site as the first account sees it after its first login."""
    client = Client()
    given = {"username": "admin", "password": first.read_text().strip()}
    assert client.post(reverse("admin:login"), given).status_code == 302
    return client


def change(client: Client, old: str, new: str = OWN) -> Any:
    return client.post(FORM, {"old_password": old, "new_password1": new, "new_password2": new})


@pytest.mark.django_db
def test_it_is_kept_for_the_owner_alone_and_said_nowhere(first: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert stat.S_IMODE(first.stat().st_mode) == 0o600
    call_command("first_account")
    assert first.read_text().strip() not in capsys.readouterr().out
    assert [path.name for path in first.parent.iterdir()] == ["first_password"]


@pytest.mark.django_db
@pytest.mark.parametrize("method", ["get", "post"])
def test_nothing_else_opens_before_it_is_changed(roles: None, admin: Client, method: str) -> None:
    boss = Client()
    boss.force_login(User.objects.create_superuser("boss"))
    scene = Scene(boss)
    open_to_all = {"health", "texts", "admin:jsi18n", "admin:password_change", "admin:logout"}
    for name, route in all_addresses():
        if name not in open_to_all:
            answer = getattr(admin, method)(scene.address(name, route))
            assert (answer.status_code, answer.headers.get("Location")) == (302, FORM), name


@pytest.mark.django_db
def test_a_page_that_refreshes_itself_leads_there_too(admin: Client) -> None:
    answer = admin.get(reverse("today_list"), headers={"HX-Request": "true"})
    assert (answer.status_code, answer["HX-Redirect"]) == (204, FORM)


@pytest.mark.django_db
def test_after_the_change_the_site_opens_and_the_file_is_gone(
    admin: Client, first: Path, django_capture_on_commit_callbacks: Any
) -> None:
    old = first.read_text().strip()
    with django_capture_on_commit_callbacks(execute=True):
        assert change(admin, old).status_code == 302
    assert not first.exists()
    assert admin.get(reverse("today")).status_code == 200
    assert not FirstPassword.objects.exists()
    again = Client()
    assert again.post(reverse("admin:login"), {"username": "admin", "password": OWN}).status_code == 302
    assert again.get(reverse("today")).status_code == 200


@pytest.mark.django_db
def test_the_same_password_is_no_change(admin: Client, first: Path) -> None:
    old = first.read_text().strip()
    assert "not the one that was made for you" in change(admin, old, old).content.decode()
    assert admin.get(reverse("today")).status_code == 302


@pytest.mark.django_db
@pytest.mark.parametrize("way", ["another administrator", "command"])
def test_whatever_changes_it_ends_it(
    first: Path, way: str, monkeypatch: pytest.MonkeyPatch, django_capture_on_commit_callbacks: Any
) -> None:
    user = User.objects.get(username="admin")
    boss = Client()
    boss.force_login(User.objects.create_superuser("boss"))
    monkeypatch.setattr("getpass.getpass", lambda prompt="": OWN)
    with django_capture_on_commit_callbacks(execute=True):
        if way == "command":
            call_command("changepassword", "admin")
        else:
            values = {"password1": OWN, "password2": OWN, "usable_password": "true"}
            boss.post(reverse("admin:auth_user_password_change", args=[user.pk]), values)
    assert not first.exists()
    client = Client()
    client.post(reverse("admin:login"), {"username": "admin", "password": OWN})
    assert client.get(reverse("today")).status_code == 200


@pytest.mark.django_db
def test_a_password_that_somebody_chose_need_not_be_changed(
    monkeypatch: pytest.MonkeyPatch, settings: Any, tmp_path: Path
) -> None:
    settings.DATA_DIR = tmp_path
    monkeypatch.setenv("DJANGO_SUPERUSER_PASSWORD", OWN)
    call_command("first_account")
    client = Client()
    client.post(reverse("admin:login"), {"username": "admin", "password": OWN})
    assert client.get(reverse("today")).status_code == 200
    assert list(tmp_path.iterdir()) == []


@pytest.mark.django_db
def test_without_a_place_for_it_there_is_no_account(
    monkeypatch: pytest.MonkeyPatch, settings: Any, tmp_path: Path
) -> None:
    monkeypatch.delenv("DJANGO_SUPERUSER_PASSWORD", raising=False)
    settings.DATA_DIR = tmp_path / "missing"
    with pytest.raises(Exception, match="set DJANGO_SUPERUSER_PASSWORD"):
        call_command("first_account")
    assert not User.objects.exists()


# --- as its owner sees it


@pytest.fixture
def page(transactional_db: None, first: Path, live_server: Any) -> Iterator[Page]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=components.chromium(), args=["--no-sandbox"])
        page = browser.new_page()
        complaints: list[str] = []
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.goto(live_server.url)
        page.get_by_label("Username").fill("admin")
        page.get_by_label("Password").fill(first.read_text().strip())
        page.keyboard.press("Enter")
        yield page
        browser.close()
    assert complaints == []


@pytest.mark.django_db(transaction=True)
@pytest.mark.requires_component("chromium")
def test_in_the_browser(page: Page, first: Path, live_server: Any) -> None:
    page.get_by_text("Choose one of your own now").wait_for()
    old = first.read_text().strip()
    page.locator("#id_old_password").fill(old)
    page.locator("#id_new_password1").fill(old)
    page.locator("#id_new_password2").fill(old)
    page.get_by_role("button", name="Change password").click()
    page.get_by_text("not the one that was made for you").wait_for()
    page.goto(f"{live_server.url}/stations/")
    page.locator("#id_old_password").fill(old)
    page.locator("#id_new_password1").fill(OWN)
    page.locator("#id_new_password2").fill(OWN)
    page.keyboard.press("Enter")
    page.get_by_text("Your password was changed").wait_for()
    assert not first.exists()
    page.goto(f"{live_server.url}/stations/")
    page.get_by_role("heading", name="Stations").first.wait_for()
