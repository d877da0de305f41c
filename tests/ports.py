"""Free TCP ports on loopback."""

from __future__ import annotations

import fcntl
import os
import random
import socket
import tempfile
from functools import cache
from pathlib import Path

_handed_out: set[int] = set()
_random = random.SystemRandom()


def free_port() -> int:
    """Return a port that nothing listens on and that no run of the tests has been given, this one or one beside it.

    It stays reserved until this process ends: between two starts of what listens on it nobody else takes it. Taken from
    below the range that the kernel uses for outgoing connections, so that no client takes it meanwhile.
    """
    while True:
        port = _random.randrange(20_000, 32_000)
        if port not in _handed_out and _is_reserved(port) and _is_free(port):
            _handed_out.add(port)
            return port


def _is_reserved(port: int) -> bool:
    """Whether this process has, or could get, the lock of ``port``: one byte of a file that all runs share."""
    try:
        fcntl.lockf(_reservations(), fcntl.LOCK_EX | fcntl.LOCK_NB, 1, port)
    except OSError:
        return False
    return True


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


@cache
def _reservations() -> int:
    # closing any descriptor of this file in this process would give its locks up: it is opened once
    return os.open(Path(tempfile.gettempdir()) / f"gateway-test-ports-{os.getuid()}", os.O_RDWR | os.O_CREAT, 0o600)
