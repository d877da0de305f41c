"""Nobody leaves the log empty by calling himself the health check: only the health check knows how to."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.clients.raw import association_request, item, maximum_length
from tests.dicom_listener.toy_process import ToyProcess
from tests.waiting import wait_until


@pytest.fixture
def toy(tmp_path: Path) -> Iterator[ToyProcess]:
    process = ToyProcess(tmp_path / "toy", {})
    process.start()
    yield process
    process.kill()


def test_the_health_check_is_quiet_and_its_name_opens_nothing(toy: ToyProcess) -> None:
    for _ in range(5):
        assert toy.health()["checks"]["association"]["ok"]
    assert "association accepted" not in toy.log_text()
    version = item(0x55, b"GATEWAY_0_1")  # what the health check said in the version before
    for items in (None, (maximum_length(16384), item(0x52, b"1.2.3.4"), version)):
        with toy.associated(association_request(calling=b"GATEWAY_HEALTH", user_items=items)) as peer:
            peer.echo()
            peer.release()
    wait_until(lambda: toy.log_text().count("association ended") == 2)
    assert len(re.findall("association accepted .*calling=GATEWAY_HEALTH", toy.log_text())) == 2
