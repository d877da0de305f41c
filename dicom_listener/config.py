"""Settings of a DICOM listener: environment variables parsed once into one frozen object.

A bad value is a :class:`BadSetting`, whose text is one line that names the variable.
"""

from __future__ import annotations

import ipaddress
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn, TypeVar

from environs import EnvError, FileAwareEnv

from dicom_listener import credentials
from dicom_listener.ae_titles import ae_title, ae_titles
from gateway_settings import log
from gateway_settings.environment import BadSetting

Network = ipaddress.IPv4Network | ipaddress.IPv6Network
T = TypeVar("T")

MIN_PDU_LENGTH = 4096
"""Smallest maximum PDU length that may be offered: DIMSE messages of any kind fit, and no peer sends less."""
MAX_PDU_LENGTH = 16 * 1024 * 1024


@contextmanager
def exit_on_bad_setting() -> Iterator[None]:
    """Turn a :class:`BadSetting` into one line on standard error and exit status 2."""
    try:
        yield
    except BadSetting as error:
        _exit(str(error))


def _exit(line: str) -> NoReturn:
    print(line, file=sys.stderr)  # noqa: T201 - the line that the person who starts the service reads
    raise SystemExit(2)


def read(env: FileAwareEnv, name: str, parse: Callable[[str], T], default: str) -> T:
    """Return setting ``name`` through ``parse``, which raises ValueError with what is wrong.

    The default goes through ``parse`` too: the settings table states it as it would be written in the environment.
    """
    try:
        text = env.str(name, default)
        return parse(text)
    except (EnvError, ValueError) as error:
        raise BadSetting(f"{name}: {error}") from error


def data_dir(env: FileAwareEnv) -> Path:
    """Return ``DATA_DIR``: where every default that names `var/` is rooted."""
    return Path(read(env, "DATA_DIR", non_empty, "var"))


def non_empty(text: str) -> str:
    if not text.strip():
        raise ValueError("must not be empty")
    return text


def boolean(text: str) -> bool:
    """Parse `1`/`0`, `true`/`false`, `yes`/`no`, `on`/`off`."""
    lowered = text.strip().lower()
    if lowered in {"1", "true", "yes", "on"}:
        return True
    if lowered in {"0", "false", "no", "off", ""}:
        return False
    raise ValueError(f"{text!r} is neither 1 nor 0")


def whole_number(minimum: int, maximum: int | None = None) -> Callable[[str], int]:
    """Return a parser of whole numbers in a range."""

    def parse(text: str) -> int:
        try:
            value = int(text)
        except ValueError:
            raise ValueError(f"{text!r} is not a whole number") from None
        if value < minimum or (maximum is not None and value > maximum):
            raise ValueError(
                f"{value} is not between {minimum} and {maximum}" if maximum else f"{value} is below {minimum}"
            )
        return value

    return parse


def seconds(text: str) -> float:
    """Parse a positive number of seconds."""
    try:
        value = float(text)
    except ValueError:
        raise ValueError(f"{text!r} is not a number of seconds") from None
    if not 0 < value < 1e7:
        raise ValueError(f"{text!r} is not a positive number of seconds")
    return value


def choice(*allowed: str) -> Callable[[str], str]:
    """Return a parser of one word out of ``allowed``, in any case."""

    def parse(text: str) -> str:
        for word in allowed:
            if text.strip().lower() == word.lower():
                return word
        raise ValueError(f"{text!r} is none of {', '.join(allowed)}")

    return parse


def networks(text: str) -> tuple[Network, ...]:
    """Parse a comma-separated list of IP addresses and networks; empty means no restriction."""
    try:
        return tuple(ipaddress.ip_network(part.strip()) for part in text.split(",") if part.strip())
    except ValueError as error:
        raise ValueError(f"not an address or network: {error}") from None


def bind_address(text: str) -> tuple[str, int]:
    """Parse `host:port`, with an IPv6 address in brackets; port 0 lets the system choose."""
    host, separator, port = text.strip().rpartition(":")
    if not separator or not port.isascii() or not port.isdigit() or int(port) > 65535:
        raise ValueError(f"{text!r} is not host:port with a port from 0 to 65535")
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
    elif ":" in host:
        raise ValueError(f"{text!r}: put the IPv6 address in brackets")
    return host, int(port)


def optional_file(text: str) -> Path | None:
    """Parse a path of a file that must be readable; empty means none."""
    if not text.strip():
        return None
    path = Path(text)
    try:
        with path.open("rb"):
            return path
    except OSError as error:
        raise ValueError(f"cannot read {text!r}: {error.strerror}") from None


@dataclass(frozen=True, slots=True)
class Limits:
    """What a peer may use; times in seconds, sizes in bytes.

    ``waiting_per_address`` is about connections that have no association, yet or any more. ``first_pdu`` and
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
    """Where the TLS material is; ``client_ca`` makes a certificate of the client's required.

    ``any_title``: a client's certificate that is bound to no device stands for every AE title, not only the one that
    is its common name.
    """

    certificate: Path
    private_key: Path
    client_ca: Path | None
    any_title: bool = False


@dataclass(frozen=True, slots=True)
class ListenerConfig:
    """All that a listener needs to know, under the prefix of its service (`MWL_`, `PACS_`)."""

    name: str
    prefix: str
    ae_title: str
    bind: tuple[str, int]
    health_bind: tuple[str, int]
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
    env: FileAwareEnv, prefix: str, *, name: str, ae_title_default: str, bind: str, health_bind: str, workers: int
) -> ListenerConfig:
    """Read a listener's settings; raise :class:`BadSetting` for the first that cannot be used."""

    def setting(suffix: str, parse: Callable[[str], T], default: str) -> T:
        return read(env, f"{prefix}_{suffix}", parse, default)

    require_user_identity = setting("REQUIRE_USER_IDENTITY", boolean, "0")
    return ListenerConfig(
        name=name,
        prefix=prefix,
        ae_title=setting("AE_TITLE", ae_title, ae_title_default),
        bind=setting("BIND", bind_address, bind),
        health_bind=setting("HEALTH_BIND", bind_address, health_bind),
        workers=setting("WORKERS", whole_number(1, 64), str(workers)),
        metrics_dir=data_dir(env) / "run" / f"{name}-metrics",
        limits=_limits(setting),
        tls=_tls(env, setting, prefix),
        require_called_ae=setting("REQUIRE_CALLED_AE", boolean, "0"),
        calling_ae_titles=setting("ALLOWED_CALLING_AE", ae_titles, ""),
        networks=setting("ALLOWED_NETWORKS", networks, ""),
        require_user_identity=require_user_identity,
        user_identities_file=_user_identities(setting, prefix, required=require_user_identity),
        log_level=read(env, "LOG_LEVEL", choice(*log.LEVELS), "INFO"),
        log_format=read(env, "LOG_FORMAT", choice(*log.FORMATS), "text"),
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
        nesting=setting("MAX_NESTING", whole_number(1, 256), "32"),
    )


def _tls(env: FileAwareEnv, setting: Callable[[str, Callable[[str], Any], str], Any], prefix: str) -> TlsFiles | None:
    # one variable for both services, and the files where gateway_certificates puts them
    folder = read(env, "DICOM_TLS_DIR", non_empty, f"{data_dir(env)}/tls")
    files = ("server.pem", "server.key", "ca.pem")
    defaults = [f"{folder}/{name}" if read(env, "DICOM_TLS", boolean, "0") else "" for name in files]
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
