"""Who gets a connection, and who is told that there is no room."""

from __future__ import annotations

import errno
import logging
import socket
import time
from collections.abc import Callable
from http import HTTPStatus
from typing import Any

from mwl_admin.web.connection_seats import ConnectionSeats, NoSeat
from mwl_admin.web.http_answers import refusal
from mwl_admin.web.http_connection import HttpConnection
from mwl_admin.web.http_limits import HttpLimits
from mwl_admin.web.outgoing import Budget

logger = logging.getLogger(__name__)

AT_ONCE = 32
"""Connections that are accepted before others get their turn."""
_TOLD_EVERY = 60.0
_GONE = {errno.EAGAIN, errno.EWOULDBLOCK, errno.ECONNABORTED, errno.EINTR}


class Door:
    """Accepts connections within the limits. ``give_up`` closes one that has to make room."""

    def __init__(self, limits: HttpLimits, budget: Budget, give_up: Callable[[HttpConnection], None]) -> None:
        self.seats: ConnectionSeats[HttpConnection] = ConnectionSeats(limits)
        self._budget = budget
        self._give_up = give_up
        self._told: dict[str, float] = {}

    def accept(self, listener: socket.socket) -> HttpConnection | None:
        """Return the next one who may come in; None when nobody waits, or there is no room.

        :raises BlockingIOError: when nobody waits.
        """
        try:
            sock, client = listener.accept()
        except OSError as error:
            if error.errno in {errno.EMFILE, errno.ENFILE}:
                self._give_up_the_oldest()
            elif error.errno not in _GONE:
                raise
            raise BlockingIOError from error
        return self._admit(sock, client, listener.getsockname())

    def _admit(self, sock: socket.socket, client: Any, server: Any) -> HttpConnection | None:
        holder = self.seats.holder(str(client[0]) if isinstance(client, tuple) else "")
        conn = HttpConnection(sock, client, server, holder, self._budget)
        try:
            given_up = self.seats.make_room(holder)
        except NoSeat as error:
            self._tell(conn, str(error))
            conn.say_last(refusal(HTTPStatus.SERVICE_UNAVAILABLE))
            conn.close()
            return None
        if given_up is not None:
            self._give_up(given_up)
        self.seats.take(conn)
        return conn

    def _give_up_the_oldest(self) -> None:
        oldest = next((conn for conn in self.seats if conn.is_waiting), None)
        if oldest is not None:
            self._give_up(oldest)

    def _tell(self, conn: HttpConnection, reason: str) -> None:
        """Log that there is no room, once in a while for each address."""
        now = time.monotonic()
        if now - self._told.get(conn.holder, -_TOLD_EVERY) < _TOLD_EVERY:
            return
        if len(self._told) > 1000:
            self._told.clear()
        self._told[conn.holder] = now
        fields = {"address": conn.address, "because": reason}
        logger.warning("a connection was turned away", extra={"fields": fields})
