"""Where the embedded set-up's output may go."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
import threading
from pathlib import Path

from tests.processes import ROOT, Processes
from tests.waiting import wait_until


def test_its_output_may_be_a_socket_as_the_journal_gives_it(tmp_path: Path) -> None:
    parts = Processes(tmp_path, {})
    ours, its = socket.socketpair()
    said = bytearray()

    def listen() -> None:
        while piece := ours.recv(65536):
            said.extend(piece)

    listening = threading.Thread(target=listen)
    listening.start()
    with its, ours:
        process = subprocess.Popen(
            [sys.executable, str(ROOT / "embedded.py")],
            env=dict(parts.env),
            cwd=tmp_path,
            stdout=its.fileno(),
            stderr=its.fileno(),
        )
        its.close()
        try:
            wait_until(lambda: all(part.is_healthy() for part in parts.all), timeout=60, what="all three are healthy")
            wait_until(lambda: b"dicom_listener" in said, what="what a service logs arrives")
        finally:
            process.send_signal(signal.SIGTERM)
            status = process.wait(60)
        listening.join(30)
        assert not listening.is_alive()
    assert status == 0
    assert b"exited: mwl_scp" in said or b"stopped: mwl_scp" in said
