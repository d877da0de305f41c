"""One worker process: accepts connections, gives each a thread, watches time limits, drains on a stop.

The main thread does all of that and blocks in ``select`` meanwhile. A connection gets its thread only when the peer has
said something: those that say nothing cost a file descriptor and no more.
"""

from __future__ import annotations

import contextlib
import logging
import os
import selectors
import signal
import socket
import threading
import time
from typing import TYPE_CHECKING

from dicom_listener import metrics
from dicom_listener.association import Association
from dicom_listener.log import log_failure
from dicom_listener.user_identity import Verifier

if TYPE_CHECKING:
    import ssl

    from dicom_listener.config import ListenerConfig
    from dicom_listener.seats import Seats
    from dicom_listener.service import Service

logger = logging.getLogger(__name__)

_WATCH_SECONDS = 0.25
_HEARTBEAT_SECONDS = 1.0
_SILENT_CONNECTIONS = 2000
_SPARE_THREADS = 64
"""Connections beyond the associations' limit that get a thread, so that they are told why they are rejected."""
_HEAD_START_SECONDS = 0.002
_BACK_OFF_SECONDS = 0.2
_STACK_BYTES = 1024 * 1024


class Server:
    """Accepts on a listening socket that it shares with other workers until told to stop."""

    def __init__(self, config: ListenerConfig, service: Service, listener: socket.socket, *, seats: Seats,
                 tls: ssl.SSLContext | None, master: int) -> None:  # fmt: skip
        self._config = config
        self._service = service
        self._listener = listener
        self._seats = seats
        self._tls = tls
        self._verifier = Verifier(config.user_identities_file, required=config.require_user_identity)
        self._any_title = config.tls is not None and config.tls.any_title
        self._master = master
        self._selector = selectors.DefaultSelector()
        self._silent: dict[socket.socket, float] = {}
        self._associations: set[Association] = set()
        self._stopping = False
        self._reload = False
        self._listening = False
        self._resume_at = 0.0
        self._last_watch = 0.0

    # -- life

    def run(self) -> None:
        """Serve until SIGTERM, or until the master is gone; return when every association has ended."""
        threading.stack_size(_STACK_BYTES)
        self._listener.setblocking(False)
        wakeup, notify = os.pipe()
        os.set_blocking(notify, False)
        os.set_blocking(wakeup, False)
        previous = signal.set_wakeup_fd(notify, warn_on_full_buffer=False)
        signal.signal(signal.SIGTERM, self._on_stop)
        signal.signal(signal.SIGHUP, self._on_reload)
        self._selector.register(wakeup, selectors.EVENT_READ, self._woken)
        self._selector.register(self._master, selectors.EVENT_READ, self._master_gone)
        self._listen()
        try:
            while not self._stopping:
                self._turn()
            self._drain()
        finally:
            signal.set_wakeup_fd(previous)
            self._selector.close()
            os.close(wakeup)
            os.close(notify)

    def _on_stop(self, *_: object) -> None:
        self._stopping = True

    def _on_reload(self, *_: object) -> None:
        self._reload = True

    def _woken(self, descriptor: int) -> None:
        with contextlib.suppress(BlockingIOError):
            os.read(descriptor, 4096)

    def _master_gone(self, descriptor: int) -> None:
        if not os.read(descriptor, 1):
            logger.error("the master process is gone: stopping")
            self._selector.unregister(descriptor)
            self._stopping = True

    def _turn(self) -> None:
        watching = self._associations or self._silent or not self._listening
        for key, _ in self._selector.select(_WATCH_SECONDS if watching else _HEARTBEAT_SECONDS):
            key.data(key.fileobj)
        now = time.monotonic()
        if now - self._last_watch >= _WATCH_SECONDS:
            self._last_watch = now
            self._watch(now)
        if self._reload:
            self._reload = False
            self._reload_service()

    def _reload_service(self) -> None:
        self._verifier.reload()
        if self._service.reload is None:
            return
        try:
            self._service.reload()
        except Exception as error:  # noqa: BLE001 - a wrong file must not stop a service that runs
            log_failure(logger, "reload failed; what was in force stays", error, {})

    # -- accepting

    def _listen(self) -> None:
        if not self._listening:
            self._selector.register(self._listener, selectors.EVENT_READ, self._accept)
            self._listening = True

    def _pause_listening(self, seconds: float) -> None:
        if self._listening:
            self._selector.unregister(self._listener)
            self._listening = False
        self._resume_at = time.monotonic() + seconds

    def _accept(self, _: socket.socket) -> None:
        if self._seats.is_busiest():
            time.sleep(_HEAD_START_SECONDS)  # a worker with less to do takes the connection first
        try:
            sock, _peer = self._listener.accept()
        except (BlockingIOError, ConnectionAbortedError):
            return
        except OSError as error:
            # too many open files, or an error of the network that is pending on the connection: neither is an end
            metrics.ACCEPT_ERRORS.inc()
            logger.error("cannot accept connections for now", extra={"fields": {"because": error.strerror}})
            self._pause_listening(_BACK_OFF_SECONDS)
            return
        metrics.CONNECTIONS.inc()
        sock.setblocking(True)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        if len(self._silent) >= _SILENT_CONNECTIONS:
            self._drop_silent(next(iter(self._silent)))
        self._silent[sock] = time.monotonic() + self._config.limits.first_pdu
        self._selector.register(sock, selectors.EVENT_READ, self._spoke)

    def _drop_silent(self, sock: socket.socket) -> None:
        del self._silent[sock]
        self._selector.unregister(sock)
        metrics.LIMITED.labels("first_pdu").inc()
        sock.close()

    def _spoke(self, sock: socket.socket) -> None:
        """The peer sent its first bytes, or left: from here a thread serves it."""
        if self._silent.pop(sock, None) is None:
            return  # it was dropped in this very turn
        self._selector.unregister(sock)
        try:
            address, port = sock.getpeername()[:2]
        except OSError:  # it was reset already
            sock.close()
            return
        address = address.removeprefix("::ffff:")  # an IPv4 peer of a socket that takes both
        if len(self._associations) >= self._config.limits.associations + _SPARE_THREADS:
            metrics.LIMITED.labels("connections").inc()
            sock.close()
            return
        association = Association(sock, address, port, service=self._service, limits=self._config.limits,
                                  max_pdu_length=self._config.limits.max_pdu_length, seats=self._seats,
                                  verifier=self._verifier, tls=self._tls, any_title=self._any_title)  # fmt: skip
        self._associations.add(association)
        self._seats.note_load(len(self._associations))
        name = f"association-{association.id}"
        try:
            threading.Thread(target=self._serve, args=(association,), name=name, daemon=True).start()
        except RuntimeError as error:  # the system has no thread left
            log_failure(logger, "cannot start a thread", error, {})
            self._associations.discard(association)
            sock.close()
            self._pause_listening(_BACK_OFF_SECONDS)

    def _serve(self, association: Association) -> None:
        try:
            association.run()
        except Exception as error:  # noqa: BLE001 - one association's failure is not the process's
            log_failure(logger, "association failed", error, association.peer())
        finally:
            self._associations.discard(association)
            self._seats.note_load(len(self._associations))

    # -- watching

    def _watch(self, now: float) -> None:
        self._seats.beat(len(self._associations))
        for association in tuple(self._associations):
            if association.connection.deadline < now:
                association.connection.expire()
        for sock in [sock for sock, until in self._silent.items() if until < now]:
            self._drop_silent(sock)
        if not self._listening and not self._stopping and now >= self._resume_at:
            self._listen()

    # -- stopping

    def _drain(self) -> None:
        """Take nothing new, let what runs finish, end what is idle; after the time to stop, end everything."""
        self._pause_listening(0)
        self._listener.close()
        for sock in tuple(self._silent):
            self._drop_silent(sock)
        until = time.monotonic() + self._config.limits.stop
        logger.info("stopping", extra={"fields": {"associations": len(self._associations)}})
        while self._associations and time.monotonic() < until:
            for association in tuple(self._associations):
                association.connection.stop_if_idle()
            self._watch(time.monotonic())
            time.sleep(0.02)
        for association in tuple(self._associations):
            metrics.LIMITED.labels("stop").inc()
            association.end_now()
        grace = time.monotonic() + 2
        while self._associations and time.monotonic() < grace:
            time.sleep(0.02)
