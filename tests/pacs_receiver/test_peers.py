"""The peers' file: what is in it, what is wrong with it, and when it is read."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dicom_listener.access import Caller
from pacs_receiver.peer_book import PeerBook
from pacs_receiver.peers import BadPeersFile, parse
from pacs_receiver.registry import KeptRegistry
from tests.pacs_receiver import load
from tests.pacs_receiver.conftest import StartReceiver
from tests.pacs_receiver.images import encode, image
from tests.pacs_receiver.process import ReceiverProcess
from tests.waiting import wait_until

GOOD = """
[[peer]]
ae_title = "CT1"
addresses = ["192.0.2.7", "10.1.0.0/16"]
host = "192.0.2.7"
port = 104
sop_classes = ["CTImageStorage", "1.2.840.113619.4.26"]

[[peer]]
ae_title = "US 2"
"""


def test_it_is_read() -> None:
    peers = parse(GOOD)
    assert set(peers) == {"CT1", "US 2"}
    assert peers["CT1"].can_be_called
    assert peers["CT1"].sop_classes == {"1.2.840.10008.5.1.4.1.1.2", "1.2.840.113619.4.26"}
    assert not peers["US 2"].can_be_called


WRONG = {
    "no TOML": ('[[peer]]\nae_title = "CT1', "line 2: "),
    "an unknown key": ('[[peer]]\nae_title = "CT1"\nadress = []\n', "line 3: 'adress' is not known"),
    "an unknown table": ('[[peer]]\nae_title = "CT1"\n\n[other]\n', "line 4: 'other' is not known"),
    "no AE title": ('[[peer]]\nae_title = "CT1"\n\n[[peer]]\nport = 104\nhost = "x"\n', "line 4: "),
    "an AE title that is too long": ('[[peer]]\nae_title = "12345678901234567"\n', "line 2: "),
    "an AE title twice": ('[[peer]]\nae_title = "A"\n[[peer]]\nae_title = "A"\n', "line 4: 'A' occurs twice"),
    "an address that is none": ('[[peer]]\nae_title = "A"\naddresses = ["10.1.0.0/33"]\n', "line 3: "),
    "a port that is none": ('[[peer]]\nae_title = "A"\nhost = "x"\nport = 70000\n', "line 4: not a port"),
    "a port of the wrong type": ('[[peer]]\nae_title = "A"\nport = "104"\n', "line 3: port is not of the right type"),
    "a host without a port": ('[[peer]]\nae_title = "A"\nhost = "x"\n', "line 1: host and port are needed together"),
    "a SOP class that nobody knows": ('[[peer]]\nae_title = "A"\nsop_classes = ["CTStorage"]\n', "line 3: "),
    "a switch that is none": ('[[peer]]\nae_title = "A"\nenabled = 1\n', "line 3: enabled is not of the right type"),
    "a certificate that is none": ('[[peer]]\nae_title = "A"\ncertificates = ["ab:cd"]\n', "line 3: a certificate"),
    "a right that is none": ('[[peer]]\nae_title = "A"\nrights = ["stor"]\n', "line 3: rights are out of"),
    "one table instead of many": ('[peer]\nae_title = "A"\n', "line 1: peers are written as [[peer]]"),
}


@pytest.mark.parametrize(("text", "complaint"), WRONG.values(), ids=WRONG.keys())
def test_what_is_wrong_is_said_with_its_line(text: str, complaint: str) -> None:
    with pytest.raises(BadPeersFile) as wrong:
        parse(text)
    assert str(wrong.value).startswith(complaint), str(wrong.value)
    assert "\n" not in str(wrong.value)


@given(st.text(max_size=100))
def test_any_text_is_read_or_refused(text: str) -> None:
    for candidate in (text, f"[[peer]]\n{text}"):
        try:
            parse(candidate)
        except BadPeersFile:
            continue


def test_a_known_title_calls_from_its_addresses_only(tmp_path: Path) -> None:
    path = tmp_path / "peers.toml"
    path.write_text(GOOD)
    book = PeerBook(path)
    rule = book.rule(lambda _caller: None, unknown=True)
    strict = book.rule(lambda _caller: None, unknown=False)
    assert rule(Caller("CT1", "PACS", "10.1.2.3")) is None
    assert rule(Caller("CT1", "PACS", "::ffff:10.1.2.3")) is None
    assert rule(Caller("CT1", "PACS", "10.2.2.3")) is not None
    assert rule(Caller("US 2", "PACS", "10.2.2.3")) is None
    assert rule(Caller("NEW", "PACS", "10.2.2.3")) is None
    assert strict(Caller("NEW", "PACS", "10.2.2.3")) is not None


def test_whom_staff_keep_out_is_turned_away_also_where_strangers_are_served(tmp_path: Path) -> None:
    site = tmp_path / "devices.json"
    KeptRegistry(site).write("", '{"devices": [], "refused": ["OLDCT"]}')
    rule = PeerBook(None, site).rule(lambda _caller: None, unknown=True)
    assert rule(Caller("NEW", "PACS", "10.2.2.3")) is None
    assert rule(Caller("OLDCT", "PACS", "10.2.2.3")) is not None


def test_a_changed_file_is_read_and_a_wrong_one_changes_nothing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "peers.toml"
    path.write_text(GOOD)
    book = PeerBook(path)
    path.write_text('[[peer]]\nae_title = "MR1"\n')
    assert book.get("MR1")
    assert book.get("CT1") is None
    path.write_text('[[peer]]\nae_title = "TOO"\nport = "x"\n')
    assert book.get("MR1")
    assert "line 3: port is not of the right type" in caplog.text
    path.unlink()
    assert book.get("MR1")


def status_of(receiver: ReceiverProcess) -> int:
    ds = image()
    with load.connect(receiver.port, "CT1") as peer:
        status = load.store(peer, str(ds.SOPInstanceUID), encode(ds))
        peer.release()
    return status


def test_a_peer_stores_the_sop_classes_that_its_entry_names(start_receiver: StartReceiver, tmp_path: Path) -> None:
    path = tmp_path / "peers.toml"
    path.write_text('[[peer]]\nae_title = "CT1"\nsop_classes = ["MRImageStorage"]\n')
    receiver = start_receiver(PACS_PEERS_FILE=str(path))
    assert status_of(receiver) == 0x0124
    path.write_text('[[peer]]\nae_title = "CT1"\nsop_classes = ["CTImageStorage"]\n')
    assert status_of(receiver) == 0


def test_sighup_reads_the_file_again(start_receiver: StartReceiver, tmp_path: Path) -> None:
    path = tmp_path / "peers.toml"
    path.write_text('[[peer]]\nae_title = "CT1"\n')
    receiver = start_receiver(PACS_PEERS_FILE=str(path))
    assert receiver.process is not None
    path.write_text("[[peer]]\nae_title = 1\n")
    os.kill(receiver.process.pid, signal.SIGHUP)
    wait_until(lambda: "line 2: ae_title is not of the right type" in receiver.log.read_text())
    assert status_of(receiver) == 0


def test_a_wrong_file_at_start_is_a_bad_setting(tmp_path: Path) -> None:
    path = tmp_path / "peers.toml"
    path.write_text("[[peer]]\nae_title = 1\n")
    finished = ReceiverProcess(tmp_path, {"PACS_PEERS_FILE": str(path)}).run("serve")
    assert finished.returncode == 2
    assert finished.stderr.startswith("PACS_PEERS_FILE: line 2: ")
