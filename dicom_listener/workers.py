"""The master process of a service: binds, forks workers that share the port, replaces one that dies, stops them all.

The listening socket is made once and inherited. What waits in its queue outlives a worker, and whichever worker is free
takes the next connection. The master stays single-threaded, so that it may fork at any time.
"""

from __future__ import annotations

import logging
import os
import resource
import secrets
import signal
import socket
import sys
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import NoReturn

from dicom_listener import health, metrics, tls
from dicom_listener.config import ListenerConfig
from dicom_listener.seats import Seats
from dicom_listener.server import Server
from dicom_listener.service import Service
from gateway_settings.environment import BadSetting
from gateway_settings.log import log_failure

logger = logging.getLogger(__name__)

Build = Callable[[], AbstractContextManager[Service]]

_SIGNALS = frozenset({signal.SIGCHLD, signal.SIGTERM, signal.SIGINT, signal.SIGHUP})
_BACKLOG = 4096
_FIRST_DELAY, _LONGEST_DELAY = 0.1, 10.0
_STEADY_SECONDS = 10.0


@dataclass(slots=True)
class _Child:
    """A process that is kept alive: a worker, the health server or a companion."""

    name: str
    main: Callable[[], int]
    index: int | None = None
    pid: int | None = None
    started: float = 0.0
    delay: float = _FIRST_DELAY
    due: float = field(default=0.0)


@dataclass(frozen=True, slots=True)
class Companion:
    """A process beside the workers that is replaced when it dies, for work that must not slow them down.

    ``run`` is called after the fork with a file descriptor that reads as ended once the master is gone. It returns
    after SIGTERM, whose disposition is the default until it sets one.
    """

    name: str
    run: Callable[[int], None]


def run(config: ListenerConfig, build: Build, *, health_checks: Mapping[str, health.Check] | None = None,
        companions: Iterable[Companion] = ()) -> int:  # fmt: skip
    """Serve until SIGTERM or SIGINT and return the exit status, 0.

    ``build`` is called in each worker after the fork; it gives the service for as long as the worker lives.
    ``health_checks`` are called in the health process: each returns a few words, or raises when something is wrong.
    ``companions`` are processes of the service's own.
    """
    return _Master(config, build, health_checks or {}, companions).run()


