"""Another user of the machine reads and lists nothing of what Gateway keeps, in a new folder and in an old one."""

from __future__ import annotations

import os
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pydicom
import pytest

from tests.acceptance.embedded import Embedded, end
from tests.clients import dcmtk
from tests.components import requires
from tests.waiting import wait_until

pytestmark = [requires("dcmtk"), pytest.mark.timeout(300)]
NOBODY = "65534"
IMAGE = Path(pydicom.__file__).parent / "data" / "test_files" / "CT_small.dcm"


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder that everybody may enter: only what is below keeps others out."""
    with tempfile.TemporaryDirectory(prefix="files") as name:
        path = Path(name)
        path.chmod(0o755)
        yield path


def everything(root: Path) -> list[Path]:
    return [root, *sorted(root.rglob("*"))]


def as_nobody(*command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups", *command],
        capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip


def readable_by_nobody(root: Path) -> list[str]:
    """Return what another user can read or list, by its full path as one who knows it would try."""
    if os.geteuid() != 0:
        return [str(path) for path in everything(root) if path.exists() and path.stat().st_mode & 0o077]
    script = (
        'for path; do if [ -d "$path" ]; then ls "$path"; else cat "$path"; fi >/dev/null 2>&1 && echo "$path"; done'
    )
    return as_nobody("sh", "-c", script, "sh", *map(str, everything(root))).stdout.splitlines()


def open_to_others(root: Path) -> list[str]:
    """Return what its own mode leaves open, were it moved out of the folder that protects it."""
    return [
        str(path)
        for path in everything(root)
        if not path.is_symlink() and path.exists() and path.stat().st_mode & 0o077
    ]


def used(system: Embedded) -> None:
    """Let each of the three keep something."""
    assert dcmtk.store(system.parts.pacs_port, IMAGE).succeeded
    assert dcmtk.find(system.parts.mwl_port, ["PatientName"]) == []


def test_nobody_reads_what_is_kept_in_a_new_folder_or_in_one_that_an_old_version_left_open(folder: Path) -> None:
    system = Embedded(folder, PACS_STUDY_STABLE_SECONDS="1")
    kept = system.parts.data_dir
    try:
        system.start()
        used(system)
        assert {"worklist.sqlite3", "secret_key", "link_secret", "pacs", "run"} <= {
            path.name for path in kept.iterdir()
        }
        assert list((kept / "pacs" / "storage").rglob("*.dcm"))
        assert readable_by_nobody(kept) == []
        assert open_to_others(kept) == []
        assert system.stop() == 0

        for path in everything(kept):
            path.chmod(0o777 if path.is_dir() else 0o666)
        assert len(readable_by_nobody(kept)) > 20, "the measure itself"
        system.start()
        assert readable_by_nobody(kept) == []
        wait_until(lambda: open_to_others(kept) == [], timeout=60, what="the walk has closed the images too")
        used(system)
    finally:
        end(system)
