"""What was acknowledged survives a loss of power: the short form of tests/pacs_receiver/power_loss.py."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.pacs_receiver.power_loss import Trial
from tests.pacs_receiver.test_faults import unable
from tests.pacs_receiver.volatile_disk import VolatileDisk, missing_program, why_not

CUTS = int(os.environ.get("POWER_CUTS", "3"))

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(120 + 20 * CUTS),
    # what no package can bring is no failure in CI either
    pytest.mark.skipif(bool(why_not()), reason=f"power can't be cut here: {why_not()}"),
]


@pytest.fixture(autouse=True)
def programs() -> None:
    if reason := missing_program():
        unable(f"{reason} (make system-packages installs it)")


def test_the_disk_loses_what_was_not_flushed_and_keeps_what_was() -> None:
    with VolatileDisk() as disk:
        kept, lost = disk.folder / "kept", disk.folder / "lost"
        with kept.open("wb") as file:
            file.write(b"flushed")
            file.flush()
            os.fsync(file.fileno())
        lost.write_bytes(b"only cached")
        disk.cut_power(1)
        with lost.open("rb") as file, pytest.raises(OSError, match="Input/output error"):
            os.fsync(file.fileno())
        disk.restore_power()
        assert kept.read_bytes() == b"flushed"
        assert not lost.exists()
        assert disk.check() == ""


def test_nothing_acknowledged_is_lost_when_the_power_goes(tmp_path: Path) -> None:
    figures = Trial(tmp_path / "var", CUTS).run()
    assert figures.is_flawless, figures
    assert figures.flushes > figures.cuts


def test_without_fsync_the_same_trial_finds_losses(tmp_path: Path) -> None:
    figures = Trial(tmp_path / "var", 2, settings={"PACS_FSYNC": "0"}, bursts=(60,), seed=2).run()
    assert figures.lost > 0, figures
