"""Numbered checks for doors that a department may leave open, but should know of: ``manage.py check --deploy``.

docs/security.md lists them. They know the settings that the site's own process is given; in containers that is what
compose.yaml gives to all, and not what stands in another service's env file.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from django.apps import AppConfig
from django.conf import settings
from django.core.checks import CheckMessage, Tags, Warning, register  # noqa: A004
from environs import FileAwareEnv

from gateway_settings import shared
from gateway_settings.environment import environment as read_environment
from gateway_settings.environment import read
from gateway_settings.private import open_to_others
from mwl_admin import environment


@register(Tags.security, deploy=True)
def check_open_doors(app_configs: Sequence[AppConfig] | None, **kwargs: Any) -> list[CheckMessage]:
    """W008 to W014: which doors are open."""
    env = read_environment()
    doors: list[Callable[[FileAwareEnv], CheckMessage | None]] = [
        _plain_http, _strangers_images, _plain_dicom, _inner_ports, _this_machine, _other_users, _proxies,
    ]  # fmt: skip
    return [message for door in doors if (message := door(env)) is not None]


def _plain_http(_: FileAwareEnv) -> CheckMessage | None:
    if settings.WEB_BIND.is_loopback or settings.SESSION_COOKIE_SECURE:
        return None
    return Warning(
        f"The site listens on {settings.WEB_BIND}, and browsers may send passwords and cookies without HTTPS.",
        hint="Put an HTTPS proxy in front, as compose.yaml does, and set DJANGO_SECURE_COOKIES=1.",
        id="mwl_admin.W008",
    )


def _strangers_images(env: FileAwareEnv) -> CheckMessage | None:
    bind = shared.PACS_BIND.read(env)
    if bind.is_loopback or shared.PACS_UNKNOWN_PEERS.read(env) != "accept":
        return None
    return Warning(
        f"The receiver listens on {bind}, and stores images of devices that nobody has entered.",
        hint="Set PACS_UNKNOWN_PEERS=auto, and add the department's devices as stations.",
        id="mwl_admin.W009",
    )


def _plain_dicom(env: FileAwareEnv) -> CheckMessage | None:
    if shared.DICOM_TLS.read(env):
        return None
    plain = [
        str(bind)
        for prefix, setting in (("MWL", shared.MWL_BIND), ("PACS", shared.PACS_BIND))
        if not (bind := setting.read(env)).is_loopback and not read(env, f"{prefix}_TLS_CERTIFICATE_PATH", str, "")
    ]
    if not plain:
        return None
    return Warning(
        f"DICOM is spoken without TLS on {', '.join(plain)}: whoever is on the way reads and forges it.",
        hint="Set DICOM_TLS=1 (docs/certificates.md), or keep these ports in a network of the devices' own.",
        id="mwl_admin.W010",
    )


def _inner_ports(env: FileAwareEnv) -> CheckMessage | None:
    inner = (shared.MWL_HEALTH_BIND, shared.PACS_HEALTH_BIND, shared.PACS_COMMAND_BIND)
    found = [f"{setting.name}={bind}" for setting in inner if not (bind := setting.read(env)).is_loopback]
    if not found:
        return None
    return Warning(
        f"Ports for this installation's own use listen beyond this machine: {', '.join(found)}.",
        hint="Bind them to 127.0.0.1, or let a firewall keep others out: health and metrics ask for no password.",
        id="mwl_admin.W011",
    )


def _this_machine(env: FileAwareEnv) -> CheckMessage | None:
    served = [
        service
        for service, setting, strangers, never in (
            ("worklist", shared.MWL_BIND, shared.MWL_UNKNOWN_STATIONS, "none"),
            ("receiver", shared.PACS_BIND, shared.PACS_UNKNOWN_PEERS, "reject"),
        )
        if setting.read(env).is_loopback and strangers.read(env) != never
    ]
    if not served:
        return None
    return Warning(
        f"Any program and any user of this machine is served as a device by: {', '.join(served)}.",
        hint="Where others work on this machine, set MWL_UNKNOWN_STATIONS=none and PACS_UNKNOWN_PEERS=reject.",
        id="mwl_admin.W012",
    )


def _other_users(_: FileAwareEnv) -> CheckMessage | None:
    kept = [Path(settings.DATA_DIR), *environment.database_files(settings.DATABASES)]
    found = [str(path) for path in kept if open_to_others(path)]
    if not found:
        return None
    return Warning(
        f"Others on this machine can get at {', '.join(found)}.",
        hint="A start closes what belongs to its own user: chmod go= what belongs to another; use no shared folder.",
        id="mwl_admin.W013",
    )


def _proxies(_: FileAwareEnv) -> CheckMessage | None:
    many = [str(network) for network in settings.WEB_TRUSTED_PROXIES if network.num_addresses > 1]
    if not many:
        return None
    return Warning(
        f"Any machine in {', '.join(many)} may say for whom it speaks: addresses in the records are its word.",
        hint="Name the proxy's own address in WEB_TRUSTED_PROXIES.",
        id="mwl_admin.W014",
    )
