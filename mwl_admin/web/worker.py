"""Gunicorn's worker with threads, which get to see whole requests only and never wait for a client.

The event loop reads a request until it is whole, and sends what of an answer the network has not taken at once. It
bounds how many connections there are, how long each may take, and what they hold.
"""

from __future__ import annotations

import selectors
import socket
import time
from collections.abc import Callable
from concurrent.futures import Future
from functools import partial
from http import HTTPStatus
from typing import Any, TypeVar

from gunicorn.http import errors, wsgi
from gunicorn.http.message import Request
from gunicorn.http.unreader import IterUnreader
from gunicorn.workers.gthread import ThreadWorker

from mwl_admin.web import framing
from mwl_admin.web.door import AT_ONCE, Door
from mwl_admin.web.http_answers import refusal
from mwl_admin.web.http_connection import HttpConnection, Stage
from mwl_admin.web.http_limits import HEAD_BYTES, HttpLimits
from mwl_admin.web.outgoing import Budget
from mwl_admin.web.work_queue import WorkQueue

T = TypeVar("T")

_PIECE = 64 * 1024
_STATUS_OF = (
    (errors.LimitRequestLine, HTTPStatus.REQUEST_URI_TOO_LONG),
    (errors.LimitRequestHeaders, HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE),
    (errors.ExpectationFailed, HTTPStatus.EXPECTATION_FAILED),
    (errors.UnsupportedTransferCoding, HTTPStatus.NOT_IMPLEMENTED),
)


def _path_of(head: bytes) -> str:
    """Return the beginning of the path of a request that can't be read, to refuse a program in its own form."""
    return head.partition(b" ")[2][:64].decode("ascii", "replace")


