"""Numbered checks for what would only show later, when a patient is waiting. ``manage.py check`` runs them."""

import stat
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from django.apps import AppConfig
from django.conf import settings
from django.core.checks import CheckMessage, Error, Tags, Warning, register  # noqa: A004

from gateway_settings import shared
from gateway_settings.addresses import is_loopback
from gateway_settings.environment import BadSetting
from gateway_settings.environment import environment as read_environment
from gateway_settings.values import time_zone
from mwl_admin import environment


def _listens_outside() -> bool:
    return not settings.WEB_BIND.is_loopback


@register()  # not Tags.database, which runs only where a database is named: this one asks none
def check_database(app_configs: Sequence[AppConfig] | None, **kwargs: Any) -> list[CheckMessage]:
    """W001: several web workers on SQLite take turns at writing."""
    if settings.DATABASES["default"]["ENGINE"] != environment.SQLITE or settings.WEB_WORKERS == 1:
        return []
    return [
        Warning(
            f"{settings.WEB_WORKERS} web workers share one SQLite file, and only one of them can write at a time.",
            hint="Set WEB_WORKERS=1, or DATABASE_URL to a PostgreSQL database.",
            id="mwl_admin.W001",
        )
    ]


@register(Tags.staticfiles, deploy=True)
def check_static_files(app_configs: Sequence[AppConfig] | None, **kwargs: Any) -> list[CheckMessage]:
    """W006: pages without their style and scripts."""
    manifest = Path(settings.STATIC_ROOT) / "staticfiles.json"
    if settings.DEBUG or manifest.exists():
        return []
    return [
        Warning(
            "The site's style sheets and scripts have not been collected, so its pages look bare.",
            hint="python manage.py collectstatic",
            id="mwl_admin.W006",
        )
    ]


@register(Tags.security)
def check_exposure(app_configs: Sequence[AppConfig] | None, **kwargs: Any) -> list[CheckMessage]:
    """W002 to W005: what is served to whom."""
    found: list[CheckMessage] = []
    if settings.DEBUG and _listens_outside():
        found.append(
            Warning(
                "DJANGO_DEBUG is on while the site listens beyond this machine: error pages show patient data.",
                hint="Set DJANGO_DEBUG=0.",
                id="mwl_admin.W002",
            )
        )
    if _listens_outside() and all(map(is_loopback, settings.ALLOWED_HOSTS)):
        found.append(
            Warning(
                f"The site listens on {settings.WEB_BIND}, but answers only to the names of this machine itself.",
                hint="Add the name that staff type into their browser to DJANGO_ALLOWED_HOSTS.",
                id="mwl_admin.W003",
            )
        )
    if "*" in settings.ALLOWED_HOSTS:
        found.append(
            Warning(
                "The site answers to any host name.",
                hint="List the names that staff use in DJANGO_ALLOWED_HOSTS instead of *.",
                id="mwl_admin.W004",
            )
        )
    key = Path(settings.DATA_DIR) / "secret_key"
    if key.exists() and stat.S_IMODE(key.stat().st_mode) & 0o077:
        found.append(
            Warning(
                f"Others on this machine can read {key}.",
                hint=f"chmod 600 {key}",
                id="mwl_admin.W005",
            )
        )
    return found


@register(Tags.security, deploy=True)
def check_strangers(app_configs: Sequence[AppConfig] | None, **kwargs: Any) -> list[CheckMessage]:
    """W007: strangers read the worklist."""
    if settings.MWL_BIND.is_loopback or not settings.WORKLIST_POLICY.unknown_see:
        return []
    return [
        Warning(
            f"The worklist provider listens on {settings.MWL_BIND}, and serves devices that belong to no station.",
            hint="Set MWL_UNKNOWN_STATIONS=auto, and add the department's devices as stations.",
            id="mwl_admin.W007",
        )
    ]


@register()
def check_department(app_configs: Sequence[AppConfig] | None, **kwargs: Any) -> list[CheckMessage]:
    """E001, E002: the wall clock and the AE title that the worklist is known by."""
    found: list[CheckMessage] = []
    try:
        time_zone(settings.TIME_ZONE)
    except ValueError as error:
        found.append(Error(f"TIME_ZONE: {error}.", id="mwl_admin.E001"))
    try:
        shared.MWL_AE_TITLE.read(read_environment())
    except BadSetting as error:
        found.append(Error(str(error), hint="1 to 16 unaccented letters, digits and punctuation.", id="mwl_admin.E002"))
    return found
