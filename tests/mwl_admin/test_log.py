"""A refusal is one line of the log, a fault of ours tells where it happened."""

from __future__ import annotations

import logging
import sys

import pytest
from django.core.exceptions import PermissionDenied
from django.test import RequestFactory

from gateway_settings.log import TextFormatter
from mwl_admin.web.log_routes import Routes


def logged(name: str, level: int) -> str:
    try:
        raise PermissionDenied
    except PermissionDenied:
        record = logging.LogRecord(name, level, __file__, 1, "told: %s", ("/admin/",), sys.exc_info())
    record.request = RequestFactory().get("/admin/")
    assert Routes().filter(record)
    return TextFormatter().format(record)


@pytest.mark.parametrize(
    ("name", "level"),
    [("django.request", logging.WARNING), ("django.security.DisallowedHost", logging.ERROR)],
)
def test_whoever_is_refused_can_fill_the_log_with_no_frames(name: str, level: int) -> None:
    assert len(logged(name, level).splitlines()) == 1


def test_a_fault_of_ours_is_told_with_its_frames() -> None:
    assert "test_log.py" in logged("django.request", logging.ERROR)
