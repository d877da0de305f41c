"""The toy service behind the listener: in the test's own process, and as a real process of several workers."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from gateway_settings.log import TextFormatter
from tests.clients.raw import RawPeer
from tests.dicom_listener.listening import Listening, listening
from tests.dicom_listener.toy_process import ToyProcess

Listen = Callable[..., Listening]
StartToy = Callable[..., ToyProcess]


@pytest.fixture
def listen(tmp_path: Path) -> Iterator[Listen]:
    """Start listeners in this process: ``listen(limits=…, require_called_ae=True)``."""
    with ExitStack() as stack:
        numbers = iter(range(100))

        def start(**changes: Any) -> Listening:
            return stack.enter_context(listening(tmp_path / f"listening-{next(numbers)}", **changes))

        yield start


@pytest.fixture
def listener(listen: Listen) -> Listening:
    """A listener in this process with the usual limits."""
    return listen()


@pytest.fixture
def peer(listener: Listening) -> Iterator[RawPeer]:
    """A connection to ``listener`` on which nothing was said."""
    with listener.peer() as connected:
        yield connected


@pytest.fixture
def associated(listener: Listening) -> Iterator[RawPeer]:
    """A peer with an open association at ``listener``."""
    with listener.associated() as connected:
        yield connected


@pytest.fixture
def log_lines(caplog: pytest.LogCaptureFixture) -> Callable[[], list[str]]:
    """Give the listener's log lines at INFO and above, as they are written."""
    caplog.set_level(logging.DEBUG, logger="dicom_listener")
    formatter = TextFormatter()

    def lines() -> list[str]:
        return [formatter.format(record) for record in caplog.records if record.levelno >= logging.INFO]

    return lines


@pytest.fixture
def start_toy(tmp_path: Path) -> Iterator[StartToy]:
    """Start the toy service as a real process: ``start_toy(TOY_WORKERS="1")``; each is ended with the test."""
    started: list[ToyProcess] = []

    def start(*, wait: bool = True, **settings: str) -> ToyProcess:
        process = ToyProcess(tmp_path / f"toy-{len(started)}", settings)
        started.append(process)
        if wait:
            process.start()
        else:
            process.spawn()
        return process

    yield start
    for process in started:
        process.kill()
