"""TLS as PS3.15's BCP 195 profile has it, with a throw-away authority, against DCMTK and OpenSSL."""

from __future__ import annotations

import socket
import ssl
import subprocess
from pathlib import Path
from typing import NamedTuple

import pytest
import trustme

from dicom_listener.config import TlsFiles
from dicom_listener.tls import server_context
from gateway_settings.environment import BadSetting
from tests.clients import dcmtk
from tests.clients.raw import RawPeer, association_request, cancel, find, identifier
from tests.components import requires
from tests.dicom_listener.conftest import StartToy
from tests.dicom_listener.toy_process import ToyProcess
from tests.waiting import wait_until


class Certificates(NamedTuple):
    """Files: an authority, a server's and a client's certificate with their keys, and those of a stranger."""

    authority: Path
    server: Path
    server_key: Path
    client: Path
    client_key: Path
    stranger: Path
    stranger_key: Path


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    folder = tmp_path_factory.mktemp("certificates")
    authority, other = trustme.CA(key_type=trustme.KeyType.RSA), trustme.CA(key_type=trustme.KeyType.RSA)
    authority.cert_pem.write_to_path(folder / "authority.pem")
    for name, issuer in (("server", authority), ("client", authority), ("stranger", other)):
        # a client's common name is the AE title by which DCMTK's programs call
        issued = issuer.issue_cert("localhost", "127.0.0.1", common_name="ECHOSCU", key_type=trustme.KeyType.RSA)
        issued.cert_chain_pems[0].write_to_path(folder / f"{name}.pem")
        issued.private_key_pem.write_to_path(folder / f"{name}.key")
    names = ("authority.pem", "server.pem", "server.key", "client.pem", "client.key", "stranger.pem", "stranger.key")
    return Certificates(*(folder / name for name in names))


@pytest.fixture
def tls_toy(start_toy: StartToy, certificates: Certificates) -> ToyProcess:
    return start_toy(
        TOY_TLS_CERTIFICATE_PATH=str(certificates.server),
        TOY_TLS_PRIVATE_KEY_PATH=str(certificates.server_key),
        TOY_FIRST_PDU_SECONDS="2",
    )


@pytest.fixture
def mutual_toy(start_toy: StartToy, certificates: Certificates) -> ToyProcess:
    return start_toy(
        TOY_TLS_CERTIFICATE_PATH=str(certificates.server),
        TOY_TLS_PRIVATE_KEY_PATH=str(certificates.server_key),
        TOY_TLS_CLIENT_CA_PATH=str(certificates.authority),
        TOY_FIRST_PDU_SECONDS="2",
    )


def client_context(certificates: Certificates) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=certificates.authority)


def encrypted(toy: ToyProcess, context: ssl.SSLContext) -> RawPeer:
    plain = socket.create_connection(("127.0.0.1", toy.port), 10)
    return RawPeer(context.wrap_socket(plain, server_hostname="localhost"))


def echoscu(toy: ToyProcess, *options: str) -> dcmtk.Outcome:
    return dcmtk.run("echoscu", "-v", "-to", "5", "-ta", "5", *options, "127.0.0.1", str(toy.port), timeout=30)


