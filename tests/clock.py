"""The clock of the site's tests that stay within this process: it begins at one moment and goes on from there.

Django's clock, ``django.utils.timezone.now``, is the only one that the site has. So no such test depends on the hour at
which it runs, meets midnight or a change to summer time. Processes, browsers and databases have the machine's clock.
A folder's ``conftest.py`` imports the fixture; ``machine_clock`` marks a test in it that needs the other.
"""

from __future__ import annotations

import datetime
import sys
import time
from functools import cache
from types import ModuleType

import pytest
from django.utils import timezone

from tests import quick

MORNING = datetime.datetime(2026, 6, 10, 10, 0, tzinfo=datetime.UTC)
"""A Wednesday, 11:00 in London."""
TODAY = MORNING.date()
TOMORROW = TODAY + datetime.timedelta(days=1)


@pytest.fixture(autouse=True)
def steady_clock(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let Django's clock begin at :data:`MORNING`."""
    if request.node.get_closest_marker("machine_clock") or not quick.stays_within(request.node):
        return
    began = time.monotonic()

    def now() -> datetime.datetime:
        return MORNING + datetime.timedelta(seconds=time.monotonic() - began)

    for module in _readers():
        monkeypatch.setattr(module, "now", now)


@cache
def _readers() -> list[ModuleType]:
    """Return the modules that know the clock by its name: Django's own, and those that imported it from there."""
    return [module for module in tuple(sys.modules.values()) if vars(module).get("now") is timezone.now]