class Worker(ThreadWorker):  # type: ignore[misc]
    """The site's worker."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        from mwl_admin.settings import WEB_LIMITS

        self.limits: HttpLimits = WEB_LIMITS
        # those who are told that there is no room need a little
        self.worker_connections = self.limits.connections + AT_ONCE
        self.budget = Budget(self.limits.buffered_bytes)
        self.door = Door(self.limits, self.budget, self._close)
        self.turns = WorkQueue(self.cfg.threads)
        self._looked_at = 0.0

    # --- new connections

    def accept(self, listener: socket.socket) -> None:
        for _ in range(AT_ONCE):
            try:
                conn = self.door.accept(listener)
            except BlockingIOError:
                break
            if conn is not None:
                self._watch(conn, selectors.EVENT_READ)
        self.nr_conns = len(self.door.seats)

    # --- requests

    def _on_event(self, conn: HttpConnection, _: Any) -> None:
        try:
            if conn.stage is Stage.SENDING:
                self._send(conn)
            elif conn.stage is Stage.LINGERING:
                self._throw_away(conn)
            else:
                self._receive(conn)
        except OSError:
            self._close(conn)

    def _receive(self, conn: HttpConnection) -> None:
        try:
            data = conn.raw.recv(_PIECE)
        except BlockingIOError:
            return
        if not data:
            self._close(conn)
            return
        conn.moved(len(data))
        conn.received += data
        self._advance(conn)

    def _advance(self, conn: HttpConnection) -> None:
        """Go on with a connection as far as what has come of it allows."""
        body = conn.body or self._begin(conn)
        if body is None:
            return
        try:
            body.take(conn.received)
        except framing.BadFraming:
            self._refuse(conn, HTTPStatus.BAD_REQUEST)
        except OSError:
            self._refuse(conn, HTTPStatus.SERVICE_UNAVAILABLE)
        else:
            if body.expected > conn.allowed:
                self._may_be_longer(conn, body)
            elif body.is_complete:
                self._hand_over(conn, body)
            else:
                self._wait_for_body(conn)

    def _begin(self, conn: HttpConnection) -> framing.Body | None:
        """Read the head of a request; return its body to come, or None when the head isn't whole or no good."""
        end = conn.received.find(b"\r\n\r\n", 0, HEAD_BYTES)
        if end < 0:
            self._wait_for_head(conn)
            return None
        head = bytes(conn.received[: end + 4])
        del conn.received[: end + 4]
        conn.requests += 1
        try:
            conn.request = Request(self.cfg, IterUnreader([head]), conn.client, conn.requests)
        except errors.ParseException as error:
            status = next((status for kind, status in _STATUS_OF if isinstance(error, kind)), HTTPStatus.BAD_REQUEST)
            self._refuse(conn, status, _path_of(head))
            return None
        conn.body = framing.body_of(conn.request.headers, self.budget)
        return conn.body

    def _wait_for_head(self, conn: HttpConnection) -> None:
        if len(conn.received) >= HEAD_BYTES:
            self._refuse(conn, HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE)
        elif conn.received:
            conn.stage = Stage.HEAD
            self._watch(conn, selectors.EVENT_READ)

    def _wait_for_body(self, conn: HttpConnection) -> None:
        if conn.request._expected_100_continue:
            conn.request._expected_100_continue = False
            conn.sock.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
        conn.stage = Stage.BODY
        self._watch(conn, selectors.EVENT_READ)

    def _may_be_longer(self, conn: HttpConnection, body: framing.Body) -> None:
        """Ask the site whether the sender may send so much, before more is read."""
        if conn.was_asked or body.expected > self.limits.longest_body:
            self._refuse(conn, HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
            return
        self._watch(conn, 0)
        conn.stage = Stage.BUSY
        conn.was_asked = True
        self._in_turn(conn, self._ask, self._asked)

    def _ask(self, conn: HttpConnection) -> int:
        from django.db import close_old_connections

        from mwl_admin.web.bodies import longest_for

        expects = conn.request._expected_100_continue
        conn.request._expected_100_continue = False
        _, environ = wsgi.create(conn.request, conn.sock, conn.client, conn.server, self.cfg)
        conn.request._expected_100_continue = expects
        close_old_connections()
        try:
            return longest_for(environ)
        finally:
            close_old_connections()

    def _asked(self, conn: HttpConnection, future: Future[int]) -> None:
        error = future.exception()
        conn.stage = Stage.BODY
        try:
            if error is not None:
                fields = {"error": type(error).__name__}
                self.log.error("who sends a long body could not be found out", extra={"fields": fields})
                self._refuse(conn, HTTPStatus.INTERNAL_SERVER_ERROR)
                return
            conn.allowed = future.result()
            self._advance(conn)
        except OSError:
            self._close(conn)

    def _hand_over(self, conn: HttpConnection, body: framing.Body) -> None:
        if isinstance(body, framing.ChunkedBody):
            conn.request.headers = framing.with_length(conn.request.headers, body.size)
        conn.request.body = body.open()
        conn.request._expected_100_continue = False
        self._watch(conn, 0)
        conn.stage = Stage.BUSY
        self._in_turn(conn, self.handle, self.finish_request)

    def _in_turn(
        self,
        conn: HttpConnection,
        work: Callable[[HttpConnection], T],
        then: Callable[[HttpConnection, Future[T]], None],
    ) -> None:
        """Have a thread do ``work`` when it is this client's turn, and the event loop do ``then``."""

        def ended(future: Future[T]) -> None:
            self.turns.done()
            then(conn, future)

        def start() -> None:
            future = self.tpool.submit(work, conn)
            future.add_done_callback(partial(self.method_queue.defer, ended))

        self.turns.add(conn.holder, start)

    # --- answers

    def finish_request(self, conn: HttpConnection, fs: Future[Any]) -> None:
        conn.keeps_open = not fs.cancelled() and fs.exception() is None and bool(fs.result())
        conn.forget_request()
        if conn.sock.is_broken:
            self._close(conn)
            return
        conn.stage = Stage.SENDING
        self._on_event(conn, None)

    def _send(self, conn: HttpConnection) -> None:
        before = conn.sock.sent
        all_sent = conn.sock.flush()
        conn.moved(conn.sock.sent - before)
        if not all_sent:
            self._watch(conn, selectors.EVENT_WRITE)
        elif conn.keeps_open:
            conn.stage = Stage.IDLE
            self._watch(conn, selectors.EVENT_READ)
            self._advance(conn)
        else:
            conn.raw.shutdown(socket.SHUT_WR)
            conn.stage = Stage.LINGERING
            conn.received.clear()
            self._watch(conn, selectors.EVENT_READ)

    def _throw_away(self, conn: HttpConnection) -> None:
        try:
            if not conn.raw.recv(_PIECE):
                self._close(conn)
        except BlockingIOError:
            return

    def _refuse(self, conn: HttpConnection, status: HTTPStatus, path: str = "") -> None:
        """Answer without asking any view, and end the connection."""
        method = getattr(conn.request, "method", None) or "-"
        fields = {"address": conn.address, "method": method, "status": int(status)}
        self.log.info("request refused", extra={"fields": fields})
        path = getattr(conn.request, "path", None) or path
        conn.forget_request()
        conn.keeps_open = False
        conn.sock.sendall(refusal(status, path))
        conn.stage = Stage.SENDING
        self._send(conn)

    def handle_error(self, req: Any, client: Any, addr: Any, exc: BaseException) -> None:
        """Answer for an exception that no view caught; gunicorn's own log line would hold the request's path."""
        self.log.error("a request failed", extra={"fields": {"error": type(exc).__name__}})
        self.log.debug("the same in full", exc_info=exc)
        client.sendall(refusal(HTTPStatus.INTERNAL_SERVER_ERROR))

    # --- the event loop

    def _watch(self, conn: HttpConnection, events: int) -> None:
        """Have ``_on_event`` called when a client can be read from, or written to; 0 for neither."""
        if events == conn.events:
            return
        if not conn.events:
            self.poller.register(conn.raw, events, partial(self._on_event, conn))
        elif events:
            self.poller.modify(conn.raw, events, partial(self._on_event, conn))
        else:
            self.poller.unregister(conn.raw)
        conn.events = events

    def _close(self, conn: HttpConnection) -> None:
        self._watch(conn, 0)
        self.door.seats.leave(conn)
        self.nr_conns = len(self.door.seats)
        conn.close()

    def murder_pending(self) -> None:
        """Close the connections that took too long; called in each turn of the loop."""
        now = time.monotonic()
        if now - self._looked_at < 0.5:
            return
        self._looked_at = now
        for conn in self.door.seats:
            deadline = conn.deadline(self.limits)
            if deadline is not None and deadline < now:
                if conn.stage in {Stage.HEAD, Stage.BODY} and (conn.received or conn.request):
                    conn.say_last(refusal(HTTPStatus.REQUEST_TIMEOUT))
                self._close(conn)

    def murder_keepalived(self, force: bool = False) -> None:
        """Close all connections that nobody works for, when the worker ends."""
        if force:
            for conn in self.door.seats:
                if conn.is_waiting:
                    self._close(conn)

    def _cap_keepalive(self, deadline: float) -> None:
        for conn in self.door.seats:
            conn.latest = deadline
