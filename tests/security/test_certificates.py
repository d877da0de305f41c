"""A client's certificate is bound to AE titles: whoever holds CT1's can't call as CT2, whatever CT2 is."""

from __future__ import annotations

import hashlib
import ipaddress
import ssl
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import trustme

from dicom_listener.access import Caller, Certificate, Reason
from dicom_listener.devices import Device, judge
from mwl_admin.models import Station
from tests.clients import dcmtk
from tests.components import requires
from tests.databases import worklist_database
from tests.dicom_listener.toy_process import ToyProcess
from tests.factory import make_station
from tests.mwl_scp.conftest import start_provider
from tests.pacs_receiver.conftest import StartReceiver

Start = Callable[..., ToyProcess]


class Authority:
    """A department's certificate authority: what it issues lies in its folder, by name."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._authority = trustme.CA(key_type=trustme.KeyType.RSA)
        self._authority.cert_pem.write_to_path(self.certificate)
        self.issue("server", "PACS")
        self.issue("CT1", "CT1")
        self.issue("CT2", "CT2")
        self.issue("old CT", "serial-4711")
        self.issue("nameless", None)

    @property
    def certificate(self) -> Path:
        return self._folder / "authority.pem"

    def files(self, name: str) -> tuple[Path, Path]:
        """Private key and certificate."""
        return self._folder / f"{name}.key", self._folder / f"{name}.pem"

    def issue(self, name: str, common_name: str | None) -> None:
        issued = self._authority.issue_cert("localhost", common_name=common_name, key_type=trustme.KeyType.RSA)
        key, certificate = self.files(name)
        issued.private_key_pem.write_to_path(key)
        issued.cert_chain_pems[0].write_to_path(certificate)

    def settings(self, prefix: str) -> dict[str, str]:
        """What makes a service want certificates of this authority."""
        key, certificate = self.files("server")
        return {
            f"{prefix}_TLS_CERTIFICATE_PATH": str(certificate),
            f"{prefix}_TLS_PRIVATE_KEY_PATH": str(key),
            f"{prefix}_TLS_CLIENT_CA_PATH": str(self.certificate),
        }

    def fingerprint(self, name: str) -> str:
        _, certificate = self.files(name)
        return hashlib.sha256(ssl.PEM_cert_to_DER_cert(certificate.read_text())).hexdigest()


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture
def start(tmp_path: Path, authority: Authority) -> Iterator[Start]:
    """Start a listener that wants certificates of the authority."""
    started: list[ToyProcess] = []

    def begin(**settings: str) -> ToyProcess:
        toy = ToyProcess(tmp_path / f"toy-{len(started)}", {**authority.settings("TOY"), **settings})
        started.append(toy)
        toy.start()
        return toy

    yield begin
    for toy in started:
        toy.kill()


def echo(toy: ToyProcess, authority: Authority, name: str, calling: str) -> dcmtk.Outcome:
    """C-ECHO under an AE title, with the certificate of that name."""
    return echo_at(toy.port, authority, name, calling)


def echo_at(port: int, authority: Authority, name: str, calling: str) -> dcmtk.Outcome:
    key, certificate = authority.files(name)
    return dcmtk.run(
        "echoscu", "-v", "-to", "10", "-aet", calling, "-aec", "TOY", "+cf", str(authority.certificate),
        "+tls", str(key), str(certificate), "127.0.0.1", str(port),
    )  # fmt: skip


def was_turned_away(outcome: dcmtk.Outcome) -> bool:
    return not outcome.succeeded and "Calling AE Title Not Recognized" in outcome.output


@requires("dcmtk")
def test_a_certificate_stands_for_the_title_that_it_names(start: Start, authority: Authority) -> None:
    toy = start()
    assert echo(toy, authority, "CT1", "CT1").succeeded
    assert echo(toy, authority, "CT2", "CT2").succeeded
    for name, calling in (("CT1", "CT2"), ("CT1", "ct1"), ("old CT", "CT1"), ("nameless", "CT1")):
        assert was_turned_away(echo(toy, authority, name, calling)), (name, calling)
    assert "certificate names another than the calling AE title" in toy.log_text()


@requires("dcmtk")
@pytest.mark.parametrize("names", ["ae-title", "any"])
def test_a_bound_certificate_is_the_only_one_for_its_title(start: Start, authority: Authority, names: str) -> None:
    toy = start(
        TOY_DEVICES=f"CT1={authority.fingerprint('old CT')},MR1={authority.fingerprint('CT2')}",
        TOY_TLS_CERTIFICATE_NAMES=names,
    )
    assert echo(toy, authority, "old CT", "CT1").succeeded
    assert echo(toy, authority, "CT2", "MR1").succeeded
    assert was_turned_away(echo(toy, authority, "CT1", "CT1")), "its name does not make up for the binding"
    assert "certificate is not the one that is bound to the device" in toy.log_text()
    assert echo(toy, authority, "CT1", "CT2").succeeded is (names == "any")


@requires("dcmtk")
def test_the_worklist_provider_holds_a_certificate_to_its_name(
    tmp_path: Path, authority: Authority, django_db_blocker: Any
) -> None:
    url = f"sqlite:///{tmp_path / 'worklist.sqlite3'}"
    with worklist_database(url, django_db_blocker):
        for unknown in ("all", "none"):
            folder = tmp_path / unknown
            folder.mkdir()
            running = start_provider(folder, url, MWL_UNKNOWN_STATIONS=unknown, **authority.settings("MWL"))
            try:
                assert echo_at(running.port, authority, "CT1", "CT1").succeeded is (unknown == "all")
                make_station("CT1")
                make_station("CT2")
                assert echo_at(running.port, authority, "CT1", "CT1").succeeded
                assert was_turned_away(echo_at(running.port, authority, "CT1", "CT2"))
                Station.objects.all().delete()
                assert was_turned_away(echo_at(running.port, authority, "CT1", "CT2"))
            finally:
                assert running.stop() == 0


@requires("dcmtk")
def test_the_receiver_holds_a_certificate_to_its_name_or_binding(
    tmp_path: Path, authority: Authority, start_receiver: StartReceiver
) -> None:
    peers = tmp_path / "peers.toml"
    fingerprint = authority.fingerprint("old CT")
    peers.write_text(f"""
        [[peer]]
        ae_title = "CT1"
        [[peer]]
        ae_title = "CT2"
        [[peer]]
        ae_title = "MR1"
        certificates = ["{fingerprint}"]
    """)
    receiver = start_receiver(PACS_PEERS_FILE=str(peers), PACS_UNKNOWN_PEERS="reject", **authority.settings("PACS"))
    for name, calling in (("CT1", "CT1"), ("CT2", "CT2"), ("old CT", "MR1")):
        assert echo_at(receiver.port, authority, name, calling).succeeded, calling
    for name, calling in (("CT1", "CT2"), ("CT2", "CT1"), ("CT1", "MR1"), ("old CT", "CT1"), ("old CT", "serial-4711")):
        assert was_turned_away(echo_at(receiver.port, authority, name, calling)), (name, calling)


def test_names_can_be_left_out_of_it() -> None:
    caller = Caller("CT2", "PACS", "192.0.2.7", certificate=Certificate("00", "CT1", any_title=True))
    assert judge(None, caller, unknown=True) is None
    assert judge(Device("CT2"), caller, unknown=False) is None


@pytest.mark.parametrize(
    ("device", "caller"),
    [
        (None, Caller("CT2", "PACS", "192.0.2.7", certificate=Certificate("00", "CT1"))),
        (Device("CT2"), Caller("CT2", "PACS", "192.0.2.7", certificate=Certificate("00", "CT1"))),
        (Device("CT2"), Caller("CT2", "PACS", "192.0.2.7", certificate=Certificate("00", ""))),
        (
            Device("CT2", certificates=frozenset({"11"})),
            Caller("CT2", "PACS", "192.0.2.7", certificate=Certificate("00", "CT2")),
        ),
        (Device("CT2", certificates=frozenset({"11"})), Caller("CT2", "PACS", "192.0.2.7")),
        (
            Device("CT2", networks=(ipaddress.ip_network("10.0.0.0/8"),)),
            Caller("CT2", "PACS", "192.0.2.7", certificate=Certificate("00", "CT2")),
        ),
        (Device("CT2", enabled=False), Caller("CT2", "PACS", "192.0.2.7", certificate=Certificate("00", "CT2"))),
    ],
)
def test_the_rule_turns_away(device: Device | None, caller: Caller) -> None:
    for unknown in (True, False):
        rejected = judge(device, caller, unknown=unknown)
        assert rejected is not None
        assert rejected.reason is Reason.CALLING_AE


def test_a_caller_without_a_certificate_is_judged_by_the_rest_where_none_is_asked_for() -> None:
    assert judge(Device("CT1"), Caller("CT1", "PACS", "192.0.2.7"), unknown=False) is None
    assert judge(None, Caller("CT1", "PACS", "192.0.2.7"), unknown=False) is not None
