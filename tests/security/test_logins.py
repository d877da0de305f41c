"""Guessing passwords, and the sessions of those who know theirs."""

from __future__ import annotations

import ipaddress
from datetime import timedelta
from typing import Any

import pytest
from axes.models import AccessAttempt
from django.contrib.auth.models import Group, User
from django.test import Client
from django.urls import reverse
from django.utils import timezone

pytestmark = pytest.mark.django_db

PASSWORD, OTHER = "correct-horse-7-battery", "staple-9-elephant-moon"
PROXY, ATTACKER, DESK = "172.20.0.9", "203.0.113.66", "192.0.2.17"
LET_IN, WRONG, LOCKED = 302, 200, 429


@pytest.fixture
def staff(db: None) -> list[User]:
    """Twelve colleagues."""
    return [User.objects.create_user(f"person{number}", is_staff=True, password=PASSWORD) for number in range(12)]


def log_in(user: str, password: str, address: str = ATTACKER, *, client: Client | None = None, **headers: str) -> int:
    given = {"username": user, "password": password}
    answer = (client or Client()).post(reverse("admin:login"), given, REMOTE_ADDR=address, headers=headers)
    return answer.status_code


def test_one_password_tried_on_many_accounts_is_stopped_and_no_other_desk(staff: list[User], settings: Any) -> None:
    settings.WEB_LOGIN_FAILURES_PER_ADDRESS = 8
    assert [log_in(person.username, "Summer2026!") for person in staff[:7]] == [WRONG] * 7
    assert log_in(staff[7].username, "Summer2026!") == LOCKED
    assert log_in(staff[8].username, PASSWORD) == LOCKED
    assert log_in("somebody else", PASSWORD) == LOCKED
    assert log_in(staff[0].username, PASSWORD, DESK) == LET_IN


def test_an_own_account_in_between_does_not_start_the_count_again(staff: list[User], settings: Any) -> None:
    settings.WEB_LOGIN_FAILURES_PER_ADDRESS = 6
    for person in staff[1:6]:
        log_in(person.username, "Summer2026!")
        assert log_in(staff[0].username, PASSWORD) == LET_IN
    assert log_in(staff[6].username, "Summer2026!") == LOCKED


def test_guessing_one_password_does_not_lock_that_person_out_elsewhere(staff: list[User], settings: Any) -> None:
    settings.AXES_FAILURE_LIMIT = 3
    assert [log_in("person0", f"guess {number}") for number in range(4)] == [WRONG, WRONG, LOCKED, LOCKED]
    assert log_in("person0", PASSWORD) == LOCKED
    assert log_in("person0", PASSWORD, DESK) == LET_IN


