"""The settings that more than one process reads, each with its name, its values and its default."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

from environs import FileAwareEnv

from gateway_settings import log
from gateway_settings.addresses import bind_address
from gateway_settings.environment import BadSetting, read
from gateway_settings.secrets import kept_secret
from gateway_settings.values import ae_title, boolean, choice, folder, non_empty

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Setting(Generic[T]):
    """A setting: ``parse`` takes what the environment says, and ``default`` where it says nothing."""

    name: str
    parse: Callable[[str], T]
    default: str

    def read(self, env: FileAwareEnv) -> T:
        """Return the setting's value.

        :raises BadSetting: when it can't be used.
        """
        return read(env, self.name, self.parse, self.default)


DATA_DIR = Setting("DATA_DIR", folder, "var")
LOG_LEVEL = Setting("LOG_LEVEL", choice(*log.LEVELS), "INFO")
LOG_FORMAT = Setting("LOG_FORMAT", choice(*log.FORMATS), "text")
DICOM_TLS = Setting("DICOM_TLS", boolean, "0")

MWL_AE_TITLE = Setting("MWL_AE_TITLE", ae_title, "MWL_SCP")
MWL_BIND = Setting("MWL_BIND", bind_address, "127.0.0.1:4243")
MWL_HEALTH_BIND = Setting("MWL_HEALTH_BIND", bind_address, "127.0.0.1:8243")
MWL_UNKNOWN_STATIONS = Setting("MWL_UNKNOWN_STATIONS", choice("auto", "all", "none"), "auto")

PACS_AE_TITLE = Setting("PACS_AE_TITLE", ae_title, "PACS")
PACS_BIND = Setting("PACS_BIND", bind_address, "127.0.0.1:4244")
PACS_HEALTH_BIND = Setting("PACS_HEALTH_BIND", bind_address, "127.0.0.1:8244")
PACS_COMMAND_BIND = Setting("PACS_COMMAND_BIND", bind_address, "127.0.0.1:8248")
PACS_UNKNOWN_PEERS = Setting("PACS_UNKNOWN_PEERS", choice("auto", "accept", "reject"), "auto")


def tls_dir(env: FileAwareEnv) -> Path:
    """Return the folder of the certificates that the listeners read.

    :raises BadSetting: when it can't be used.
    """
    return Path(read(env, "DICOM_TLS_DIR", non_empty, f"{DATA_DIR.read(env)}/tls"))


def link_secret(env: FileAwareEnv) -> str:
    """Return ``PACS_NOTIFY_SECRET``; where it isn't set, the one that was made once, by site or receiver.

    :raises BadSetting: when none is set and none can be kept.
    """
    given = read(env, "PACS_NOTIFY_SECRET", str, "")
    path = read(env, "PACS_NOTIFY_SECRET_PATH", Path, f"{DATA_DIR.read(env)}/link_secret")
    return given or kept("PACS_NOTIFY_SECRET", path)


def kept(name: str, path: Path) -> str:
    """Return the secret that stands for the setting ``name``, made once and kept at ``path``.

    :raises BadSetting: when there is none and none can be kept.
    """
    try:
        return kept_secret(path)
    except OSError as error:
        raise BadSetting(f"{name}: must be set, since none can be kept in {path.parent} ({error.strerror})") from error
    except ValueError as error:
        raise BadSetting(f"{name}: {error}") from error
