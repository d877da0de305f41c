"""What the tests need from the machine besides Python packages, and what happens where it is missing.

A test that needs a component says so with :func:`requires` (or a fixture calls :func:`demand`). Where the component is
missing the test is skipped with the reason; with ``CI=true`` the same is a failure: nothing goes unproven unseen.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest


@dataclass(frozen=True, slots=True)
class Component:
    """``present`` says whether it is there; ``package`` is Debian's name of what brings it."""

    package: str
    present: Callable[[], bool]


def postgresql_bin() -> Path | None:
    """Return the folder of PostgreSQL's server programs, newest version first; Debian keeps them off the PATH."""
    versions = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: -int(path.parts[-3]))
    if versions:
        return versions[0].parent
    found = shutil.which("initdb")
    return Path(found).resolve().parent if found else None


def orthanc() -> str | None:
    """Return Orthanc's program, which Debian keeps in a folder that is not on everyone's PATH."""
    return shutil.which("Orthanc", path=f"{os.environ.get('PATH', '')}:/usr/sbin")


def chromium() -> str | None:
    return shutil.which("chromium") or shutil.which("chromium-browser")


def _on_path(*programs: str) -> Callable[[], bool]:
    return lambda: all(shutil.which(program) for program in programs)


COMPONENTS = {
    "dcmtk": Component(
        "dcmtk", _on_path("echoscu", "findscu", "storescu", "dcmsend", "storescp", "wlmscpfs", "dcmdump")
    ),
    "dcmtk-library": Component(
        "libdcmtk-dev and g++", lambda: bool(shutil.which("g++")) and Path("/usr/include/dcmtk/dcmnet/scu.h").exists()
    ),
    "postgresql": Component("postgresql", lambda: postgresql_bin() is not None),
    "chromium": Component("chromium", lambda: chromium() is not None),
    "orthanc": Component("orthanc", lambda: orthanc() is not None),
    "gdcm": Component("libgdcm-tools", _on_path("gdcmdump")),
    "dicom3tools": Component("dicom3tools", _on_path("dciodvfy")),
    "gettext": Component("gettext", _on_path("xgettext", "msgen", "msgfmt")),
    "openssl": Component("openssl", _on_path("openssl")),
    "docker": Component("docker.io", _on_path("docker")),
}


def demand(name: str) -> None:
    """Skip the running test when component ``name`` is missing; fail it when ``CI=true``."""
    component = COMPONENTS[name]
    if component.present():
        return
    reason = f"{name} is not on this machine (make system-packages installs {component.package})"
    if os.environ.get("CI", "").lower() == "true":
        pytest.fail(reason, pytrace=False)
    pytest.skip(reason)


def requires(*names: str) -> pytest.MarkDecorator:
    """Mark a test that needs the named components: ``@requires("dcmtk", "orthanc")``."""
    unknown = set(names) - COMPONENTS.keys()
    if unknown:
        raise ValueError(f"unknown components: {', '.join(sorted(unknown))}")
    return pytest.mark.requires_component(*names)
