"""What the receiver's commands and log print of strangers' values: nothing that a terminal obeys or an eye misses."""

from __future__ import annotations

import json
import socket
import sys
import unicodedata
from pathlib import Path

import pytest

from gateway_settings.visible import visible, visible_json
from pacs_receiver.config import database_url as parse_database_url
from pacs_receiver.database import connect
from tests.clients import raw
from tests.pacs_receiver import load
from tests.pacs_receiver.conftest import StartReceiver
from tests.pacs_receiver.images import encode, image
from tests.pacs_receiver.process import ReceiverProcess
from tests.waiting import wait_until

ESCAPE, CSI, OVERRIDE, ISOLATE, ZERO_WIDTH, TAG = "\x1b[2J", "\x9b2J", "\u202e", "\u2066", "\u200b", "\U000e0041"
HOSTILE = f"A{ESCAPE}{CSI}{OVERRIDE}{ISOLATE}{ZERO_WIDTH}\ufeff\u061c\u2028{TAG}\x07\x85Z"
VISIBLE_FORMATS = {*range(0x600, 0x606), 0x6DD, 0x70F, 0x890, 0x891, 0x8E2, 0x110BD, 0x110CD, *range(0x13430, 0x13440),
                   *range(0x1BCA0, 0x1BCA4)}  # fmt: skip
"""Format characters of scripts, which show as signs or join signs."""


def is_hostile(character: str) -> bool:
    return (
        unicodedata.category(character) in ("Cc", "Cf", "Zl", "Zp", "Cs") and ord(character) not in VISIBLE_FORMATS
    ) or unicodedata.bidirectional(character) in ("LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI")


def assert_safe(output: str) -> None:
    found = {f"U+{ord(character):04X}" for character in output if is_hostile(character) and character != "\n"}
    assert not found


def test_each_character_that_a_terminal_obeys_or_nobody_sees_is_shown() -> None:
    for code in range(sys.maxunicode + 1):
        character = chr(code)
        if is_hostile(character):
            assert visible(character).startswith("\\"), f"U+{code:04X}"
            assert json.loads(visible_json(json.dumps(character, ensure_ascii=False))) == character
    assert visible("Prüfer^Anna=山田^太郎 (ق)") == "Prüfer^Anna=山田^太郎 (ق)"


@pytest.fixture
def receiver(start_receiver: StartReceiver) -> ReceiverProcess:
    """A receiver that holds a study whose every text is hostile, as an index of an older version may."""
    receiver = start_receiver(PACS_WORKERS="1", PACS_UNKNOWN_PEERS="accept")
    ds = image()
    ds.PatientName, ds.PatientID, ds.StudyDescription = "Hos\u202etile^\u200bName", "P\x9b1", "\x1b]0;owned\x07"
    with load.connect(receiver.port, "CT1") as peer:
        assert load.store(peer, str(ds.SOPInstanceUID), encode(ds)) == 0
        peer.release()
    engine = connect(parse_database_url(f"sqlite:///{receiver.data_dir / 'pacs' / 'index.sqlite3'}"))
    with engine.begin() as connection:
        for table, columns in {
            "patient": ("patient_id", "name", "birth_date", "sex"),
            "study": ("study_date", "study_time", "accession_number", "study_id", "description"),
            "series": ("modality", "series_number", "description", "body_part"),
            "instance": ("instance_number", "calling_ae", "address"),
        }.items():
            for column in columns:
                connection.exec_driver_sql(f"UPDATE {table} SET {column} = ?", (HOSTILE,))
        connection.exec_driver_sql(
            "INSERT INTO turned_away (ae_title, address, served, because, at, attempts) VALUES (?, ?, 0, ?, 1, 1)",
            (HOSTILE, HOSTILE, HOSTILE),
        )
        connection.exec_driver_sql("INSERT INTO served_before VALUES (?, 1)", (HOSTILE,))
    engine.dispose()
    receiver.settings = {**receiver.settings, "PACS_UNKNOWN_PEERS": "auto", "PACS_BIND": f"0.0.0.0:{receiver.port}"}
    return receiver


def test_no_command_prints_a_character_that_a_terminal_obeys(receiver: ReceiverProcess, tmp_path: Path) -> None:
    study = receiver.listed()[0]["study_uid"]
    [path] = receiver.storage.glob("??/*/*/*.dcm")
    commands = [
        ["list"],
        ["show", study],
        ["status"],
        ["show", HOSTILE.replace("\0", "")],
        ["verify", HOSTILE],
        ["export", study, str(tmp_path / f"out{OVERRIDE}{CSI}")],
        ["verify"],
        ["delete", study],
    ]
    for command in commands:
        finished = receiver.run(*command, stdin="n\n")
        assert_safe(finished.stdout)
        assert_safe(finished.stderr)
        assert "Traceback" not in finished.stderr
    for command in (["list", "--json"], ["show", study, "--json"], ["status", "--json"]):
        finished = receiver.run(*command)
        assert_safe(finished.stdout)
        assert finished.returncode == 0
    said = json.loads(receiver.run("list", "--json").stdout)
    assert said["patient_name"] == HOSTILE, "a script gets the value itself"
    assert r"A\x1b[2J\x9b2J\u202e\u2066" in receiver.run("list").stdout
    assert HOSTILE in json.loads(receiver.run("status", "--json").stdout)["served_as_before"]
    assert path.exists()


def test_what_arrives_hostile_leaves_neither_list_nor_log_hostile(start_receiver: StartReceiver) -> None:
    receiver = start_receiver(PACS_WORKERS="1")
    ds = image()
    ds.SpecificCharacterSet = "ISO_IR 192"
    ds.PatientName, ds.StudyDescription = f"Z{OVERRIDE}{ZERO_WIDTH}^A{ISOLATE}", f"D\x9b2J{OVERRIDE}"
    with load.connect(receiver.port, "CT1") as peer:
        assert load.store(peer, str(ds.SOPInstanceUID), encode(ds)) == 0
        peer.release()
    assert_safe(receiver.run("list").stdout)
    assert_safe(receiver.run("list", "--json").stdout)
    sock = socket.create_connection(("127.0.0.1", receiver.port), 30)
    with raw.RawPeer(sock, 30) as stranger:
        title = b"\x1b[2J\x9b\xe2\x80\xae"
        stranger.send(raw.association_request(called=b"PACS", calling=title))
        stranger.read_pdu()
    wait_until(lambda: "2J" in receiver.log.read_text())
    assert_safe(receiver.log.read_text())
