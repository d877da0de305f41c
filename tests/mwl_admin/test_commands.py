"""The first account, and migrations that say all that the models say."""

from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth import authenticate, get_user_model
from django.core.management import call_command
from django.http import HttpRequest

pytestmark = pytest.mark.django_db


def first_account() -> str:
    out = StringIO()
    call_command("first_account", stdout=out)
    return out.getvalue()


def test_the_first_account_gets_a_random_password_that_is_kept_in_a_file(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, settings: Any
) -> None:
    monkeypatch.delenv("DJANGO_SUPERUSER_PASSWORD", raising=False)
    settings.DATA_DIR = tmp_path
    file = tmp_path / "first_password"
    assert first_account() == f"First account: admin; its password is in {file}, to be changed at first login\n"
    user = authenticate(HttpRequest(), username="admin", password=file.read_text().strip())
    assert user is not None
    assert user.is_superuser
    assert first_account() == ""


def test_the_first_account_takes_the_password_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DJANGO_SUPERUSER_PASSWORD", "correct horse")
    assert "correct horse" not in first_account()
    assert authenticate(HttpRequest(), username="admin", password="correct horse")


def test_the_password_can_come_from_a_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("DJANGO_SUPERUSER_PASSWORD", raising=False)
    (tmp_path / "password").write_text("battery staple\n")
    monkeypatch.setenv("DJANGO_SUPERUSER_PASSWORD_FILE", str(tmp_path / "password"))
    first_account()
    assert authenticate(HttpRequest(), username="admin", password="battery staple")


def test_no_account_is_made_where_there_is_one() -> None:
    get_user_model().objects.create_user("anna")
    assert first_account() == ""
    assert get_user_model().objects.count() == 1


def test_migrations_are_complete() -> None:
    call_command("makemigrations", check=True, dry_run=True, verbosity=0)


def test_system_checks_find_nothing() -> None:
    call_command("check", fail_level="WARNING")
