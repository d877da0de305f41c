"""An index that is away when the receiver starts: a line and another try, never a traceback."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.pacs_receiver.process import ReceiverProcess
from tests.ports import free_port
from tests.waiting import wait_until

SECRET = "not-to-be-told"


@pytest.fixture
def receiver(tmp_path: Path) -> Iterator[ReceiverProcess]:
    process = ReceiverProcess(tmp_path / "var")
    yield process
    if process.process is not None:
        process.kill()


def lines(receiver: ReceiverProcess) -> list[str]:
    return [line for line in receiver.log.read_text().splitlines() if "the index can't be used" in line]


def test_a_server_that_is_away_is_one_line(receiver: ReceiverProcess) -> None:
    url = f"postgres://gateway:{SECRET}@127.0.0.1:{free_port()}/pacs"
    receiver.settings = {"PACS_DATABASE_URL": url}
    receiver.launch()
    wait_until(lambda: lines(receiver), timeout=60, what="the line is there")
    done = receiver.run("list")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "the index can't be used: the database server can't be reached, or refuses the connection\n"
    assert receiver.process is not None
    assert receiver.process.poll() is None
    assert len(lines(receiver)) == 1
    assert "Traceback" not in receiver.log.read_text()
    assert SECRET not in receiver.log.read_text()
    receiver.process.send_signal(signal.SIGINT)
    assert receiver.process.wait(60) == 130
    assert "Traceback" not in receiver.log.read_text()


def test_it_starts_as_soon_as_the_index_is_there(receiver: ReceiverProcess) -> None:
    index = receiver.data_dir / "pacs" / "index.sqlite3"
    index.mkdir(parents=True)
    receiver.launch()
    wait_until(lambda: lines(receiver), timeout=60, what="the line is there")
    index.rmdir()
    wait_until(receiver.is_healthy, timeout=60, what="the receiver serves")
    assert "Traceback" not in receiver.log.read_text()
