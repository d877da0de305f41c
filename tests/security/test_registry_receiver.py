"""One registry: the receiver knows the devices of the site, also while the site is away (docs/devices.md)."""

from __future__ import annotations

import json
import socket
import time
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from dicom_listener.access import Caller
from gateway_settings.environment import environment
from pacs_receiver import turned_away
from pacs_receiver.config import database_url as parse_database_url
from pacs_receiver.config import load as load_settings
from pacs_receiver.database import connect, migrate
from pacs_receiver.index_tables import turned_away as table
from pacs_receiver.peer_book import PeerBook
from pacs_receiver.registry import BadRegistry, KeptRegistry, parse
from tests.clients import raw
from tests.pacs_receiver import load
from tests.pacs_receiver.conftest import StartReceiver
from tests.pacs_receiver.images import CT, EXPLICIT, encode, image
from tests.pacs_receiver.process import ReceiverProcess
from tests.security.site import Site, device
from tests.waiting import wait_until


def is_served(receiver: ReceiverProcess, title: str, source: str = "127.0.0.1") -> bool:
    sock = socket.create_connection(("127.0.0.1", receiver.port), 30, source_address=(source, 0))
    with raw.RawPeer(sock, 30) as peer:
        contexts = (raw.context_item(1, raw.VERIFICATION),)
        peer.send(raw.association_request(called=b"PACS", calling=title.encode(), contexts=contexts))
        answer = peer.read_pdu()
        if answer.kind == 2:
            peer.release()
            return True
        assert answer.rejection == (1, 1, 3)
        return False


def status_of(receiver: ReceiverProcess) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(receiver.run("status", "--json").stdout)
    return found


def test_a_device_of_the_site_is_served_within_seconds_and_one_that_is_taken_away_no_longer(
    start_receiver: StartReceiver,
) -> None:
    with Site().open() as site:
        receiver = start_receiver(**site.settings)
        assert not is_served(receiver, "CT1")
        site.say(device("CT1"), device("CT2", addresses=["127.0.0.2/32"]), device("OFF", enabled=False))
        wait_until(lambda: is_served(receiver, "CT1"))
        assert is_served(receiver, "CT2", "127.0.0.2")
        assert not is_served(receiver, "CT2")
        assert not is_served(receiver, "OFF")
        site.say(device("OFF"), device("CT2", rights=["query"]))
        wait_until(lambda: is_served(receiver, "OFF"))
        assert not is_served(receiver, "CT1")
        ds = image()
        with load.connect(receiver.port, "CT2") as peer:
            assert load.store(peer, str(ds.SOPInstanceUID), encode(ds)) == 0x0124
        wait_until(lambda: 304 in site.statuses, what="an unchanged list isn't sent again")
        assert site.refused == []


def test_it_works_on_without_the_site_and_starts_without_it(start_receiver: StartReceiver) -> None:
    site = Site()
    site.say(device("CT1"))
    with site.open():
        receiver = start_receiver(**site.settings)
        wait_until(lambda: is_served(receiver, "CT1"))
    log = "the site's list of devices could not be had, what was in force stays"
    wait_until(lambda: log in receiver.log.read_text())
    assert is_served(receiver, "CT1")
    receiver.kill()
    receiver.start()
    assert is_served(receiver, "CT1")
    assert not is_served(receiver, "CT9")
    assert status_of(receiver)["devices_from_site"] == 1
    kept = receiver.data_dir / "pacs" / "devices.json"
    assert kept.stat().st_mode & 0o077 == 0
    site.say(device("CT9"))
    with site.open():
        wait_until(lambda: is_served(receiver, "CT9"), what="the site is back")


def test_a_list_that_cannot_be_understood_changes_nothing_and_is_told_once(start_receiver: StartReceiver) -> None:
    with Site().open() as site:
        site.say(device("CT1"))
        receiver = start_receiver(**site.settings)
        wait_until(lambda: is_served(receiver, "CT1"))
        site.say(device("CT2"), device("CT3", addresses=["here"]))
        wait_until(lambda: "device 2 has no usable addresses" in receiver.log.read_text())
        asked = len(site.statuses)
        wait_until(lambda: len(site.statuses) > asked + 3)
        assert receiver.log.read_text().count("device 2 has no usable addresses") == 1
        assert is_served(receiver, "CT1")
        assert not is_served(receiver, "CT2")


