"""Logging in, and being logged out."""

import re
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse
from django.utils import timezone

pytestmark = pytest.mark.django_db


@pytest.fixture
def anna() -> User:
    return User.objects.create_superuser("anna", password="correct horse battery")


def log_in(client: Client, password: str, user: str = "anna") -> int:
    return client.post(reverse("admin:login"), {"username": user, "password": password}).status_code


def test_guessing_passwords_locks_out_and_only_that_account(client: Client, anna: User, settings: Any) -> None:
    settings.AXES_FAILURE_LIMIT = 3
    User.objects.create_superuser("ben", password="correct horse battery")
    assert [log_in(client, "wrong") for _ in range(2)] == [200, 200]
    log_in(client, "wrong")
    assert log_in(client, "correct horse battery") == 429
    assert log_in(Client(), "correct horse battery", "ben") == 302


def test_a_session_ends_when_nobody_touches_it_though_the_page_refreshes(
    client: Client, anna: User, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.SESSION_COOKIE_AGE = 600
    assert log_in(client, "correct horse battery") == 302
    start = timezone.now()

    def at(minutes: int) -> None:
        monkeypatch.setattr(timezone, "now", lambda: start + timedelta(minutes=minutes))

    at(8)
    assert client.get("/today/").status_code == 200
    at(16)
    assert client.get("/today/list/", headers={"X-Refresh": "1"}).status_code == 200
    at(19)
    assert client.get("/today/list/", headers={"X-Refresh": "1", "HX-Request": "true"}).status_code == 204


def test_pages_take_nothing_from_other_hosts(client: Client, anna: User) -> None:
    client.force_login(anna)
    for address in ("/today/", "/stations/", reverse("admin:mwl_admin_requestedprocedure_add"), reverse("admin:index")):
        html = client.get(address).content.decode()
        assert re.findall(r'(?:src|href)="(?:https?:)?//[^"]*"', html) == []