def test_the_lock_ends_though_somebody_tries_on_and_on(
    staff: list[User], settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.WEB_LOGIN_FAILURES_PER_ADDRESS = 3
    start = timezone.now()

    def at(minutes: int) -> None:
        monkeypatch.setattr("axes.handlers.proxy.now", lambda: start + timedelta(minutes=minutes))

    at(0)
    for person in staff[:3]:
        log_in(person.username, "Summer2026!")
    for minutes in range(14):
        at(minutes)
        assert log_in("person5", PASSWORD) == LOCKED
    at(16)
    assert log_in("person5", PASSWORD) == LET_IN


def test_trying_on_while_locked_makes_nothing_grow(staff: list[User], settings: Any) -> None:
    settings.WEB_LOGIN_FAILURES_PER_ADDRESS = 5
    for number in range(40):
        log_in(f"nobody{number}", "Summer2026!")
    assert AccessAttempt.objects.count() == 5


def test_behind_the_proxy_one_attacker_locks_out_himself_only(staff: list[User], settings: Any) -> None:
    settings.WEB_LOGIN_FAILURES_PER_ADDRESS = 5
    settings.WEB_TRUSTED_PROXIES = [ipaddress.ip_network("172.20.0.0/24")]
    for number in range(6):
        # he may say what he likes, the proxy adds where he is
        log_in(f"person{number}", "Summer2026!", PROXY, X_Forwarded_For=f"192.0.2.{number}, {ATTACKER}")
    assert log_in("person9", PASSWORD, PROXY, X_Forwarded_For=ATTACKER) == LOCKED
    assert log_in("person9", PASSWORD, PROXY, X_Forwarded_For=DESK) == LET_IN


def test_without_a_proxy_another_address_is_only_claimed(staff: list[User], settings: Any) -> None:
    settings.WEB_LOGIN_FAILURES_PER_ADDRESS = 5
    for number in range(6):
        log_in(f"person{number}", "Summer2026!", X_Forwarded_For=f"192.0.2.{number}")
    assert log_in("person9", PASSWORD, X_Forwarded_For=DESK) == LOCKED


# --- sessions


def change_own(client: Client) -> None:
    values = {"old_password": PASSWORD, "new_password1": OTHER, "new_password2": OTHER}
    assert client.post(reverse("admin:password_change"), values).status_code == LET_IN


def is_in(client: Client) -> bool:
    return client.get(reverse("admin:index")).status_code == 200


def test_a_changed_password_ends_the_other_sessions_and_not_ones_own(staff: list[User]) -> None:
    here, elsewhere = Client(), Client()
    assert [log_in("person0", PASSWORD, client=client) for client in (here, elsewhere)] == [LET_IN] * 2
    change_own(here)
    assert (is_in(here), is_in(elsewhere)) == (True, False)


def test_a_password_that_an_administrator_sets_ends_all_sessions(staff: list[User]) -> None:
    theirs, boss = Client(), Client()
    log_in("person0", PASSWORD, client=theirs)
    boss.force_login(User.objects.create_superuser("boss"))
    values = {"password1": OTHER, "password2": OTHER, "usable_password": "true"}
    assert boss.post(reverse("admin:auth_user_password_change", args=[staff[0].pk]), values).status_code == LET_IN
    assert not is_in(theirs)


@pytest.mark.parametrize("change", [{"is_active": False}, {"is_staff": False}])
def test_an_account_that_is_switched_off_is_out_at_once(staff: list[User], change: dict[str, bool]) -> None:
    client = Client()
    log_in("person0", PASSWORD, client=client)
    User.objects.filter(pk=staff[0].pk).update(**change)
    assert not is_in(client)


def test_a_role_that_is_taken_away_counts_at_once(staff: list[User], roles: None) -> None:
    client = Client()
    staff[0].groups.add(Group.objects.get(name="Reception"))
    log_in("person0", PASSWORD, client=client)
    assert client.get(reverse("today")).status_code == 200
    staff[0].groups.clear()
    assert client.get(reverse("today")).status_code == 403


def test_logging_in_gives_a_new_session_that_scripts_and_other_sites_do_not_get(staff: list[User]) -> None:
    client = Client()
    client.get(reverse("admin:login"))
    client.session.save()
    given = client.cookies["sessionid"].value if "sessionid" in client.cookies else ""
    log_in("person0", PASSWORD, client=client)
    cookie = client.cookies["sessionid"]
    assert cookie.value != given
    assert (cookie["httponly"], cookie["samesite"], cookie["expires"], cookie["max-age"]) == (True, "Lax", "", "")


def test_cookies_travel_over_https_only_where_the_site_is_served_so(staff: list[User], settings: Any) -> None:
    settings.SESSION_COOKIE_SECURE = settings.CSRF_COOKIE_SECURE = True
    client = Client()
    client.get(reverse("admin:login"))
    log_in("person0", PASSWORD, client=client)
    assert all(client.cookies[name]["secure"] for name in ("sessionid", "csrftoken"))


def test_a_link_logs_nobody_out(staff: list[User]) -> None:
    client = Client()
    log_in("person0", PASSWORD, client=client)
    assert client.get(reverse("admin:logout")).status_code == 405
    assert is_in(client)
    client.post(reverse("admin:logout"))
    assert not is_in(client)