BAD_LISTS = {
    "no JSON": "<html>",
    "deep JSON": "[" * 100_000,
    "no object": "[]",
    "no devices": '{"refused": []}',
    "a device that is none": '{"devices": [1]}',
    "no AE title": json.dumps({"devices": [device("")]}),
    "an AE title that is none": json.dumps({"devices": [device("CT\\1")]}),
    "an AE title twice": json.dumps({"devices": [device("CT1"), device("CT1 ")]}),
    "an address that is none": json.dumps({"devices": [device("CT1", addresses=["ct.example"])]}),
    "a number for an address": json.dumps({"devices": [device("CT1", addresses=[1])]}),
    "addresses that are no list": json.dumps({"devices": [device("CT1", addresses=None)]}),
    "no word whether it is on": json.dumps({"devices": [device("CT1", enabled="no")]}),
    "no rights": json.dumps({"devices": [device("CT1", rights=None)]}),
    "a certificate that is none": json.dumps({"devices": [device("CT1", certificates=["ab"])]}),
    "a port that is none": json.dumps({"devices": [device("CT1", port=70_000)]}),
    "refused that is no list": '{"devices": [], "refused": "CT1"}',
}


@pytest.mark.parametrize("text", BAD_LISTS.values(), ids=BAD_LISTS.keys())
def test_no_part_of_a_bad_list_is_taken(text: str) -> None:
    with pytest.raises(BadRegistry):
        parse(text)


def test_a_list_of_a_newer_site_is_understood() -> None:
    registry = parse(json.dumps({"devices": [device("CT1", rights=["store", "delete"], color="red")], "more": 1}))
    assert registry.devices["CT1"].rights == {"store"}


def test_the_peers_file_wins_where_both_name_an_ae_title(tmp_path: Path) -> None:
    kept, path = KeptRegistry(tmp_path / "devices.json"), tmp_path / "peers.toml"
    kept.write("1", json.dumps({"devices": [device("CT1", host="192.0.2.1", port=1), device("CT2")]}))
    path.write_text('[[peer]]\nae_title = "CT1"\nhost = "192.0.2.2"\nport = 2\n')
    book = PeerBook(path, kept.path)
    first = book.get("CT1")
    assert first
    assert first.host == "192.0.2.2"
    assert book.get("CT2")
    assert book.get("CT3") is None
    kept.path.write_text("{")
    assert book.get("CT2"), "a damaged file changes nothing"


# -- who was turned away


def test_the_site_is_told_who_was_turned_away_also_when_it_was_away(start_receiver: StartReceiver) -> None:
    site = Site()
    receiver = start_receiver(**site.settings)
    for _ in range(3):
        assert not is_served(receiver, "CT9", "127.0.0.9")
    wait_until(lambda: [row["attempts"] for row in status_of(receiver)["turned_away"]] == [3])
    assert "CT9" in receiver.run("status").stdout
    with site.open():
        wait_until(lambda: site.callers, what="the site is told")
        [caller] = site.callers
        assert caller["at"].startswith("20")
        assert {key: value for key, value in caller.items() if key != "at"} == {
            "ae_title": "CT9",
            "address": "127.0.0.9",
            "because": "calling AE title belongs to no known device",
            "attempts": 3,
            "served": False,
        }
        assert not is_served(receiver, "CT9", "127.0.0.9")
        wait_until(lambda: len(site.callers) == 2)
        assert site.callers[1]["attempts"] == 1, "each attempt is told once"


def test_whoever_calls_under_ever_new_names_fills_neither_memory_nor_table(tmp_path: Path) -> None:
    url = parse_database_url(f"sqlite:///{tmp_path / 'index.sqlite3'}")
    migrate(url)
    engine = connect(url)
    noted = turned_away.TurnedAway(engine, waiting=20)
    for number in range(1000):
        noted.note(Caller(f"X{number}", "PACS", "192.0.2.9"))
    noted.note(Caller("A" * 17, "PACS", "192.0.2.9"))
    noted.note(Caller("X\\Y", "PACS", "192.0.2.9"))
    with noted.running():
        pass
    with engine.connect() as connection:
        assert len(connection.execute(select(table.c.id)).all()) == 20
    calls = [turned_away.RecentCall(f"Y{number}", "192.0.2.9", False, "stranger", time.time()) for number in range(700)]
    turned_away.write(engine, calls)
    assert len(turned_away.listed(engine)) == 500
    engine.dispose()


# -- updates


