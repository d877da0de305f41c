"""`/health` and `/metrics` over HTTP, in a process of their own.

The health is that of the service, not of a file beside it: the workers' accept loops must have shown life within the
last seconds, and an association must be answered on the service's own port.
"""

from __future__ import annotations

import json
import logging
import os
import shutil
import socket
import ssl
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from pynetdicom.pdu import A_ASSOCIATE_RQ
from pynetdicom.pdu_primitives import (
    A_ASSOCIATE,
    ImplementationClassUIDNotification,
    ImplementationVersionNameNotification,
    MaximumLengthNotification,
)
from pynetdicom.presentation import build_context

from dicom_listener import health_server
from dicom_listener.health_server import HealthAnswer
from dicom_listener.identity import HEALTH_AE_TITLE, IMPLEMENTATION_CLASS_UID
from dicom_listener.pdu import PduType
from gateway_settings.log import log_failure

if TYPE_CHECKING:
    from pathlib import Path

    from dicom_listener.config import ListenerConfig
    from dicom_listener.seats import Seats

logger = logging.getLogger(__name__)

Check = Callable[[], str]


class Unwell(Exception):
    """A health check has failed; `/health` shows the text, which names no patient and no secret."""


_HEARTBEAT_LIMIT = 5.0
_PROBE_SECONDS = 5.0
_ANY_HOST = {"0.0.0.0": "127.0.0.1", "": "127.0.0.1", "::": "::1"}  # noqa: S104 - compared with, not bound to


def prepare_metrics(directory: Path) -> None:
    """Make an empty folder for the metrics that all processes share; before prometheus_client is first imported."""
    shutil.rmtree(directory, ignore_errors=True)
    directory.mkdir(parents=True, exist_ok=True)
    os.environ["PROMETHEUS_MULTIPROC_DIR"] = str(directory)


def forget_process(pid: int | None) -> None:
    """Drop the gauges of a process that died; its counters stay."""
    from prometheus_client import multiprocess  # needs the folder of prepare_metrics at import

    if "PROMETHEUS_MULTIPROC_DIR" in os.environ and pid is not None:
        multiprocess.mark_process_dead(pid)  # type: ignore[no-untyped-call]


@dataclass(frozen=True, slots=True)
class Probe:
    """Requests an association as any peer would. A rejection will do: access is not checked here.

    The workers recognize the probe by ``token``, a secret made when the master starts, and log it at DEBUG only.
    """

    host: str
    port: int
    ae_title: str
    token: str
    tls: ssl.SSLContext | None = None

    def __call__(self) -> str:
        if self.tls is not None and self.tls.verify_mode == ssl.CERT_REQUIRED:
            return "not asked: it wants a client certificate"
        host = _ANY_HOST.get(self.host, self.host)
        with socket.create_connection((host, self.port), _PROBE_SECONDS) as plain:
            if self.tls is None:
                return self._ask(plain)
            with _trusting_context().wrap_socket(plain) as encrypted:
                return self._ask(encrypted)

    def _ask(self, sock: socket.socket) -> str:
        sock.sendall(_association_request(self.ae_title, self.token))
        first = sock.recv(1)
        if first == bytes((PduType.ASSOCIATE_AC,)):
            sock.sendall(b"\x05\x00\x00\x00\x00\x04\x00\x00\x00\x00")  # A-RELEASE-RQ
            # the requestor closes the connection, once it has the A-RELEASE-RP (PS3.8 §7.2, §9.2)
            answer = b""
            while not answer.endswith(b"\x06\x00\x00\x00\x00\x04\x00\x00\x00\x00") and (part := sock.recv(4096)):
                answer += part
            return "accepts associations"
        if first == bytes((PduType.ASSOCIATE_RJ,)):
            return "answers associations"
        raise RuntimeError("no answer to an association request")


def _trusting_context() -> ssl.SSLContext:
    # the certificate names the host that peers use, seldom the loopback address
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def _association_request(called_ae: str, token: str) -> bytes:
    request = A_ASSOCIATE()
    request.application_context_name = "1.2.840.10008.3.1.1.1"
    request.calling_ae_title = HEALTH_AE_TITLE
    request.called_ae_title = called_ae
    maximum = MaximumLengthNotification()
    implementation = ImplementationClassUIDNotification()
    implementation.implementation_class_uid = IMPLEMENTATION_CLASS_UID
    version = ImplementationVersionNameNotification()
    version.implementation_version_name = token
    request.user_information = [maximum, implementation, version]
    context = build_context("1.2.840.10008.1.1")
    context.context_id = 1
    request.presentation_context_definition_list = [context]
    pdu = A_ASSOCIATE_RQ()
    pdu.from_primitive(request)
    return pdu.encode()


def report(seats: Seats, checks: Mapping[str, Check]) -> tuple[bool, dict[str, Any]]:
    """Run every check; return whether all is well and what `/health` says."""
    associations = seats.taken()  # before the check that opens one
    ages = seats.heartbeat_ages()
    workers = [{"seconds_since_heartbeat": None if age is None else round(age, 2)} for age in ages]
    well = all(age is not None and age < _HEARTBEAT_LIMIT for age in ages)
    results: dict[str, dict[str, Any]] = {}
    for name, check in checks.items():
        try:
            results[name] = {"ok": True, "detail": check()}
        except Unwell as error:
            logger.error("health check failed", extra={"fields": {"check": name, "because": str(error)}})
            results[name] = {"ok": False, "detail": str(error)}
            well = False
        except Exception as error:  # noqa: BLE001 - what fails is what is reported
            log_failure(logger, "health check failed", error, {"check": name})
            results[name] = {"ok": False, "detail": type(error).__name__}
            well = False
    status = "ok" if well else "failing"
    return well, {"status": status, "associations": associations, "workers": workers, "checks": results}


def serve(config: ListenerConfig, listening: socket.socket, checks: Mapping[str, Check], seats: Seats, probe: Probe, *,
          lifeline: int) -> None:  # fmt: skip
    """Answer `/health` and `/metrics` until SIGTERM or until the master is gone."""
    every_check: dict[str, Check] = {"association": probe, **checks}

    def health_page() -> HealthAnswer:
        well, body = report(seats, every_check)
        code = HTTPStatus.OK if well else HTTPStatus.SERVICE_UNAVAILABLE
        return HealthAnswer(code, "application/json", json.dumps({"service": config.name, **body}).encode())

    pages = {"/health": health_page, "/metrics": lambda: HealthAnswer(HTTPStatus.OK, *_metrics())}
    health_server.serve(listening, pages, lifeline=lifeline)


def _metrics() -> tuple[str, bytes]:
    from prometheus_client import CONTENT_TYPE_LATEST, REGISTRY, CollectorRegistry, generate_latest, multiprocess

    if "PROMETHEUS_MULTIPROC_DIR" not in os.environ:
        return CONTENT_TYPE_LATEST, generate_latest(REGISTRY)
    registry = CollectorRegistry()
    multiprocess.MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
    return CONTENT_TYPE_LATEST, generate_latest(registry)
