"""One registry, at the real site and the real receiver: each request counts once, and what staff do counts at once."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import requests

from gateway_link.signature import sign
from tests.clients.site import Site
from tests.ports import free_port
from tests.processes import PASSWORD, Processes
from tests.security.associations import CALLING_AE_NOT_RECOGNIZED, asked
from tests.waiting import wait_until

SECRET = "a secret of the tests' own"
DEVICES = "/api/receiver/devices"


def test_a_request_that_reaches_several_workers_at_once_is_taken_once(tmp_path: Path, database_url: str) -> None:
    parts = Processes(tmp_path, {"DATABASE_URL": database_url, "WEB_WORKERS": "2", "PACS_NOTIFY_SECRET": SECRET})
    parts.data_dir.mkdir()
    try:
        parts.prepare()
        parts.mwl_admin.start()

        def ask(headers: dict[str, str]) -> int:
            return requests.get(parts.web_url + DEVICES, headers=headers, timeout=60).status_code

        for _ in range(5):
            headers = sign(SECRET, "GET", DEVICES)
            with ThreadPoolExecutor(8) as pool:
                answers = sorted(pool.map(ask, [headers] * 16))
            assert answers == [200, *[403] * 15]
    finally:
        parts.stop()


@pytest.fixture
def wired(tmp_path: Path) -> Processes:
    """Site and receiver that know of each other; the receiver asks by itself once an hour only."""
    parts = Processes(tmp_path)
    commands = free_port()
    settings = {
        "PACS_BIND": f"0.0.0.0:{parts.pacs_port}",
        "PACS_WORKERS": "1",
        "PACS_NOTIFY_SECRET": SECRET,
        "PACS_PEERS_URL": f"{parts.web_url}{DEVICES}",
        "PACS_PEERS_SECONDS": "3600",
        "PACS_COMMAND_BIND": f"127.0.0.1:{commands}",
        "PACS_COMMAND_URL": f"http://127.0.0.1:{commands}",
    }
    for process in parts.all:
        process._env = {**process._env, **settings}
    return parts


def test_what_staff_do_on_the_site_counts_at_the_receiver_at_once(wired: Processes) -> None:
    wired.data_dir.mkdir()
    try:
        wired.prepare()
        wired.mwl_admin.start()
        wired.pacs_receiver.start()
        site = Site(wired.web_url, PASSWORD)
        assert asked(wired.pacs_port, "CT1", "PACS", contexts=["1.2.840.10008.1.1"]) == CALLING_AE_NOT_RECOGNIZED
        add = "Add CT1 as station"
        wait_until(lambda: add in site.get("/stations/").text, timeout=60, what="the site tells who called")
        site.add_station(ae_title="CT1", modality="CT")
        wait_until(
            lambda: asked(wired.pacs_port, "CT1", "PACS", contexts=["1.2.840.10008.1.1"]) is None,
            timeout=60,
            what="the receiver serves the station",
        )
    finally:
        wired.stop()
