"""Misconfiguration is told by numbered checks."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from gateway_settings.addresses import bind_address
from mwl_admin import checks, environment
from mwl_admin.worklist.policy import Policy


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """Settings that are sound; not Django's own, which would act on a changed time zone or database at once."""
    static_root = tmp_path / "static"
    static_root.mkdir()
    (static_root / "staticfiles.json").touch()
    sound = SimpleNamespace(
        ALLOWED_HOSTS=["localhost"],
        DATABASES={"default": {"ENGINE": environment.SQLITE}},
        DATA_DIR=tmp_path,
        DEBUG=False,
        STATIC_ROOT=static_root,
        TIME_ZONE="Europe/London",
        MWL_BIND=bind_address("127.0.0.1:4243"),
        WORKLIST_POLICY=Policy(),
        WEB_BIND=bind_address("127.0.0.1:8000"),
        WEB_WORKERS=1,
    )
    monkeypatch.setattr(checks, "settings", sound)
    monkeypatch.delenv("MWL_AE_TITLE", raising=False)
    return sound


def found() -> list[str | None]:
    every = (
        checks.check_database,
        checks.check_department,
        checks.check_exposure,
        checks.check_static_files,
        checks.check_strangers,
    )
    return [message.id for check in every for message in check(None)]


@pytest.mark.usefixtures("settings")
def test_the_defaults_are_sound() -> None:
    assert found() == []


@pytest.mark.parametrize(
    ("identifier", "changes"),
    [
        ("mwl_admin.W001", {"WEB_WORKERS": 4}),
        (
            "mwl_admin.W002",
            {"DEBUG": True, "WEB_BIND": bind_address("0.0.0.0:8000"), "ALLOWED_HOSTS": ["worklist.example"]},
        ),
        ("mwl_admin.W003", {"WEB_BIND": bind_address("0.0.0.0:8000")}),
        ("mwl_admin.W004", {"ALLOWED_HOSTS": ["*"]}),
        ("mwl_admin.W006", {"STATIC_ROOT": "/nonexistent"}),
        ("mwl_admin.E001", {"TIME_ZONE": "Europe/Atlantis"}),
    ],
)
def test_each_mistake_has_its_number(settings: SimpleNamespace, identifier: str, changes: dict[str, Any]) -> None:
    vars(settings).update(changes)
    assert found() == [identifier]


def test_postgresql_takes_any_number_of_workers(settings: SimpleNamespace) -> None:
    settings.WEB_WORKERS = 4
    settings.DATABASES["default"]["ENGINE"] = environment.POSTGRESQL
    assert found() == []


def test_a_secret_key_that_others_can_read_is_told(settings: SimpleNamespace) -> None:
    key = settings.DATA_DIR / "secret_key"
    key.write_text("x")
    key.chmod(0o644)
    assert found() == ["mwl_admin.W005"]


@pytest.mark.usefixtures("settings")
@pytest.mark.parametrize("title", ["", "SEVENTEEN_LETTERS", "a\\b", "Röntgen"])
def test_an_illegal_ae_title_is_told(monkeypatch: pytest.MonkeyPatch, title: str) -> None:
    monkeypatch.setenv("MWL_AE_TITLE", title)
    assert found() == ["mwl_admin.E002"]


@pytest.mark.parametrize(("bind", "served", "told"), [("0.0.0.0:4243", True, True), ("0.0.0.0:4243", False, False)])
def test_strangers_that_are_served_beyond_this_machine_are_told(
    settings: SimpleNamespace, bind: str, served: bool, told: bool
) -> None:
    settings.MWL_BIND = bind_address(bind)
    settings.WORKLIST_POLICY = Policy(unknown_see=served)
    assert found() == (["mwl_admin.W007"] if told else [])
