"""An index that is away when the receiver starts: a line and another try, never a traceback."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from pacs_receiver.awaiting import until_index_answers
from pacs_receiver.exceptions import IndexUnavailable
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


def interrupt() -> None:
    os.kill(os.getpid(), signal.SIGINT)


class InterruptedAtItsEnd:
    """An exception that is raised in here is printed and forgotten."""

    def __del__(self) -> None:
        interrupt()


def away() -> None:
    raise IndexUnavailable("the index is away")


def interrupted_while_it_is_away() -> None:
    interrupt()
    away()


def interrupted_where_exceptions_are_lost() -> None:
    InterruptedAtItsEnd()
    away()


@pytest.mark.parametrize(
    "work", [interrupt, interrupted_while_it_is_away, interrupted_where_exceptions_are_lost, InterruptedAtItsEnd]
)
def test_an_interrupt_ends_it_wherever_the_attempt_is(work: Callable[[], object]) -> None:
    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(SystemExit) as ended:
        until_index_answers(work, pause=60)
    assert ended.value.code == 130
    assert signal.getsignal(signal.SIGINT) is before


def test_a_second_interrupt_ends_an_attempt_that_takes_too_long() -> None:
    def work() -> None:
        interrupt()
        interrupt()

    with pytest.raises(KeyboardInterrupt):
        until_index_answers(work)
