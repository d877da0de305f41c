"""What commands write, as log lines where those are for machines (``LOG_FORMAT=json``)."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import django
from django.conf import settings

from gateway_settings import log
from gateway_settings.log import LoggedLines

PREPARING = frozenset({"migrate", "collectstatic", "first_account"})
"""Commands by which an installation starts. What they write is a log; what others write is what was asked for."""


@contextmanager
def logged_output(command: str) -> Iterator[None]:
    """Log what a command says about its work: all that it writes on standard error, and what of PREPARING it is.

    Nothing changes where the log is for people.

    :raises BadSetting: when a setting can't be used.
    """
    if settings.LOG_FORMAT != "json":
        yield
        return
    django.setup()  # logging gets the true standard error
    log.capture()
    name = f"manage.{command}"
    before = sys.stdout, sys.stderr
    output, errors = LoggedLines(name, logging.INFO), LoggedLines(name, logging.ERROR)
    sys.stdout, sys.stderr = output if command in PREPARING else sys.stdout, errors
    try:
        yield
    finally:
        sys.stdout, sys.stderr = before
        output.finish()
        errors.finish()