class _Master:
    def __init__(self, config: ListenerConfig, build: Build, checks: Mapping[str, health.Check],
                 companions: Iterable[Companion]) -> None:  # fmt: skip
        prefix = f"{config.prefix}_"
        self._config = config
        self._build = build
        self._checks = checks
        self._tls = tls.server_context(config.tls, prefix) if config.tls else None
        self._listener = listen(config.bind, f"{prefix}BIND")
        self._health_socket = listen(config.health_bind, f"{prefix}HEALTH_BIND")
        self._health_token = secrets.token_urlsafe(12)  # 16 characters, what an implementation version name holds
        self._seats = Seats(config.limits, config.workers)
        self._children = [_Child(f"worker {n}", self._worker(n), index=n) for n in range(config.workers)]
        self._children.append(_Child("health", self._health))
        self._children += [_Child(companion.name, self._companion(companion)) for companion in companions]
        self._lifeline, self._held_open = os.pipe()

    def run(self) -> int:
        _raise_file_limit()
        signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
        host, port = self._listener.getsockname()[:2]
        health_host, health_port = self._health_socket.getsockname()[:2]
        for child in self._children:
            self._start(child)
        fields = {
            "ae_title": self._config.ae_title,
            "address": f"{host}:{port}",
            "health": f"{health_host}:{health_port}",
            "workers": self._config.workers,
            "tls": bool(self._tls),
        }
        logger.info("listening", extra={"fields": fields})
        while True:
            received = signal.sigtimedwait(_SIGNALS, self._patience())
            number = received.si_signo if received else None
            if number in (signal.SIGTERM, signal.SIGINT):
                return self._stop()
            if number == signal.SIGHUP:
                self._tell(signal.SIGHUP)
            self._reap()
            for child in self._children:
                if child.pid is None and child.due <= time.monotonic():
                    self._start(child)

    def _patience(self) -> float:
        dues = [child.due for child in self._children if child.pid is None]
        return max(min(dues) - time.monotonic(), 0) if dues else 3600

    # -- children

    def _start(self, child: _Child) -> None:
        sys.stdout.flush()
        sys.stderr.flush()
        pid = os.fork()
        if pid == 0:
            self._become(child)
        child.pid, child.started = pid, time.monotonic()

    def _become(self, child: _Child) -> NoReturn:
        """Be the child until its work is done; never return into the master's code."""
        status = 1
        try:
            os.close(self._held_open)
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            signal.signal(signal.SIGHUP, signal.SIG_IGN)  # until there is something that could be reloaded
            signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C goes to the whole group; the master passes it on
            signal.pthread_sigmask(signal.SIG_UNBLOCK, _SIGNALS)
            status = child.main()
        except Exception as error:  # noqa: BLE001 - logged; the master sees the status
            log_failure(logger, "a process failed", error, {"process": child.name.replace(" ", "-")})
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(status)

    def _worker(self, index: int) -> Callable[[], int]:
        def main() -> int:
            self._health_socket.close()
            self._seats.belong_to(index)
            with self._build() as service:
                Server(self._config, service, self._listener, seats=self._seats, tls=self._tls,
                       master=self._lifeline, health_token=self._health_token).run()  # fmt: skip
            return 0

        return main

    def _companion(self, companion: Companion) -> Callable[[], int]:
        def main() -> int:
            self._listener.close()
            self._health_socket.close()
            companion.run(self._lifeline)
            return 0

        return main

    def _health(self) -> int:
        port = self._listener.getsockname()[1]
        self._listener.close()
        probe = health.Probe(self._config.bind[0], port, self._config.ae_title, self._health_token, self._tls)
        health.serve(self._config, self._health_socket, self._checks, self._seats, probe, lifeline=self._lifeline)
        return 0

    def _reap(self) -> None:
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            for child in self._children:
                if child.pid == pid:
                    self._died(child, status)

    def _died(self, child: _Child, status: int) -> None:
        now = time.monotonic()
        health.forget_process(child.pid)
        child.pid = None
        if child.index is not None:
            self._seats.clear(child.index)
        if now - child.started >= _STEADY_SECONDS:
            child.delay = _FIRST_DELAY
        child.due = now + child.delay
        child.delay = min(child.delay * 2, _LONGEST_DELAY)
        metrics.WORKER_RESTARTS.inc()
        how = (
            f"signal {os.WTERMSIG(status)}" if os.WIFSIGNALED(status) else f"status {os.waitstatus_to_exitcode(status)}"
        )
        wait = round(max(child.due - now, 0), 1)
        fields = {"process": child.name.replace(" ", "-"), "ended_with": how, "restart_in": wait}
        logger.error("a process died and is replaced", extra={"fields": fields})

    def _tell(self, number: signal.Signals) -> None:
        for child in self._children:
            if child.pid is not None and (number == signal.SIGTERM or child.index is not None):
                os.kill(child.pid, number)

    def _stop(self) -> int:
        self._listener.close()
        self._tell(signal.SIGTERM)
        until = time.monotonic() + self._config.limits.stop + 5
        while any(child.pid for child in self._children):
            left = until - time.monotonic()
            if left <= 0:
                break
            signal.sigtimedwait({signal.SIGCHLD}, min(left, 0.5))
            self._reap_stopped()
        for child in self._children:
            if child.pid is not None:
                logger.error("a process did not stop in time and is killed", extra={"fields": {"process": child.name}})
                os.kill(child.pid, signal.SIGKILL)
                os.waitpid(child.pid, 0)
        logger.info("stopped")
        return 0

    def _reap_stopped(self) -> None:
        for child in self._children:
            if child.pid is not None and os.waitpid(child.pid, os.WNOHANG)[0]:
                child.pid = None


def listen(address: tuple[str, int], variable: str) -> socket.socket:
    """Return a listening TCP socket.

    :raises BadSetting: naming the variable, when it can't be had.
    """
    host, port = address
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_STREAM)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        sock.bind((host, port))
        sock.listen(_BACKLOG)
    except OSError as error:
        sock.close()
        raise BadSetting(f"{variable}: cannot listen on {host}:{port}: {error.strerror or error}") from error
    return sock


def _raise_file_limit() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = 65536 if hard == resource.RLIM_INFINITY else min(hard, 65536)
    if soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