def index_of_before(receiver: ReceiverProcess, tmp_path: Path, arrivals: dict[str, float]) -> None:
    """An index as the version before left it: instances by calling AE and days since their arrival."""
    from alembic import command

    from pacs_receiver.database import alembic_config

    path = receiver.data_dir / "pacs" / "index.sqlite3"
    path.parent.mkdir(parents=True)
    engine = connect(parse_database_url(f"sqlite:///{path}"))
    with engine.connect() as connection:
        command.upgrade(alembic_config(connection), "0002")
        connection.commit()
        add = connection.exec_driver_sql
        add("INSERT INTO patient VALUES (1, 'P1', '', 'A', '', '', '')")
        add("INSERT INTO study (id, study_uid, patient, study_date, study_time, accession_number, study_id, "
            "description, first_arrival, last_arrival) VALUES (1, '1.2', 1, '', '', '', '', '', 0, 0)")  # fmt: skip
        add("INSERT INTO series (id, study, series_uid, modality, series_number, description, body_part) "
            "VALUES (1, 1, '1.2.3', '', '', '', '')")  # fmt: skip
        for number, (title, days) in enumerate(arrivals.items()):
            connection.exec_driver_sql(
                "INSERT INTO instance (sop_instance_uid, series, sop_class_uid, transfer_syntax_uid, instance_number, "
                "data_bytes, file_bytes, sha256, calling_ae, address, arrived_at) "
                "VALUES (?, 1, '1.2', '1.2', '', 1, 1, x'00', ?, '192.0.2.1', ?)",
                (f"1.2.3.{number}", title, time.time() - days * 86400),
            )
        connection.commit()
    engine.dispose()


def test_who_was_at_work_before_the_update_is_served_until_staff_have_answered(tmp_path: Path) -> None:
    with Site().open() as site:
        receiver = ReceiverProcess(tmp_path / "var", {**site.settings, "PACS_UNKNOWN_PEERS": "auto"})
        receiver.settings = {**receiver.settings, "PACS_BIND": f"0.0.0.0:{receiver.port}"}
        index_of_before(receiver, tmp_path, {"CT1": 3, "CT2": 60, "CT3": 80, "OLD": 100})
        receiver.start()
        try:
            assert "until staff have answered on Stations calling=CT1,CT2,CT3" in receiver.log.read_text()
            wait_until(lambda: len(site.callers) == 3, what="all are offered at once, before one calls")
            assert {(caller["ae_title"], caller["served"]) for caller in site.callers} == {
                (title, True) for title in ("CT1", "CT2", "CT3")
            }
            site.callers.clear()
            assert is_served(receiver, "CT1")
            assert is_served(receiver, "CT2")
            assert is_served(receiver, "CT3")
            assert not is_served(receiver, "OLD")
            assert not is_served(receiver, "NEW")
            wait_until(lambda: ("CT1", True) in {(c["ae_title"], c["served"]) for c in site.callers})
            assert status_of(receiver)["served_as_before"] == ["CT1", "CT2", "CT3"]
            assert "CT2" in receiver.run("status").stdout
            site.say(device("CT1"), device("CT3", addresses=["192.0.2.7"]), refused=("CT2",))
            wait_until(lambda: not is_served(receiver, "CT2"), what="staff refused it")
            assert is_served(receiver, "CT1")
            assert not is_served(receiver, "CT3"), "what staff entered holds, also where it is narrower"
            assert status_of(receiver)["served_as_before"] == []
            receiver.kill()
            receiver.log.write_text("")
            receiver.settings = {**receiver.settings, "PACS_UNKNOWN_PEERS": "reject"}
            site.say()
            receiver.start()
            assert "until staff have answered" not in receiver.log.read_text()
            wait_until(lambda: not is_served(receiver, "CT1"), what="whoever rejects strangers always did")
        finally:
            receiver.kill()


def test_a_fresh_installation_serves_nobody_as_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    receiver = ReceiverProcess(tmp_path / "var")
    receiver.settings = {"PACS_BIND": f"0.0.0.0:{receiver.port}"}
    receiver.start()
    try:
        assert status_of(receiver)["served_as_before"] == []
        assert not is_served(receiver, "CT1")
    finally:
        receiver.kill()
    monkeypatch.chdir(tmp_path)
    assert load_settings(environment()).serve_as_before


def test_storing_by_a_device_of_the_site_works(start_receiver: StartReceiver) -> None:
    with Site().open() as site:
        site.say(device("CT1"))
        receiver = start_receiver(**site.settings)
        wait_until(lambda: is_served(receiver, "CT1"))
        ds = image()
        contexts = [raw.context_item(1, CT, (EXPLICIT,))]
        with raw.RawPeer.connect(receiver.port, timeout=60) as peer:
            peer.associate(raw.association_request(called=b"PACS", calling=b"CT1", contexts=contexts))
            assert load.store(peer, str(ds.SOPInstanceUID), encode(ds)) == 0
