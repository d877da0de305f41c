"""`python -m mwl_scp`: answers modalities from the worklist database until SIGTERM."""

from __future__ import annotations

import os
import sys

from dicom_listener.health import prepare_metrics
from gateway_settings.environment import environment, exit_on_bad_setting
from gateway_settings.log import configure
from gateway_settings.private import keep_private, tighten_start


def main() -> int:
    """Serve; return the exit status."""
    keep_private()
    with exit_on_bad_setting():
        _set_up_django()
        # What follows needs Django's models, or counts; both have to be set up before.
        from mwl_scp.config import load

        config = load(environment())
        configure(config.listener.log_level, config.listener.log_format)
        _close_files()
        prepare_metrics(config.listener.metrics_dir)

        from functools import partial

        from dicom_listener.workers import run
        from mwl_scp.checks import database
        from mwl_scp.service import build

        return run(config.listener, partial(build, config), health_checks={"database": database})


def _close_files() -> None:
    from django.conf import settings

    from mwl_admin.environment import database_files

    tighten_start(settings.DATA_DIR, databases=database_files(settings.DATABASES))


def _set_up_django() -> None:
    import django

    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "mwl_admin.settings")
    django.setup()


if __name__ == "__main__":
    sys.exit(main())
