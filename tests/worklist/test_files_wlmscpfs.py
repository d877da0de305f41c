"""Our files before DCMTK's wlmscpfs: what it offers, and what it passes over, is what the export says."""

from __future__ import annotations

import re
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command

from mwl_admin.models import StepStatus
from tests.components import requires
from tests.factory import make_code, make_station, make_step
from tests.ports import free_port
from tests.waiting import wait_until

pytestmark = [pytest.mark.usefixtures("rolled_back"), requires("dcmtk")]


@contextmanager
def wlmscpfs(folder: Path) -> Iterator[int]:
    """Serve the folder `folder/WLSCP` as DCMTK does by default; give the port."""
    port = free_port()
    with (folder / "log").open("w") as log:
        process = subprocess.Popen(["wlmscpfs", "-v", "-dfp", str(folder), str(port)], stdout=log, stderr=log)

    def listens() -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", port)) == 0

    try:
        wait_until(listens, what="wlmscpfs listens")
        yield port
    finally:
        process.terminate()
        process.wait(30)


def offered_by_wlmscpfs(port: int) -> set[str]:
    """Return the accession numbers that a modality is offered."""
    command = ["findscu", "-W", "-aec", "WLSCP", "127.0.0.1", str(port), "-k", "AccessionNumber", "-k", "PatientName"]
    found = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    return set(re.findall(r"\(0008,0050\) SH \[([^\] ]+)", found.stdout + found.stderr))


def test_what_wlmscpfs_ignores_is_what_the_export_lists(tmp_path: Path) -> None:
    ct1 = make_station("CT1")
    code = make_code()
    described = {"requested_procedure_description": "CT thorax"}
    coded = {"code_value": "P1", "coding_scheme_designator": "99X", "code_meaning": "CT"}
    step: dict[str, Any] = {"scheduled_procedure_step_description": "thorax"}
    make_step(requested={"accession_number": "A-FULL", **described}, stations=[ct1], **step)
    make_step(requested={"accession_number": "A-CODED", **coded}, stations=[ct1], protocol_codes=[code])
    make_step(requested={"accession_number": "A-ANY", **described}, **step)
    make_step(requested={"accession_number": "A-NODESC"}, stations=[ct1], **step)
    make_step(requested={"accession_number": "A-NOSTEP", **described}, stations=[ct1])
    make_step(requested={"accession_number": "A-NOAE", **described}, modality="MR", **step)
    for status in (StepStatus.COMPLETED, StepStatus.CANCELLED, StepStatus.DISCONTINUED):
        number = f"A-{status[:6]}"
        make_step(requested={"accession_number": number, **described}, stations=[ct1], status=status, **step)
    folder = tmp_path / "WLSCP"
    out = StringIO()
    call_command("export_wl", str(folder), "--all", stdout=out)
    with wlmscpfs(tmp_path) as port:
        assert offered_by_wlmscpfs(port) == {"A-FULL", "A-CODED", "A-ANY"}
    lacking = re.findall(r"^\S+: wlmscpfs will ignore it, for want of (\S+)$", out.getvalue(), re.MULTILINE)
    assert sorted(lacking) == [
        "RequestedProcedureDescription",
        "ScheduledProcedureStepDescription",
        "ScheduledStationAETitle",
    ]
    assert "3 of them wlmscpfs will ignore" in out.getvalue()
