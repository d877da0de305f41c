"""One worker process: accepts connections, gives each a thread, watches time limits, drains on a stop.

The main thread does all of that and blocks in ``select`` meanwhile. A connection gets its thread only when its
A-ASSOCIATE-RQ is complete (:mod:`dicom_listener.reception`).
"""

from __future__ import annotations

import contextlib
import logging
import os
import selectors
import signal
import socket
import ssl
import threading
import time
from collections import Counter
from typing import TYPE_CHECKING

from dicom_listener import metrics
from dicom_listener.association import Association
from dicom_listener.lobby import Lobby
from dicom_listener.reception import Arrival, Reception
from dicom_listener.shared import Shared
from dicom_listener.tls import client_certificate
from dicom_listener.user_identity import Verifier
from gateway_settings.log import log_failure

if TYPE_CHECKING:
    from dicom_listener.config import ListenerConfig
    from dicom_listener.seats import Seats
    from dicom_listener.service import Service

logger = logging.getLogger(__name__)

_WATCH_SECONDS = 0.25
_HEARTBEAT_SECONDS = 1.0
_SPARE_THREADS = 64
"""Threads beyond the limit on associations, in which requests are judged and rejections are sent."""
_HEAD_START_SECONDS = 0.002
_BACK_OFF_SECONDS = 0.2
_STACK_BYTES = 1024 * 1024


class Server:
    """Accepts on a listening socket that it shares with other workers until told to stop."""

    def __init__(self, config: ListenerConfig, service: Service, listener: socket.socket, *, seats: Seats,
                 tls: ssl.SSLContext | None, master: int, health_token: str = "") -> None:  # fmt: skip
        limits = config.limits
        self._limits = limits
        self._listener = listener
        self._seats = seats
        self._any_title = config.tls is not None and config.tls.any_title
        self._master = master
        self._selector = selectors.DefaultSelector()
        self._lobby = Lobby(seats.waiting, _SPARE_THREADS)
        verifier = Verifier(config.user_identities_file, required=config.require_user_identity)
        self._shared = Shared(service, limits, seats, self._lobby, verifier, health_token)
        self._reception = Reception(self._selector, self._lobby, limits.first_pdu, tls, self._hand_over)
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
        watching = self._associations or len(self._reception) or not self._listening
        self._take_events(_WATCH_SECONDS if watching else _HEARTBEAT_SECONDS)
        now = time.monotonic()
        if now - self._last_watch >= _WATCH_SECONDS:
            self._last_watch = now
            self._watch(now)
        if self._reload:
            self._reload = False
            self._reload_service()

    def _take_events(self, patience: float) -> None:
        for key, _ in self._selector.select(patience):
            key.data(key.fileobj)

    def _reload_service(self) -> None:
        self._shared.verifier.reload()
        reload = self._shared.service.reload
        if reload is None:
            return
        try:
            reload()
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
            sock, peer = self._listener.accept()
        except (BlockingIOError, ConnectionAbortedError):
            return
        except OSError as error:
            # too many open files, or a network error that is pending on the connection: neither ends the service
            metrics.ACCEPT_ERRORS.inc()
            logger.error("cannot accept connections for now", extra={"fields": {"because": error.strerror}})
            self._pause_listening(_BACK_OFF_SECONDS)
            return
        metrics.CONNECTIONS.inc()
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        # an IPv4 peer of a socket that takes both has its usual address
        self._reception.welcome(sock, str(peer[0]).removeprefix("::ffff:"), int(peer[1]))

    def _hand_over(self, arrival: Arrival) -> None:
        """Let a thread serve a peer whose request is complete."""
        sock, limits = arrival.sock, self._limits
        if len(self._associations) >= limits.associations + _SPARE_THREADS:
            metrics.LIMITED.labels("connections").inc()
            self._lobby.leave(arrival)
            sock.close()
            return
        certificate = client_certificate(sock, any_title=self._any_title) if isinstance(sock, ssl.SSLSocket) else None
        association = Association(sock, arrival.address, arrival.port, certificate, self._shared)
        if self._stopping:
            association.link.stop_if_idle()
        self._lobby.give_thread(arrival, association)
        self._associations.add(association)
        self._seats.note_load(len(self._associations))
        name = f"association-{association.id}"
        try:
            threading.Thread(target=self._serve, args=(association, arrival.data), name=name, daemon=True).start()
        except RuntimeError as error:  # the system has no thread left
            log_failure(logger, "cannot start a thread", error, {})
            self._associations.discard(association)
            self._lobby.leave(association)
            sock.close()
            self._pause_listening(_BACK_OFF_SECONDS)

    def _serve(self, association: Association, request: bytearray) -> None:
        try:
            association.run(request)
        except Exception as error:  # noqa: BLE001 - one association's failure is not the process's
            log_failure(logger, "association failed", error, association.peer())
        finally:
            self._associations.discard(association)
            self._seats.note_load(len(self._associations))

    # -- watching

    def _watch(self, now: float) -> None:
        self._seats.beat(len(self._associations))
        for association in tuple(self._associations):
            association.link.expire_if_due(now)
        self._reception.watch(now)
        if self._lobby.evicted:
            self._report_evictions()
        if not self._listening and not self._stopping and now >= self._resume_at:
            self._listen()

    def _report_evictions(self) -> None:
        evicted, self._lobby.evicted = self._lobby.evicted, Counter()
        [(address, _)] = evicted.most_common(1)
        metrics.LIMITED.labels("waiting").inc(evicted.total())
        fields = {"connections": evicted.total(), "addresses": len(evicted), "most_from": address}
        logger.warning("connections without an association made room for others", extra={"fields": fields})

    # -- stopping

    def _drain(self) -> None:
        """Accept no connection, let operations finish, end idle associations; after the time to stop, end all."""
        self._pause_listening(0)
        self._listener.close()
        self._take_events(0)  # connections that have sent something are still served
        self._reception.close(silent_only=True)
        until = time.monotonic() + self._limits.stop
        logger.info("stopping", extra={"fields": {"associations": len(self._associations)}})
        while (self._associations or len(self._reception)) and time.monotonic() < until:
            for association in tuple(self._associations):
                association.link.stop_if_idle()
            self._take_events(0.02)
            self._watch(time.monotonic())
        self._reception.close(silent_only=False)
        for association in tuple(self._associations):
            metrics.LIMITED.labels("stop").inc()
            association.end_now()
        grace = time.monotonic() + 2
        while self._associations and time.monotonic() < grace:
            time.sleep(0.02)
