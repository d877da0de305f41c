"""The simulator beside real patients: it takes the entry that it is told to take, and no patient who isn't invented."""

from __future__ import annotations

import pytest

from tests.cast import DOE_MR, MUELLER_CT
from tests.clients.site import Site
from tests.processes import PASSWORD, Processes
from tests.simulator.test_command import ours, rows, simulate, steps, told

DAY = ["--date", MUELLER_CT.day.isoformat()]


@pytest.fixture(scope="module")
def day(processes: Processes) -> Processes:
    """Six synthetic entries of today, and two of people on a day of their own."""
    processes.manage("demo_day", "--entries", "6")
    site = Site(processes.web_url, PASSWORD)
    for order in MUELLER_CT, DOE_MR:
        site.add_entry(**order.form())
    return processes


def reports(processes: Processes) -> int:
    return len(rows(processes, "SELECT id FROM mwl_admin_performedprocedurestep"))


def test_patients_who_are_not_synthetic_are_left_alone_unless_told_otherwise(day: Processes) -> None:
    own = [*ours(day), *DAY, "--station", "CT1:ct", "--images", "1", "--commit-wait", "0"]
    before = reports(day)
    for loop in [], ["--loop"]:
        status, lines = simulate(*own, *loop)
        assert status == 1
        assert told(lines, "entry") == [], "nobody's name is told"
        assert "1 left alone: no synthetic patient (--any-patient takes them)" in told(lines, "worklist")[0]
        assert reports(day) == before
    status, lines = simulate(*own, "--query-only")
    assert status == 0, lines
    assert len(told(lines, "entry")) == 1
    assert reports(day) == before
    status, lines = simulate(*own, "--any-patient")
    assert status == 0, lines
    assert reports(day) == before + 1


def test_one_accession_number_is_asked_for_and_taken(day: Processes) -> None:
    own = [*ours(day), "--station", "CT1:ct", "--accession"]
    _, lines = simulate(*own[:-1], "--query-only")
    wanted = [line["accession_number"] for line in lines if line["step"] == "entry"][-1]
    status, lines = simulate(*own, wanted, "--query-only")
    assert status == 0, lines
    found = [line for line in lines if line["step"] == "entry"]
    assert [(line["accession_number"], line["faults"]) for line in found] == [(wanted, [])]
    status, lines = simulate(*own, wanted, "--images", "1", "--commit-wait", "0")
    assert status == 0, lines
    assert wanted in [step["accession"] for step in steps(day) if step["station"] == "CT1"]
    for pattern in "NONE", "*":
        status, lines = simulate(*own, pattern, "--query-only")
        assert status == 1
        assert (lines[-1]["step"], lines[-1]["good"]) == ("verdict", False)
