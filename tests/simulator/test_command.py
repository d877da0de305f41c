"""The simulator against our own pair: whole examinations, over the network only."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from pydicom import dcmread
from sqlalchemy import create_engine, text

from tests.processes import ROOT, Processes, clean_environment

Lines = list[dict[str, Any]]


def simulate(*options: str) -> tuple[int, Lines]:
    """Run the command here, where it touches the network only; return its exit status and its account."""
    account = io.StringIO()
    try:
        call_command("simulate_modality", "--json", "--size", "64", *options, stdout=account)
    except CommandError as error:
        return error.returncode, _lines(account.getvalue())
    return 0, _lines(account.getvalue())


def _lines(account: str) -> Lines:
    return [json.loads(line) for line in account.splitlines()]


def ours(processes: Processes) -> list[str]:
    return ["--mwl", f"127.0.0.1:{processes.mwl_port}", "--pacs", f"127.0.0.1:{processes.pacs_port}"]


def told(lines: Lines, what: str) -> list[str]:
    return [line["text"] for line in lines if line["step"] == what]


def run(folder: Path, *options: str, **settings: str) -> subprocess.CompletedProcess[str]:
    """Run the command as a process of its own."""
    return subprocess.run(
        [sys.executable, str(ROOT / "manage.py"), "simulate_modality", *options],
        env=clean_environment({"DATA_DIR": str(folder), **settings}),
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=90,
        check=False,
    )


@pytest.fixture(scope="module")
def day(processes: Processes) -> Processes:
    processes.manage("demo_day", "--entries", "12")
    return processes


def rows(processes: Processes, statement: str) -> Lines:
    """Read from the worklist database, as nobody but its owner would."""
    url = processes.settings.get("DATABASE_URL", f"sqlite:///{processes.data_dir}/worklist.sqlite3")
    url = url.replace("postgres://", "postgresql+psycopg://")
    engine = create_engine(url)
    try:
        with engine.connect() as connection:
            return [dict(row) for row in connection.execute(text(statement)).mappings()]
    finally:
        engine.dispose()


def steps(processes: Processes) -> Lines:
    """Return the day's steps with what was reported for them, one line for each report."""
    return rows(
        processes,
        """
        SELECT step.status, ordered.study_instance_uid AS study, ordered.accession_number AS accession,
               performed.instance_count AS images, performed.calling_ae_title AS station
        FROM mwl_admin_scheduledprocedurestep AS step
        JOIN mwl_admin_requestedprocedure AS ordered ON ordered.id = step.requested_procedure_id
        LEFT JOIN mwl_admin_performedprocedurestep_scheduled_procedure_steps AS link
               ON link.scheduledprocedurestep_id = step.id
        LEFT JOIN mwl_admin_performedprocedurestep AS performed ON performed.id = link.performedprocedurestep_id
        ORDER BY step.id
        """,
    )


def test_one_examination_from_the_worklist_to_the_end(day: Processes) -> None:
    status, lines = simulate(*ours(day), "--station", "CT1:ct", "--images", "3")
    assert status == 0, lines
    assert all(line["good"] for line in lines)
    assert [line["step"] for line in lines] == [
        "worklist", "entry", "MPPS start", "images", "MPPS end", "commitment", "done", "verdict",
    ]  # fmt: skip
    assert lines[-1] == {
        "step": "verdict", "good": True, "text": "1 examination; each answer was what a scanner needs",
        "examinations": 1, "failures": 0,
    }  # fmt: skip
    assert told(lines, "MPPS end") == ["COMPLETED: 0000 Success"]
    assert told(lines, "commitment") == ["3 of 3 are safe at the receiver"]
    (done,) = (step for step in steps(day) if step["images"])
    assert (done["status"], done["images"], done["station"]) == ("COMPLETED", 3, "CT1")
    stored = [dcmread(path) for path in sorted(day.data_dir.glob(f"pacs/storage/*/{done['study']}/*/*.dcm"))]
    assert len(stored) == 3
    assert {ds.AccessionNumber for ds in stored} == {done["accession"]}
    request = stored[0].RequestAttributesSequence[0]
    assert request.ScheduledProcedureStepID
    assert request.RequestedProcedureID
    assert stored[0].ReferencedPerformedProcedureStepSequence


def test_a_discontinued_examination_stops_half_way(day: Processes) -> None:
    status, lines = simulate(*ours(day), "--station", "MR1:mr", "--images", "4", "--discontinue")
    assert status == 0, lines
    assert told(lines, "MPPS end") == ["DISCONTINUED: 0000 Success"]
    (done,) = (step for step in steps(day) if step["station"] == "MR1")
    assert (done["status"], done["images"]) == ("DISCONTINUED", 2)