def s_client(toy: ToyProcess, *options: str) -> str:
    done = subprocess.run(
        ["openssl", "s_client", "-connect", f"127.0.0.1:{toy.port}", *options],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    return done.stdout + done.stderr


@requires("dcmtk")
def test_dcmtk_echoes_over_tls(tls_toy: ToyProcess, certificates: Certificates) -> None:
    trusted = ("+cf", str(certificates.authority))
    assert echoscu(tls_toy, "+tla", *trusted).succeeded
    assert echoscu(tls_toy, "+tls", str(certificates.client_key), str(certificates.client), *trusted).succeeded
    assert echoscu(tls_toy, "+tla", "-ic").succeeded
    assert tls_toy.is_healthy()


@requires("dcmtk")
def test_a_client_certificate_can_be_required(mutual_toy: ToyProcess, certificates: Certificates) -> None:
    trusted = ("+cf", str(certificates.authority))
    assert echoscu(mutual_toy, "+tls", str(certificates.client_key), str(certificates.client), *trusted).succeeded
    assert not echoscu(mutual_toy, "+tla", *trusted).succeeded
    stranger = ("+tls", str(certificates.stranger_key), str(certificates.stranger))
    assert not echoscu(mutual_toy, *stranger, *trusted).succeeded
    log = mutual_toy.log_text()
    assert "TLS handshake failed" in log
    assert "because=PEER_DID_NOT_RETURN_A_CERTIFICATE" in log
    assert "because=CERTIFICATE_VERIFY_FAILED" in log
    assert mutual_toy.is_healthy()
    wait_until(lambda: mutual_toy.metrics()["dicom_tls_failures_total"] >= 2)


@requires("dcmtk")
def test_plain_text_is_refused_without_a_hang(tls_toy: ToyProcess) -> None:
    assert not echoscu(tls_toy).succeeded
    with tls_toy.peer() as peer:
        peer.send(association_request())
        assert len(peer.ends_with()) < 20, "no more than an alert"
    assert "TLS handshake failed" in tls_toy.log_text()


@pytest.mark.parametrize(("version", "name"), [("-tls1_2", "TLSv1.2"), ("-tls1_3", "TLSv1.3")])
def test_current_versions_are_spoken(tls_toy: ToyProcess, version: str, name: str) -> None:
    output = s_client(tls_toy, version)
    assert f"New, {name}" in output or f"Protocol  : {name}" in output
    assert "Cipher is ECDHE-RSA-AES" in output or "Cipher is TLS_AES" in output


@pytest.mark.parametrize(
    "options",
    [
        ("-tls1", "-cipher", "ALL:@SECLEVEL=0"),
        ("-tls1_1", "-cipher", "ALL:@SECLEVEL=0"),
        ("-tls1_2", "-cipher", "AES128-SHA256:AES256-GCM-SHA384"),
        ("-tls1_2", "-cipher", "ECDHE-RSA-AES128-SHA256"),
        ("-tls1_2", "-cipher", "NULL:aNULL:@SECLEVEL=0"),
    ],
    ids=["1.0", "1.1", "no forward secrecy", "no AEAD", "no encryption"],
)
def test_what_the_profile_forbids_is_refused(tls_toy: ToyProcess, options: tuple[str, ...]) -> None:
    output = s_client(tls_toy, *options)
    assert "Cipher is (NONE)" in output, output


def test_images_arrive_over_tls(tls_toy: ToyProcess, certificates: Certificates) -> None:
    data = bytes(range(256)) * 8000
    with encrypted(tls_toy, client_context(certificates)) as peer:
        peer.associate()
        assert peer.store(data).status == 0
        peer.send_message(5, find(), identifier("300"))
        assert [peer.read_message().status for _ in range(301)][-1] == 0
        peer.release()
    assert tls_toy.stored()["1.2.3.4.5"].read_bytes() == data


def test_half_a_record_does_not_hold_up_an_operation(tls_toy: ToyProcess, certificates: Certificates) -> None:
    with encrypted(tls_toy, client_context(certificates)) as peer:
        peer.associate()
        peer.send_message(5, find(), identifier("ENDLESS"))
        assert peer.read_message().status == 0xFF00
        socket.socket.send(peer.sock, b"\x17\x03\x03")
        for _ in range(20_000):
            assert peer.read_message().status == 0xFF00


def test_a_cancel_over_tls_ends_the_responses(tls_toy: ToyProcess, certificates: Certificates) -> None:
    with encrypted(tls_toy, client_context(certificates)) as peer:
        peer.associate()
        peer.send_message(5, find(7), identifier("ENDLESS"))
        peer.send_message(5, cancel(7))
        while (answer := peer.read_message()).status == 0xFF00:
            pass
        assert answer.status == 0xFE00
        peer.release()


def test_a_handshake_that_stalls_is_cut_off(tls_toy: ToyProcess) -> None:
    before = tls_toy.usage()
    peers = [tls_toy.peer() for _ in range(5)]
    for number, peer in enumerate(peers):
        peer.send(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"[: 1 + 2 * number])
    for peer in peers:
        assert len(peer.ends_with()) < 20, "no more than an alert"
        peer.sock.close()
    wait_until(lambda: tls_toy.metrics()['dicom_limits_total{limit="first_pdu"}'] >= 5)
    wait_until(lambda: tls_toy.usage()[1] == before[1], what="no thread is left")


def test_a_silent_client_after_the_handshake_is_cut_off(tls_toy: ToyProcess, certificates: Certificates) -> None:
    with encrypted(tls_toy, client_context(certificates)) as peer:
        assert peer.is_ended()


def test_a_client_that_vanishes_in_the_handshake_or_after_leaves_nothing(
    tls_toy: ToyProcess, certificates: Certificates
) -> None:
    with encrypted(tls_toy, client_context(certificates)) as peer:
        peer.associate()
        peer.release()
    wait_until(lambda: all(worker.num_threads() == 1 for worker in tls_toy.workers()))
    for _ in range(20):
        with tls_toy.peer() as peer:
            peer.send(b"\x16\x03\x01\x02\x00")
        peer = encrypted(tls_toy, client_context(certificates))
        peer.associate()
        peer.reset()
    wait_until(lambda: all(worker.num_threads() == 1 for worker in tls_toy.workers()))
    wait_until(lambda: tls_toy.health()["associations"] == 0)


def test_sigterm_ends_idle_associations_over_tls(tls_toy: ToyProcess, certificates: Certificates) -> None:
    with encrypted(tls_toy, client_context(certificates)) as peer:
        peer.associate()
        tls_toy.master.terminate()
        assert peer.read_pdu().abort == (0, 0)
    assert tls_toy.wait(15) == 0


@pytest.mark.parametrize(
    ("files", "name"),
    [
        (("server", "client_key", None), "TOY_TLS_CERTIFICATE_PATH"),
        (("authority", "server_key", None), "TOY_TLS_CERTIFICATE_PATH"),
        (("server_key", "server_key", None), "TOY_TLS_CERTIFICATE_PATH"),
        (("server", "server_key", "server_key"), "TOY_TLS_CLIENT_CA_PATH"),
    ],
)
def test_files_that_do_not_fit_together_are_named(
    certificates: Certificates, files: tuple[str, str, str | None], name: str
) -> None:
    certificate, key, authority = files
    material = TlsFiles(
        getattr(certificates, certificate),
        getattr(certificates, key),
        getattr(certificates, authority) if authority else None,
    )
    with pytest.raises(BadSetting, match=rf"^{name}: .*\Z"):
        server_context(material, "TOY_")
