"""DICOM_TLS=1 in .env: both DICOM ports of the containers speak TLS, by certificates that the first start made."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cast import CT1
from tests.clients import dcmtk, tls
from tests.clients.compose import Project
from tests.components import requires
from tests.containers.images import IMAGE

pytestmark = [pytest.mark.containers, pytest.mark.timeout(900), requires("docker", "dcmtk", "openssl")]


class Device:
    """A device with the one file that `certificates device --stdout` prints."""

    def __init__(self, project: Project, folder: Path, ae_title: str) -> None:
        printed = project.compose("run", "--rm", "-T", "certificates", "device", ae_title, "--stdout")
        ends = printed.split("-----BEGIN ")
        self.file, self._authority = folder / f"{ae_title}.pem", folder / "ca.pem"
        self.file.write_text(printed)
        self._authority.write_text(f"-----BEGIN {ends[-1]}")
        self._calling = ae_title

    def run(self, program: str, port: int, *arguments: str) -> dcmtk.Outcome:
        trust = ["+tls", str(self.file), str(self.file), "+cf", str(self._authority)]
        return dcmtk.run(
            program, "-v", *trust, "-aet", self._calling, "-aec", "ANY", "localhost", str(port), *arguments
        )


@pytest.fixture(scope="module")
def encrypted(project: Project) -> Iterator[Project]:
    """The same project with the variable set; without it again afterwards."""
    project.up(DICOM_TLS="1")
    yield project
    project.up()


def test_a_device_with_its_certificate_queries_and_stores_and_others_do_not(encrypted: Project, tmp_path: Path) -> None:
    device = Device(encrypted, tmp_path, CT1.ae_title)
    assert device.run("echoscu", encrypted.mwl_port).succeeded
    assert device.run("findscu", encrypted.mwl_port, "-W", "-k", "PatientName").succeeded
    stored = device.run("storescu", encrypted.pacs_port, str(IMAGE))
    assert "Received Store Response (Success)" in stored.output
    for port in (encrypted.mwl_port, encrypted.pacs_port):
        assert not dcmtk.run("echoscu", "-aet", CT1.ae_title, "localhost", str(port)).succeeded, "no TLS"
        other = Device(encrypted, tmp_path, f"OTHER{port}")
        other._calling = CT1.ae_title
        assert not other.run("echoscu", port).succeeded, "another device's certificate"


def test_old_versions_and_weak_ciphers_are_refused(encrypted: Project, tmp_path: Path) -> None:
    device = Device(encrypted, tmp_path, "SCANNER")
    for port in (encrypted.mwl_port, encrypted.pacs_port):
        offer = tls.scan(port, "-cert", str(device.file), "-key", str(device.file))
        assert tls.weak(offer) == set()
        assert {"TLS 1.2", "TLS 1.3"} <= offer.versions


def test_no_service_sees_the_authoritys_key(encrypted: Project) -> None:
    for service in ("mwl_admin", "mwl_scp", "pacs_receiver"):
        with pytest.raises(RuntimeError, match="failed"):
            encrypted.execute(service, "sh", "-c", "ls /var/lib/gateway-authority/ca.key")