def test_an_unscheduled_examination_is_kept(day: Processes) -> None:
    status, lines = simulate(*ours(day), "--station", "US9:us", "--unscheduled")
    assert status == 0, lines
    assert told(lines, "worklist") == []
    (performed,) = rows(day, "SELECT * FROM mwl_admin_performedprocedurestep WHERE calling_ae_title = 'US9'")
    assert (performed["performed_procedure_step_status"], performed["accession_number"]) == ("COMPLETED", "")
    assert "US9" not in {step["station"] for step in steps(day)}


def test_several_stations_work_until_the_list_is_done(day: Processes) -> None:
    stations = ["CT1:ct", "MR1:mr", "US1:us", "US2:us", "DX1:dx", "MG1:mg"]
    options = [word for station in stations for word in ("--station", station)]
    status, lines = simulate(*ours(day), *options, "--loop", "--images", "2", "--commit-wait", "0")
    assert status == 0, [line for line in lines if not line["good"]]
    assert {step["status"] for step in steps(day)} == {"COMPLETED", "DISCONTINUED"}
    assert len(steps(day)) == 12  # one report each
    status, lines = simulate(*ours(day), "--station", "CT1:ct")
    assert status == 1
    assert told(lines, "worklist") == ["0000 Success: 0 entries, none left to do"]


def test_stations_are_counted_up(day: Processes) -> None:
    status, lines = simulate(
        *ours(day), "--station", "XR09:dx", "--stations", "3", "--unscheduled", "--commit-wait", "0"
    )
    assert status == 0, lines
    assert {line["station"] for line in lines[:-1]} == {"XR09", "XR10", "XR11"}


def test_an_answer_that_a_scanner_cannot_use_is_told_by_the_exit_status(day: Processes) -> None:
    nobody = ["--mwl", f"127.0.0.1:{day.mwl_port}", "--mpps", "127.0.0.1:9", "--pacs", "none"]
    status, lines = simulate(*nobody, "--unscheduled")
    assert status == 1
    assert told(lines, "stopped") == ["MWL_SCP at 127.0.0.1:9 cannot be reached"]
    swapped = ["--mwl", f"127.0.0.1:{day.pacs_port}", "--mpps", "none", "--pacs", "none"]
    status, lines = simulate(*swapped)
    assert status == 1
    assert "does not offer Modality Worklist" in told(lines, "stopped")[0]


@pytest.mark.parametrize(
    "option", [["--station", "CT1:xyz"], ["--images", "0"], ["--station", "X" * 17], ["--listen", "99999"]]
)
def test_wrong_options_are_told(option: list[str]) -> None:
    with pytest.raises(CommandError, match=option[-1]):
        call_command("simulate_modality", *option)


def test_as_a_process_it_tells_its_account_to_people_and_its_verdict_by_the_exit_status(tmp_path: Path) -> None:
    done = run(tmp_path, "--unscheduled", "--mpps", "127.0.0.1:9", PYTHONWARNINGS="error")
    assert done.returncode == 1
    assert done.stdout.split() == ["CT1", "stopped", "BAD", "MWL_SCP", "at", "127.0.0.1:9", "cannot", "be", "reached"]
    assert done.stderr == "CommandError: 0 examinations; 1 answer was not what a scanner needs\n"


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("--mwl", "nowhere"),
        ("--mwl", "no-such-host.invalid:4243"),
        ("--pacs", "127.0.0.1:99999"),
        ("--mpps", ":104"),
        ("--pacs-ae", "X" * 17),
        ("--rate", "fast"),
        ("--rate", "-1"),
        ("--rate", "nan"),
        ("--pause", "inf"),
        ("--commit-wait", "-0.5"),
    ],
)
def test_a_wrong_host_or_rate_is_one_line(option: str, value: str) -> None:
    with pytest.raises(CommandError) as told:
        call_command("simulate_modality", f"{option}={value}")
    assert told.value.returncode == 2
    (line,) = str(told.value).splitlines()
    assert line.startswith(f"{option.removesuffix('-ae')}: ")
    assert value in line


def test_the_settings_say_where_our_own_pair_is(tmp_path: Path) -> None:
    settings = {"MWL_BIND": "0.0.0.0:9", "MWL_AE_TITLE": "LIST", "PACS_BIND": "[::1]:9", "PACS_AE_TITLE": "STORE"}
    for options, told in ((), "LIST at 127.0.0.1:9"), (("--mpps=none",), "STORE at ::1:9"):
        done = run(tmp_path, "--unscheduled", "--json", *options, **settings)
        assert done.returncode == 1
        assert f"{told} cannot be reached" in done.stdout
    wrong = run(tmp_path, MWL_BIND="everywhere")
    assert (wrong.returncode, len(wrong.stderr.splitlines())) == (2, 1)
    assert wrong.stderr.startswith("MWL_BIND: ")
