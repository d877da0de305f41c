"""One client's connection, from its first byte to its last."""

from __future__ import annotations

import logging
import socket
import time
from enum import Enum
from typing import Any

from mwl_admin.web.framing import Body
from mwl_admin.web.http_limits import LINGER_SECONDS, SLOWEST_BYTES_PER_SECOND, STRANGERS_BODY_BYTES, HttpLimits
from mwl_admin.web.outgoing import Budget, Outgoing

logger = logging.getLogger(__name__)


class Stage(Enum):
    """What a connection is at."""

    IDLE = "idle"
    HEAD = "head"
    BODY = "body"
    BUSY = "busy"
    SENDING = "sending"
    LINGERING = "lingering"


class HttpConnection:
    """A client's socket, and the request and the answer that are on it. Gunicorn's own handling of a request sees it as
    one of its connections whose request is ready.
    """

    initialized = True
    data_ready = True
    is_http2 = False

    def __init__(self, sock: socket.socket, client: Any, server: Any, holder: str, budget: Budget) -> None:
        sock.setblocking(False)
        self.raw = sock
        self.sock = Outgoing(sock, budget)
        self.client = client
        self.server = server
        self.holder = holder
        self.received = bytearray()
        self.requests = 0
        self.request: Any = None
        self.body: Body | None = None
        self.allowed = STRANGERS_BODY_BYTES
        self.was_asked = False
        self.keeps_open = False
        self.events = 0
        # of a worker that ends: for those who have sent no whole request yet
        self.latest: float | None = None
        # the first request has to begin at once
        self._stage, self._since, self._moved = Stage.HEAD, time.monotonic(), 0
        self.parser = _Ready(self)

    @property
    def address(self) -> str:
        return str(self.client[0]) if isinstance(self.client, tuple) else ""

    @property
    def stage(self) -> Stage:
        return self._stage

    @stage.setter
    def stage(self, stage: Stage) -> None:
        if stage is not self._stage:
            self._stage, self._since, self._moved = stage, time.monotonic(), 0

    @property
    def is_waiting(self) -> bool:
        return self._stage is not Stage.BUSY

    @property
    def is_idle(self) -> bool:
        return self._stage is Stage.IDLE

    def moved(self, size: int) -> None:
        """Note that so many bytes came, or went."""
        self._moved += size

    def deadline(self, limits: HttpLimits) -> float | None:
        """Return when, by the monotonic clock, the connection has been at its stage for too long."""
        if self._stage is Stage.BUSY:
            return None
        if self._stage in {Stage.BODY, Stage.SENDING}:
            return self._since + limits.transfer_seconds + self._moved / SLOWEST_BYTES_PER_SECOND
        fixed = {
            Stage.IDLE: limits.keepalive_seconds,
            Stage.HEAD: limits.head_seconds,
            Stage.LINGERING: LINGER_SECONDS,
        }
        latest = self._since + fixed[self._stage]
        return latest if self.latest is None else min(latest, self.latest)

    def forget_request(self) -> None:
        """Make ready for the next request; what has come of it stays."""
        if self.body is not None:
            self.body.close()
        self.request = self.body = None
        self.allowed, self.was_asked = STRANGERS_BODY_BYTES, False

    def say_last(self, data: bytes) -> None:
        """Send what the network takes now: the connection ends, and nobody waits for it."""
        try:
            self.raw.send(data)
        except OSError as error:
            fields = {"error": type(error).__name__}
            logger.debug("a client was gone before it was told why", extra={"fields": fields})

    def close(self) -> None:
        self.forget_request()
        self.sock.discard()
        self.raw.close()

    def init(self) -> None:
        """Do nothing: the request is ready."""


class _Ready:
    """What gunicorn asks for the next request: the one that has come."""

    def __init__(self, connection: HttpConnection) -> None:
        self._connection = connection

    def __next__(self) -> Any:
        return self._connection.request

    def finish_body(self, deadline: float | None = None) -> bool:
        """Nothing of the body is left on the socket."""
        return True
