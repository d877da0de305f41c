"""Free TCP ports on loopback."""

from __future__ import annotations

import random
import socket

_handed_out: set[int] = set()
_random = random.SystemRandom()


def free_port() -> int:
    """Return a port that nothing listens on and that this process has not been given before.

    Taken from below the range that the kernel uses for outgoing connections, so that no client takes it meanwhile.
    """
    while True:
        port = _random.randrange(20_000, 32_000)
        if port in _handed_out:
            continue
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        _handed_out.add(port)
        return port
