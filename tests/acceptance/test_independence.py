"""Each process stands alone: killing any one leaves the other two serving, and it comes back with its data."""

from __future__ import annotations

from pathlib import Path

import pydicom
import pytest
import requests

from tests.clients import dcmtk
from tests.components import requires
from tests.processes import Processes

pytestmark = requires("dcmtk")

IMAGE = Path(pydicom.__file__).parent / "data" / "test_files" / "CT_small.dcm"


def site_serves(processes: Processes) -> bool:
    return requests.get(f"{processes.web_url}/admin/login/", timeout=10).status_code == 200


def worklist_serves(processes: Processes) -> bool:
    dcmtk.find(processes.mwl_port, ["PatientID"])
    return dcmtk.echo(processes.mwl_port).succeeded


def receiver_serves(processes: Processes) -> bool:
    return dcmtk.store(processes.pacs_port, IMAGE).succeeded and dcmtk.echo(processes.pacs_port).succeeded


def test_killing_the_site_leaves_worklist_and_receiver_serving(processes: Processes) -> None:
    processes.mwl_admin.kill()
    assert worklist_serves(processes)
    assert receiver_serves(processes)
    with pytest.raises(requests.ConnectionError):
        site_serves(processes)
    processes.mwl_admin.start()
    assert site_serves(processes)


def test_killing_the_worklist_provider_leaves_site_and_receiver_serving(processes: Processes) -> None:
    processes.mwl_scp.kill()
    assert site_serves(processes)
    assert receiver_serves(processes)
    assert not dcmtk.echo(processes.mwl_port).succeeded
    processes.mwl_scp.start()
    assert worklist_serves(processes)


def test_killing_the_receiver_leaves_site_and_worklist_serving(processes: Processes) -> None:
    assert receiver_serves(processes)
    listed = processes.pacs("list", "--json")
    processes.pacs_receiver.kill()
    assert site_serves(processes)
    assert worklist_serves(processes)
    assert not dcmtk.echo(processes.pacs_port).succeeded
    processes.pacs_receiver.start()
    assert processes.pacs("list", "--json") == listed
    assert receiver_serves(processes)


def test_each_stops_on_sigterm_with_status_0_and_leaves_no_process(processes: Processes) -> None:
    for process in processes.all:
        family = process.family()
        assert process.stop() == 0, process.name
        assert not [member for member in family if member.is_running() and member.status() != "zombie"]
        process.start()
