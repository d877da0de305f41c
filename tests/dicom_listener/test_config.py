"""Settings: each parsed once, a bad one named in one line."""

from __future__ import annotations

from pathlib import Path

import pytest

from dicom_listener.config import ListenerConfig, load_listener
from gateway_settings.addresses import bind_address
from gateway_settings.environment import BadSetting, environment
from gateway_settings.shared import Setting
from gateway_settings.values import ae_title


@pytest.fixture
def alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> pytest.MonkeyPatch:
    """An environment and a working directory without settings of anyone's."""
    monkeypatch.chdir(tmp_path)
    for name in ("LOG_LEVEL", "LOG_FORMAT", "DATA_DIR"):
        monkeypatch.delenv(name, raising=False)
    return monkeypatch


def load() -> ListenerConfig:
    return load_listener(
        environment(),
        "TOY",
        name="toy",
        ae_title=Setting("TOY_AE_TITLE", ae_title, "TOY"),
        bind=Setting("TOY_BIND", bind_address, "127.0.0.1:4242"),
        health_bind=Setting("TOY_HEALTH_BIND", bind_address, "127.0.0.1:8242"),
        workers=2,
    )


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("TOY_BIND", "nowhere"),
        ("TOY_BIND", "::1:104"),
        ("TOY_HEALTH_BIND", "127.0.0.1:99999"),
        ("TOY_AE_TITLE", "much too long for a title"),
        ("TOY_AE_TITLE", ""),
        ("TOY_WORKERS", "0"),
        ("TOY_WORKERS", "65"),
        ("TOY_MAX_ASSOCIATIONS", "many"),
        ("TOY_MAX_ASSOCIATIONS_PER_ADDRESS", "0"),
        ("TOY_IDLE_SECONDS", "-1"),
        ("TOY_IDLE_SECONDS", "nan"),
        ("TOY_FIRST_PDU_SECONDS", "0"),
        ("TOY_PDU_SECONDS", "inf"),
        ("TOY_RELEASE_SECONDS", ""),
        ("TOY_STOP_SECONDS", "soon"),
        ("TOY_MAX_PDU_LENGTH", "1"),
        ("TOY_MAX_COMMAND_SET_BYTES", "1"),
        ("TOY_MAX_IDENTIFIER_BYTES", "1"),
        ("TOY_MAX_MESSAGES_BYTES", "1"),
        ("TOY_MAX_WAITING_PER_ADDRESS", "0"),
        ("TOY_MAX_NESTING", "0"),
        ("TOY_MAX_NESTING", "129"),
        ("TOY_ALLOWED_NETWORKS", "10.0.0.0/99"),
        ("TOY_ALLOWED_NETWORKS", "10.0.0.1/8"),
        ("TOY_ALLOWED_CALLING_AE", "A\\B"),
        ("TOY_REQUIRE_CALLED_AE", "perhaps"),
        ("TOY_TLS_CERTIFICATE_PATH", "/nonexistent.pem"),
        ("TOY_TLS_CERTIFICATE_NAMES", "some"),
        ("TOY_TLS_PRIVATE_KEY_PATH", "/nonexistent.pem"),
        ("LOG_LEVEL", "LOUD"),
        ("LOG_FORMAT", "xml"),
    ],
)
def test_a_bad_setting_is_named_in_one_line(alone: pytest.MonkeyPatch, name: str, value: str) -> None:
    alone.setenv(name, value)
    with pytest.raises(BadSetting, match=rf"^{name}: .+\Z"):
        load()


def test_a_setting_may_come_from_a_file(alone: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "title").write_text("FROMFILE\n")
    alone.setenv("TOY_AE_TITLE_FILE", str(tmp_path / "title"))
    assert load().ae_title == "FROMFILE"


def test_the_environment_wins_over_the_working_directorys_file(alone: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("TOY_WORKERS=3\nTOY_AE_TITLE=FILE\n")
    for name in ("TOY_WORKERS", "TOY_AE_TITLE"):
        alone.setenv(name, "")  # what reading the file sets is taken back with it
        alone.delenv(name)
    alone.setenv("TOY_AE_TITLE", "ENV")
    config = load()
    assert (config.ae_title, config.workers) == ("ENV", 3)


def test_lists_and_addresses_are_understood(alone: pytest.MonkeyPatch) -> None:
    alone.setenv("TOY_BIND", "[::1]:104")
    alone.setenv("TOY_ALLOWED_CALLING_AE", " CT1 , MR 1,")
    alone.setenv("TOY_ALLOWED_NETWORKS", "10.0.0.0/8, 192.0.2.7 ,fd00::/8")
    config = load()
    assert config.bind == ("::1", 104)
    assert config.calling_ae_titles == {"CT1", "MR 1"}
    assert [str(network) for network in config.networks] == ["10.0.0.0/8", "192.0.2.7/32", "fd00::/8"]
