"""The simulator against our own pair: whole examinations, over the network only."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from pydicom import dcmread

from tests.processes import ROOT, Processes, clean_environment

Lines = list[dict[str, Any]]


def simulate(folder: Path, *options: str) -> tuple[int, Lines]:
    """Run the command; return its exit status and its account."""
    done = subprocess.run(
        [sys.executable, str(ROOT / "manage.py"), "simulate_modality", "--json", "--size", "64", *options],
        env=clean_environment({"DATA_DIR": str(folder), "PYTHONWARNINGS": "error"}),
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=90,
        check=False,
    )
    assert "Traceback" not in done.stderr, done.stderr
    return done.returncode, [json.loads(line) for line in done.stdout.splitlines()]


def ours(processes: Processes) -> list[str]:
    return ["--mwl", f"127.0.0.1:{processes.mwl_port}", "--pacs", f"127.0.0.1:{processes.pacs_port}"]


def told(lines: Lines, what: str) -> list[str]:
    return [line["text"] for line in lines if line["step"] == what]


@pytest.fixture(scope="module")
def day(processes: Processes) -> Processes:
    processes.manage("demo_day", "--entries", "12")
    return processes


def steps(processes: Processes) -> Lines:
    """Return the day's steps with what was reported for them, from the database, by a process of its own."""
    script = (
        "import json; from mwl_admin.models import *; "
        "print(json.dumps([{'status': s.status, 'modality': s.modality, "
        "'study': s.requested_procedure.study_instance_uid, 'accession': s.requested_procedure.accession_number, "
        "'images': [p.instance_count for p in s.performed_procedure_steps.all()], "
        "'station': [p.calling_ae_title for p in s.performed_procedure_steps.all()]} "
        "for s in ScheduledProcedureStep.objects.order_by('pk')]))"
    )
    found: Lines = json.loads(processes.manage("shell", "--no-imports", "-c", script))
    return found


def test_one_examination_from_the_worklist_to_the_end(day: Processes, tmp_path: Path) -> None:
    status, lines = simulate(tmp_path, *ours(day), "--station", "CT1:ct", "--images", "3")
    assert status == 0, lines
    assert all(line["good"] for line in lines)
    assert [line["step"] for line in lines] == [
        "worklist", "entry", "MPPS start", "images", "MPPS end", "commitment", "done",
    ]  # fmt: skip
    assert told(lines, "MPPS end") == ["COMPLETED: 0000 Success"]
    assert told(lines, "commitment") == ["3 of 3 are safe at the receiver"]
    (done,) = (step for step in steps(day) if step["images"])
    assert (done["status"], done["images"], done["station"]) == ("COMPLETED", [3], ["CT1"])
    stored = [dcmread(path) for path in sorted(day.data_dir.glob(f"pacs/storage/*/{done['study']}/*/*.dcm"))]
    assert len(stored) == 3
    assert {ds.AccessionNumber for ds in stored} == {done["accession"]}
    request = stored[0].RequestAttributesSequence[0]
    assert request.ScheduledProcedureStepID
    assert request.RequestedProcedureID
    assert stored[0].ReferencedPerformedProcedureStepSequence


def test_a_discontinued_examination_stops_half_way(day: Processes, tmp_path: Path) -> None:
    status, lines = simulate(tmp_path, *ours(day), "--station", "MR1:mr", "--images", "4", "--discontinue")
    assert status == 0, lines
    assert told(lines, "MPPS end") == ["DISCONTINUED: 0000 Success"]
    (done,) = (step for step in steps(day) if step["station"] == ["MR1"])
    assert (done["status"], done["images"]) == ("DISCONTINUED", [2])


def test_an_unscheduled_examination_is_kept(day: Processes, tmp_path: Path) -> None:
    status, lines = simulate(tmp_path, *ours(day), "--station", "US9:us", "--unscheduled")
    assert status == 0, lines
    assert told(lines, "worklist") == []
    script = "from mwl_admin.models import *; print(PerformedProcedureStep.objects.unscheduled().count())"
    assert day.manage("shell", "--no-imports", "-c", script).strip() == "1"


def test_several_stations_work_until_the_list_is_done(day: Processes, tmp_path: Path) -> None:
    stations = ["CT1:ct", "MR1:mr", "US1:us", "US2:us", "DX1:dx", "MG1:mg"]
    options = [word for station in stations for word in ("--station", station)]
    status, lines = simulate(tmp_path, *ours(day), *options, "--loop", "--images", "2", "--commit-wait", "0")
    assert status == 0, [line for line in lines if not line["good"]]
    assert {step["status"] for step in steps(day)} == {"COMPLETED", "DISCONTINUED"}
    assert all(len(step["images"]) == 1 for step in steps(day))
    status, lines = simulate(tmp_path, *ours(day), "--station", "CT1:ct")
    assert status == 1
    assert told(lines, "worklist") == ["0000 Success: 0 entries, none left to do"]


def test_stations_are_counted_up(day: Processes, tmp_path: Path) -> None:
    status, lines = simulate(
        tmp_path, *ours(day), "--station", "XR09:dx", "--stations", "3", "--unscheduled", "--commit-wait", "0"
    )
    assert status == 0, lines
    assert {line["station"] for line in lines} == {"XR09", "XR10", "XR11"}


def test_an_answer_that_a_scanner_cannot_use_is_told_by_the_exit_status(day: Processes, tmp_path: Path) -> None:
    nobody = ["--mwl", f"127.0.0.1:{day.mwl_port}", "--mpps", "127.0.0.1:9", "--pacs", "none"]
    status, lines = simulate(tmp_path, *nobody, "--unscheduled")
    assert status == 1
    assert told(lines, "stopped") == ["MWL_SCP at 127.0.0.1:9 cannot be reached"]
    swapped = ["--mwl", f"127.0.0.1:{day.pacs_port}", "--mpps", "none", "--pacs", "none"]
    status, lines = simulate(tmp_path, *swapped)
    assert status == 1
    assert "does not offer Modality Worklist" in told(lines, "stopped")[0]


def test_wrong_options_are_told_in_a_line(tmp_path: Path) -> None:
    for option in (["--mwl", "nowhere"], ["--station", "CT1:xyz"], ["--images", "0"], ["--station", "X" * 17]):
        done = subprocess.run(
            [sys.executable, str(ROOT / "manage.py"), "simulate_modality", *option],
            env={**clean_environment({"DATA_DIR": str(tmp_path)}), "PATH": os.environ["PATH"]},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode in (1, 2)
        assert option[-1] in done.stderr
        assert "Traceback" not in done.stderr
