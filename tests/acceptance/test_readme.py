"""The README's tour is run, command by command, and prints what the README says that it prints."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from datetime import date
from pathlib import Path

import pytest

from tests.clients.site import Site
from tests.components import requires
from tests.processes import PASSWORD, ROOT, Processes

pytestmark = requires("dcmtk")

TOUR = (ROOT / "README.md").read_text().split("## Five minutes")[1].split("\n## ")[0]
BLOCKS = re.findall(r"^```console\n(.*?)^```", TOUR, re.MULTILINE | re.DOTALL)
SUPERVISED = "make status"  # shown by the tests of the supervisor

# what differs from run to run: identifiers that are made, dates and times, process numbers
CHANGING = [
    (r"2\.25\.\d+[ \0]?\] +# +\d+", "2.25.N"),
    (r"20\d{6}\b", "DAY"),
    (r"20\d\d-\d\d-\d\d \d\d:\d\d:\d\d", "MOMENT"),
]


def steps() -> Iterator[tuple[str, list[str]]]:
    """Yield each command of the tour with the lines that it is said to print."""
    for block in BLOCKS:
        for part in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
            command, _, output = part.partition("\n")
            if command != SUPERVISED:
                yield command, output.splitlines()


def steady(line: str) -> str:
    for pattern, word in CHANGING:
        line = re.sub(pattern, word, line)
    # DCMTK pads by the length of what came before
    return re.sub(r"\s+", " ", line).strip()


@pytest.mark.parametrize("processes", ["sqlite"], indirect=True)
def test_the_tour_prints_what_the_readme_shows(processes: Processes, tmp_path: Path) -> None:
    Site(processes.web_url, PASSWORD).add_entry(
        new_patient_id="P-1001",
        new_family_name="Müller",
        new_given_name="Änne",
        new_patient_birth_date="1950-07-01",
        new_patient_sex="F",
        requested_procedure_description="CT thorax",
        step_scheduled_date=date.today().isoformat(),  # noqa: DTZ011 - as `date` in the command
        step_scheduled_time="10:30",
        step_modality="CT",
    )
    commands = list(steps())
    assert len(commands) == 5
    for command, expected in commands:
        here = (
            command.replace(" 4243", f" {processes.mwl_port}")
            .replace(" 4244", f" {processes.pacs_port}")
            .replace("/tmp/", f"{tmp_path}/")
            .replace(".venv/bin/python", sys.executable)
            .replace(".venv/lib", f"{sys.prefix}/lib")
        )
        done = subprocess.run(
            ["bash", "-c", here], cwd=processes.folder, env=processes.env, stdin=subprocess.DEVNULL, text=True,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=60, check=True,
        )  # fmt: skip
        printed = {steady(line) for line in done.stdout.replace(f"{tmp_path}/", "/tmp/").splitlines()}
        missing = [line for line in map(steady, expected) if line and line not in printed]
        assert not missing, f"{command}\n{done.stdout}"
