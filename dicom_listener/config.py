"""Settings of a DICOM listener: environment variables parsed once into one frozen object.

A bad value is a :class:`BadSetting`, whose text is one line that names the variable.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from environs import FileAwareEnv

from dicom_encoding.walk import HIGHEST_NESTING
from dicom_listener import credentials
from gateway_settings import shared
from gateway_settings.addresses import Address, Network, networks
from gateway_settings.environment import BadSetting, read
from gateway_settings.shared import Setting
from gateway_settings.values import ae_titles, boolean, choice, optional_file, seconds, whole_number

T = TypeVar("T")

MIN_PDU_LENGTH = 4096
"""Smallest maximum PDU length that may be offered: DIMSE messages of any kind fit, and no peer sends less."""
MAX_PDU_LENGTH = 16 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Limits:
    """The resources that peers may use; times in seconds, sizes in bytes.

    ``waiting_per_address`` limits connections that have no association, not yet or no longer. ``first_pdu`` and
    ``release`` are the ARTIM timer of PS3.8 §9.1.5.
    """

    associations: int
    associations_per_address: int
    waiting_per_address: int
    first_pdu: float
    idle: float
    pdu: float
    release: float
    stop: float
    max_pdu_length: int
    command_set: int
    identifier: int
    messages: int
    nesting: int


@dataclass(frozen=True, slots=True)
class TlsFiles:
    """The files of TLS; with ``client_ca`` a client must present a certificate.

    ``any_title``: a client's certificate that is bound to no device stands for every AE title, not only the one that
    is its common name.
    """

    certificate: Path
    private_key: Path
    client_ca: Path | None
    any_title: bool = False


@dataclass(frozen=True, slots=True)
class ListenerConfig:
    """All settings of a listener; their variables have the prefix of its service (`MWL_`, `PACS_`)."""

    name: str
    prefix: str
    ae_title: str
    bind: Address
    health_bind: Address
    workers: int
    metrics_dir: Path
    limits: Limits
    tls: TlsFiles | None
    require_called_ae: bool
    calling_ae_titles: frozenset[str]
    networks: tuple[Network, ...]
    require_user_identity: bool
    user_identities_file: Path | None
    log_level: str
    log_format: str


def load_listener(
    env: FileAwareEnv,
    prefix: str,
    *,
    name: str,
    ae_title: Setting[str],
    bind: Setting[Address],
    health_bind: Setting[Address],
    workers: int,
) -> ListenerConfig:
    """Read a listener's settings.

    :raises BadSetting: for the first that can't be used.
    """

    def setting(suffix: str, parse: Callable[[str], T], default: str) -> T:
        return read(env, f"{prefix}_{suffix}", parse, default)

    require_user_identity = setting("REQUIRE_USER_IDENTITY", boolean, "0")
    return ListenerConfig(
        name=name,
        prefix=prefix,
        ae_title=ae_title.read(env),
        bind=bind.read(env),
        health_bind=health_bind.read(env),
        workers=setting("WORKERS", whole_number(1, 64), str(workers)),
        metrics_dir=shared.DATA_DIR.read(env) / "run" / f"{name}-metrics",
        limits=_limits(setting),
        tls=_tls(env, setting, prefix),
        require_called_ae=setting("REQUIRE_CALLED_AE", boolean, "0"),
        calling_ae_titles=setting("ALLOWED_CALLING_AE", ae_titles, ""),
        networks=setting("ALLOWED_NETWORKS", networks, ""),
        require_user_identity=require_user_identity,
        user_identities_file=_user_identities(setting, prefix, required=require_user_identity),
        log_level=shared.LOG_LEVEL.read(env),
        log_format=shared.LOG_FORMAT.read(env),
    )


def _limits(setting: Callable[[str, Callable[[str], Any], str], Any]) -> Limits:
    return Limits(
        associations=setting("MAX_ASSOCIATIONS", whole_number(1, 10_000), "1000"),
        associations_per_address=setting("MAX_ASSOCIATIONS_PER_ADDRESS", whole_number(1, 10_000), "600"),
        waiting_per_address=setting("MAX_WAITING_PER_ADDRESS", whole_number(1, 2000), "64"),
        first_pdu=setting("FIRST_PDU_SECONDS", seconds, "10"),
        idle=setting("IDLE_SECONDS", seconds, "600"),
        pdu=setting("PDU_SECONDS", seconds, "60"),
        release=setting("RELEASE_SECONDS", seconds, "5"),
        stop=setting("STOP_SECONDS", seconds, "30"),
        max_pdu_length=setting("MAX_PDU_LENGTH", whole_number(MIN_PDU_LENGTH, MAX_PDU_LENGTH), "262144"),
        command_set=setting("MAX_COMMAND_SET_BYTES", whole_number(256, 1_048_576), "16384"),
        identifier=setting("MAX_IDENTIFIER_BYTES", whole_number(1024, 1_073_741_824), "4194304"),
        messages=setting("MAX_MESSAGES_BYTES", whole_number(1_048_576, 1_099_511_627_776), "268435456"),
        nesting=setting("MAX_NESTING", whole_number(1, HIGHEST_NESTING), "32"),
    )


def _tls(env: FileAwareEnv, setting: Callable[[str, Callable[[str], Any], str], Any], prefix: str) -> TlsFiles | None:
    # one variable for both services, and the files where gateway_certificates puts them
    folder = shared.tls_dir(env)
    files = ("server.pem", "server.key", "ca.pem")
    defaults = [f"{folder}/{name}" if shared.DICOM_TLS.read(env) else "" for name in files]
    certificate = setting("TLS_CERTIFICATE_PATH", optional_file, defaults[0])
    private_key = setting("TLS_PRIVATE_KEY_PATH", optional_file, defaults[1])
    client_ca = setting("TLS_CLIENT_CA_PATH", optional_file, defaults[2])
    names = setting("TLS_CERTIFICATE_NAMES", choice("ae-title", "any"), "ae-title")
    if certificate is None and private_key is None and client_ca is None:
        return None
    if certificate is None or private_key is None:
        missing = "TLS_CERTIFICATE_PATH" if certificate is None else "TLS_PRIVATE_KEY_PATH"
        raise BadSetting(f"{prefix}_{missing}: needed as well, since another TLS setting is given")
    return TlsFiles(certificate, private_key, client_ca, any_title=names == "any")


def _user_identities(
    setting: Callable[[str, Callable[[str], Any], str], Any], prefix: str, *, required: bool
) -> Path | None:
    def usable(text: str) -> Path | None:
        path = optional_file(text)
        if path is not None:
            credentials.read(path)
        return path

    path: Path | None = setting("USER_IDENTITIES_FILE", usable, "")
    if required and path is None:
        raise BadSetting(
            f"{prefix}_USER_IDENTITIES_FILE: needed, since {prefix}_REQUIRE_USER_IDENTITY is set: "
            "without it no identity can be verified"
        )
    return path
