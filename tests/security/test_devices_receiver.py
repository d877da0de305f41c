"""Strangers and devices at the receiver: who is turned away, at each door (docs/devices.md)."""

from __future__ import annotations

import socket
import subprocess
from pathlib import Path

import pytest

from gateway_settings.environment import environment
from pacs_receiver.config import load as load_settings
from tests.clients import raw
from tests.components import requires
from tests.pacs_receiver import load
from tests.pacs_receiver.conftest import StartReceiver
from tests.pacs_receiver.images import CT, EXPLICIT, encode, image
from tests.pacs_receiver.process import ReceiverProcess

TURNED_AWAY = (1, 1, 3)
NOT_AUTHORIZED = 0x0124
DOORS = {"verification": raw.VERIFICATION, "storage": CT, "commitment": raw.STORAGE_COMMITMENT}

PEERS = """
[[peer]]
ae_title = "CT1"

[[peer]]
ae_title = "OFF"
enabled = false

[[peer]]
ae_title = "CT2"
addresses = ["127.0.0.2"]

[[peer]]
ae_title = "BOUND"
certificates = ["{fingerprint}"]

[[peer]]
ae_title = "VIEWER"
rights = []
""".format(fingerprint="ab" * 32)


def call(receiver: ReceiverProcess, title: str, source: str, *contexts: bytes) -> raw.RawPeer:
    sock = socket.create_connection(("127.0.0.1", receiver.port), 30, source_address=(source, 0))
    peer = raw.RawPeer(sock, 30)
    peer.send(raw.association_request(called=b"PACS", calling=title.encode(), contexts=contexts))
    return peer


@pytest.fixture
def receiver(start_receiver: StartReceiver, tmp_path: Path) -> ReceiverProcess:
    path = tmp_path / "peers.toml"
    path.write_text(PEERS)
    return start_receiver(PACS_PEERS_FILE=str(path), PACS_UNKNOWN_PEERS="reject", PACS_WORKERS="1")


@pytest.mark.parametrize("abstract_syntax", DOORS.values(), ids=DOORS.keys())
@pytest.mark.parametrize(
    ("title", "source"),
    [
        ("STRANGER", "127.0.0.1"),
        ("OFF", "127.0.0.1"),
        ("CT2", "127.0.0.1"),
        ("BOUND", "127.0.0.1"),
        ("ct1", "127.0.0.1"),
    ],
)
def test_who_is_not_known_switched_on_and_where_expected_is_turned_away_at_each_door(
    receiver: ReceiverProcess, title: str, source: str, abstract_syntax: str
) -> None:
    with call(receiver, title, source, raw.context_item(1, abstract_syntax)) as peer:
        assert peer.read_pdu().rejection == TURNED_AWAY


def test_a_known_device_is_served_where_it_is_expected(receiver: ReceiverProcess) -> None:
    for title, source in (("CT1", "127.0.0.1"), ("CT1", "127.0.0.9"), ("CT2", "127.0.0.2")):
        with call(receiver, title, source, raw.context_item(1, raw.VERIFICATION)) as peer:
            assert peer.read_pdu().kind == 2
            peer.echo()
            peer.release()


def test_a_known_device_without_the_right_to_store_is_told_by_the_status_of_each_operation(
    receiver: ReceiverProcess,
) -> None:
    contexts = (raw.context_item(1, CT, (EXPLICIT,)), raw.context_item(3, raw.STORAGE_COMMITMENT),
                raw.context_item(5, raw.VERIFICATION))  # fmt: skip
    ds = image()
    with call(receiver, "VIEWER", "127.0.0.1", *contexts) as peer:
        assert peer.read_pdu().kind == 2
        assert load.store(peer, str(ds.SOPInstanceUID), encode(ds)) == NOT_AUTHORIZED
        peer.send_message(3, raw.action(2), raw.element(0x00081195, "1.2.3"))
        assert peer.read_message().status == NOT_AUTHORIZED
        peer.send_message(5, raw.echo(3))
        assert peer.read_message().status == 0
        peer.release()
    assert receiver.listed() == []


@requires("dcmtk")
def test_a_stranger_gets_nothing_from_a_receiver_that_is_bound_beyond_loopback(start_receiver: StartReceiver) -> None:
    receiver = start_receiver()
    assert "devices that nobody entered are served" in receiver.log.read_text()
    echo = ["echoscu", "-aec", "PACS", "-aet", "STRANGER", "127.0.0.1"]
    assert subprocess.run([*echo, str(receiver.port)], check=False, timeout=60).returncode == 0
    everywhere = ReceiverProcess(receiver.data_dir, {"PACS_WORKERS": "1"})
    everywhere.settings = {**everywhere.settings, "PACS_BIND": f"0.0.0.0:{everywhere.port}"}
    receiver.kill()
    receiver.log.write_text("")
    everywhere.start()
    try:
        refused = subprocess.run([*echo, str(everywhere.port)], check=False, timeout=60, capture_output=True, text=True)
        assert refused.returncode != 0
        assert "Calling AE Title Not Recognized" in refused.stderr + refused.stdout
        assert "devices that nobody entered are served" not in everywhere.log.read_text()
    finally:
        everywhere.kill()


@pytest.mark.parametrize(
    ("bind", "word", "served"),
    [
        ("127.0.0.1:4244", "auto", True),
        ("[::1]:4244", "auto", True),
        ("localhost:4244", "auto", True),
        ("0.0.0.0:4244", "auto", False),
        ("[::]:4244", "auto", False),
        (":4244", "auto", False),
        ("192.0.2.1:4244", "auto", False),
        ("pacs.example:4244", "auto", False),
        ("0.0.0.0:4244", "accept", True),
        ("127.0.0.1:4244", "reject", False),
    ],
)
def test_whether_strangers_are_served_follows_from_where_the_receiver_listens(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, bind: str, word: str, *, served: bool
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PACS_BIND", bind)
    monkeypatch.setenv("PACS_UNKNOWN_PEERS", word)
    assert load_settings(environment()).accept_unknown_peers is served
