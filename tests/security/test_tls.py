"""A stranger's scan of the TLS listeners: old versions, weak cipher suites and plain TCP are refused."""

from __future__ import annotations

import socket
import ssl
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pydicom
import pytest

from tests.clients import dcmtk, tls
from tests.components import requires
from tests.ports import free_port
from tests.processes import Processes, clean_environment

pytestmark = requires("dcmtk", "openssl")

STATION = "CT1"


def certificates(folder: Path, *arguments: str) -> None:
    subprocess.run(
        [sys.executable, "-m", "gateway_certificates", *arguments], cwd=folder, env=clean_environment({}), check=True,
        capture_output=True, timeout=60,
    )  # fmt: skip


@pytest.fixture(scope="module")
def department(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Processes]:
    """All three with DICOM_TLS=1, by certificates that the command made; and devices' certificates."""
    folder = tmp_path_factory.mktemp("tls")
    certificates(folder, "ca")
    certificates(folder, "server", "localhost", "127.0.0.1")
    certificates(folder, "device", STATION)
    certificates(folder, "device", "OTHER")
    made = Processes(folder, {"DICOM_TLS": "1"})
    try:
        made.start()
        yield made
    finally:
        made.stop()


def shown(department: Processes, device: str) -> list[str]:
    """Return DCMTK's options for a device's certificate."""
    devices = department.data_dir / "authority" / "devices"
    authority = department.data_dir / "tls" / "ca.pem"
    return ["+tls", str(devices / f"{device}.key"), str(devices / f"{device}.pem"), "+cf", str(authority)]


def credentials(department: Processes) -> list[str]:
    devices = department.data_dir / "authority" / "devices"
    return ["-cert", str(devices / f"{STATION}.pem"), "-key", str(devices / f"{STATION}.key")]


def echo(department: Processes, port: int, *options: str) -> dcmtk.Outcome:
    return dcmtk.run("echoscu", "-v", "-to", "10", *options, "-aet", STATION, "-aec", "ANY", "localhost", str(port))


@pytest.mark.parametrize("service", ["mwl", "pacs"])
def test_old_versions_and_weak_ciphers_are_refused(department: Processes, service: str) -> None:
    port = {"mwl": department.mwl_port, "pacs": department.pacs_port}[service]
    offer = tls.scan(port, *credentials(department))
    assert tls.weak(offer) == set()
    assert {"TLS 1.2", "TLS 1.3"} <= offer.versions
    assert offer.ciphers


@pytest.mark.parametrize("service", ["mwl", "pacs"])
def test_a_device_is_served_by_its_own_certificate_and_no_other_way(department: Processes, service: str) -> None:
    port = {"mwl": department.mwl_port, "pacs": department.pacs_port}[service]
    authority = ["+cf", str(department.data_dir / "tls" / "ca.pem")]
    assert echo(department, port, *shown(department, STATION)).succeeded
    assert not echo(department, port, *shown(department, "OTHER")).succeeded, "another device's certificate"
    assert not echo(department, port, "+tla", *authority).succeeded, "no certificate"
    assert not echo(department, port).succeeded, "no TLS"


def test_a_device_queries_and_stores_by_tls(department: Processes, tmp_path: Path) -> None:
    image = Path(pydicom.__file__).parent / "data" / "test_files" / "CT_small.dcm"
    options = [*shown(department, STATION), "-aet", STATION, "-aec", "ANY", "localhost"]
    found = dcmtk.run("findscu", "-v", "-W", *options, str(department.mwl_port), "-k", "PatientName")
    assert found.succeeded, found.output
    stored = dcmtk.run("storescu", "-v", *options, str(department.pacs_port), str(image))
    assert "Received Store Response (Success)" in stored.output
    assert pydicom.dcmread(image).StudyInstanceUID in department.pacs("list")


def test_the_scan_finds_what_is_weak(department: Processes) -> None:
    """The measure itself: a server that takes TLS 1.0 and old ciphers is seen to."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(department.data_dir / "tls" / "server.pem", department.data_dir / "tls" / "server.key")
    context.set_ciphers("ALL:@SECLEVEL=0")
    with pytest.warns(DeprecationWarning, match="TLSv1"):
        context.minimum_version = ssl.TLSVersion.TLSv1
    port = free_port()
    with socket.create_server(("127.0.0.1", port), backlog=200) as listener:
        threading.Thread(target=_serve, args=(listener, context), daemon=True).start()
        offer = tls.scan(port)
        listener.shutdown(socket.SHUT_RDWR)
    assert {"TLS 1.0", "TLS 1.1", "AES128-SHA"} <= tls.weak(offer)


def _serve(listener: socket.socket, context: ssl.SSLContext) -> None:
    while True:
        try:
            accepted, _ = listener.accept()
        except OSError:
            return
        try:
            with accepted, context.wrap_socket(accepted, server_side=True) as wrapped:
                wrapped.settimeout(5)
                wrapped.recv(1)
        except OSError:
            continue
