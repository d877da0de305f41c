"""The simulator against peers that others wrote, so that it is not tuned to our own."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from pydicom import dcmread
from pydicom.dataset import FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian

from simulator.images import MODALITIES
from simulator.profiles import PROFILES
from tests.components import requires
from tests.ports import free_port
from tests.simulator.test_command import simulate, told
from tests.simulator.test_images import entry
from tests.waiting import wait_until

pytestmark = requires("dcmtk")


@contextmanager
def running(port: int, *command: str) -> Iterator[None]:
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        wait_until(lambda: _answers(port), what=command[0])
        yield
    finally:
        process.terminate()
        process.wait(30)


def _answers(port: int) -> bool:
    done = subprocess.run(
        ["echoscu", "-aec", "MWL_SCP", "127.0.0.1", str(port)], capture_output=True, check=False, timeout=30
    )
    return done.returncode == 0


@pytest.mark.parametrize("modality", MODALITIES)
def test_storescp_takes_the_images(tmp_path: Path, modality: str) -> None:
    port, folder = free_port(), tmp_path / "received"
    folder.mkdir()
    with running(port, "storescp", "-od", str(folder), str(port)):
        status, lines = simulate(
            "--unscheduled", "--mwl", "none", "--mpps", "none", "--pacs", f"127.0.0.1:{port}",
            "--modality", modality, "--images", "2",
        )  # fmt: skip
    assert status == 0, lines
    assert told(lines, "commitment") == ["not offered by the receiver"]
    received = [dcmread(path) for path in folder.iterdir()]
    assert [ds.Modality for ds in received] == [modality] * 2


@pytest.mark.parametrize("profile", ["ct", "dx", "mg", "old", "us"])
def test_wlmscpfs_answers_each_profile(tmp_path: Path, profile: str) -> None:
    port, folder = free_port(), tmp_path / "worklists" / "MWL_SCP"
    folder.mkdir(parents=True)
    (folder / "lockfile").touch()
    ds = entry()
    step = ds.ScheduledProcedureStepSequence[0]
    step.Modality = PROFILES[profile].modality
    step.ScheduledStationAETitle = "ROOM1"
    ds.file_meta = FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    ds.save_as(folder / "entry.wl", enforce_file_format=False)
    with running(port, "wlmscpfs", "-csk", "-dfr", "-dfp", str(folder.parent), str(port)):
        status, lines = simulate(
            "--station", f"ROOM1:{profile}", "--date", "2026-05-04",
            "--mwl", f"127.0.0.1:{port}", "--mpps", "none", "--pacs", "none",
        )  # fmt: skip
    assert status == 0, lines
    assert told(lines, "worklist") == ["0000 Success: 1 entry"]
    assert "Müller^Änne · P-1001 · A-5001" in told(lines, "entry")[0]
