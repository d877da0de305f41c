"""What follows a change is connected by the app when it is ready, and by no import: who reads one file sees all."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from tests.processes import ROOT, clean_environment

RECORD = """
import importlib, json, pkgutil, sys
from django.dispatch import Signal

connected, connect = [], Signal.connect

def recording(self, receiver, *args, **kwargs):
    if receiver.__module__.partition(".")[0] in {"mwl_admin", "mwl_scp", "simulator"}:
        frame = sys._getframe(1)
        while frame.f_globals["__name__"].startswith("django."):
            frame = frame.f_back
        # The history of a model connects itself when the model's class is made.
        if (by := frame.f_globals["__name__"]) != "simple_history.models":
            connected.append((f"{receiver.__module__}.{receiver.__qualname__}", by))
    return connect(self, receiver, *args, **kwargs)

Signal.connect = recording
import django
django.setup()
for package in ("mwl_admin", "mwl_scp", "simulator"):
    for module in pkgutil.walk_packages(importlib.import_module(package).__path__, f"{package}."):
        if module.name not in {"mwl_admin.gunicorn", "mwl_scp.__main__", "simulator.demo"}:
            importlib.import_module(module.name)
print(json.dumps(connected))
"""
FOLLOWS = {
    "mwl_admin.changes.installing.before_migration",
    "mwl_admin.changes.installing.after_migration",
    "mwl_admin.devices.registry.changed",
    "mwl_admin.devices.registry.station_saved",
    "mwl_admin.images.change_delivery.note",
    "mwl_admin.images.linking.link_studies",
    "mwl_admin.patients.former_ids.remember",
    "mwl_admin.site.first_password.note_login",
}


@pytest.fixture(scope="module")
def connected(tmp_path_factory: pytest.TempPathFactory) -> list[tuple[str, str]]:
    """Each of our functions that a signal calls, with the module that connected it."""
    folder = tmp_path_factory.mktemp("signals")
    settings = {"DATA_DIR": str(folder), "DJANGO_SETTINGS_MODULE": "mwl_admin.settings", "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-c", RECORD],
        cwd=folder,
        env=clean_environment(settings),
        capture_output=True,
        text=True,
        check=True,
    )
    return [(called, by) for called, by in json.loads(done.stdout.splitlines()[-1])]


def test_only_the_app_connects_signals(connected: list[tuple[str, str]]) -> None:
    assert {by for _, by in connected} == {"mwl_admin.apps"}


def test_the_app_connects_all_that_follows_a_change(connected: list[tuple[str, str]]) -> None:
    assert {called for called, _ in connected} == FOLLOWS
