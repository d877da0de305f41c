"""What real devices send is kept as it came, and is found, marked, checked, copied and indexed again like all else."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from environs import FileAwareEnv
from pydicom import Dataset, dcmread

from dicom_listener.service import Refused
from pacs_receiver.config import database_url, load
from pacs_receiver.database import connect as connect_index
from pacs_receiver.header import Scan
from pacs_receiver.oddities import Malformed
from tests.clients import dcmtk, raw
from tests.components import requires
from tests.pacs_receiver.conftest import OpenHouse
from tests.pacs_receiver.images import CT, EXPLICIT, encode, image, uid
from tests.pacs_receiver.images import store as hand_over
from tests.pacs_receiver.odd_data_sets import BIG, CONTRADICTIONS, DEFLATED, IMPLICIT, KINDS, Kind, element
from tests.pacs_receiver.process import ReceiverProcess
from tests.pacs_receiver.test_commitment import Reports, ask, references, wish
from tests.pacs_receiver.testdata import data_set_of
from tests.waiting import wait_until

OK, BROKEN = 0x0000, 0xC000
CONTEXTS = {EXPLICIT: 1, IMPLICIT: 3, BIG: 5, DEFLATED: 7}
STUDY = uid()


def scanned(data: bytes, transfer_syntax: str, piece: int, *, refuse_odd: bool = False) -> Scan:
    scan = Scan(transfer_syntax, refuse_odd=refuse_odd)
    for start in range(0, len(data), piece):
        scan.feed(memoryview(bytearray(data))[start : start + piece])  # writable, as what comes from a socket
    scan.finish()
    return scan


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS.keys())
@pytest.mark.parametrize("piece", [1, 7, 1 << 16])
def test_it_names_the_element_and_where_it_is(kind: Kind, piece: int) -> None:
    ds = image()
    data = kind.make(ds)
    scan = scanned(data, kind.transfer_syntax, piece)
    assert scan.values[0x0020000D].rstrip(b"\0").decode() == ds.StudyInstanceUID
    assert scan.values[0x00100010].rstrip(b" ").decode() == "Prüfer^Anna"
    if kind.tag is None:
        assert scan.odd == ""
        return
    group, number = kind.tag >> 16, kind.tag & 0xFFFF
    assert f"({group:04X},{number:04X}) at byte " in scan.odd
    offset = int(scan.odd.partition("at byte ")[2].partition(",")[0])
    if kind.transfer_syntax == EXPLICIT and kind.tag:
        assert data[offset : offset + 4] == group.to_bytes(2, "little") + number.to_bytes(2, "little")


@pytest.mark.parametrize("kind", [kind for kind in KINDS.values() if kind.tag is not None])
def test_the_strict_way_refuses_them(kind: Kind) -> None:
    with pytest.raises(Malformed):
        scanned(kind.make(image()), kind.transfer_syntax, 1 << 16, refuse_odd=True)


@pytest.mark.parametrize("kind", [kind for kind in KINDS.values() if kind.transfer_syntax == EXPLICIT])
def test_what_ends_early_is_refused_wherever_it_is_cut(kind: Kind) -> None:
    """Cut anywhere before the head is whole: nothing of it is taken for an image."""
    data = kind.make(image())
    whole = len(data) - 512 - 12
    for cut in range(1, min(whole, data.index(b"\x20\x00\x0e\x00UI") + 8), 7):
        scan = Scan(EXPLICIT)
        try:
            scan.feed(memoryview(data)[:cut])
            scan.finish()
        except Malformed:
            continue
        assert not {0x0020000D, 0x0020000E} <= scan.values.keys()


class Sent:
    """What one receiver was sent, by kind."""

    def __init__(self, receiver: ReceiverProcess) -> None:
        self.receiver = receiver
        self.data: dict[str, bytes] = {}
        self.instances: dict[str, str] = {}
        with connect(receiver) as peer:
            for name, kind in KINDS.items():
                ds = image(study=STUDY)
                self.data[name] = kind.make(ds)
                self.instances[name] = str(ds.SOPInstanceUID)
                assert store(peer, ds, self.data[name], kind.transfer_syntax) == OK, name
            peer.release()

    def paths(self) -> dict[str, Path]:
        by_uid = {path.stem: path for path in self.receiver.storage.glob("??/*/*/*.dcm")}
        return {name: by_uid[instance] for name, instance in self.instances.items()}

    def shown(self) -> dict[str, str]:
        """What `show` says of each kind."""
        (line,) = self.receiver.run("show", STUDY, "--json").stdout.splitlines()
        rows = [row for series in json.loads(line)["series"] for row in series["instances"]]
        by_uid = {row["sop_instance_uid"]: row["odd"] for row in rows}
        return {name: by_uid[instance] for name, instance in self.instances.items()}


def connect(receiver: ReceiverProcess) -> raw.RawPeer:
    peer = raw.RawPeer.connect(receiver.port)
    contexts = [raw.context_item(number, CT, (syntax,)) for syntax, number in CONTEXTS.items()]
    peer.associate(raw.association_request(called=b"PACS", contexts=contexts))
    return peer


def store(peer: raw.RawPeer, ds: Dataset, data: bytes, transfer_syntax: str = EXPLICIT) -> int:
    peer.send_message(CONTEXTS[transfer_syntax], raw.store(7, str(ds.SOPInstanceUID), CT), data)
    return peer.read_message().status


@pytest.fixture(scope="module")
def sent(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sent]:
    process = ReceiverProcess(tmp_path_factory.mktemp("odd") / "var", {"PACS_COMMIT_WAIT_SECONDS": "0.2"})
    process.start()
    try:
        yield Sent(process)
    finally:
        process.kill()


def test_each_byte_is_kept(sent: Sent) -> None:
    for name, path in sent.paths().items():
        assert data_set_of(path) == sent.data[name], name


def test_the_log_names_instance_tag_and_offset_and_no_patient(sent: Sent) -> None:
    odd = sum(kind.tag is not None for kind in KINDS.values())
    wait_until(lambda: sent.receiver.log.read_text().count("kept an odd") >= odd, what="all of them are logged")
    log = sent.receiver.log.read_text()
    for name, kind in KINDS.items():
        if kind.tag is not None:
            (line,) = [line for line in log.splitlines() if "kept an odd" in line and sent.instances[name] in line]
            assert f"({kind.tag >> 16:04X},{kind.tag & 0xFFFF:04X}) at byte " in line, name
    assert "Prüfer" not in log
    assert "Probe" not in log
    assert "Traceback" not in log


def test_list_show_status_and_metrics_mark_them(sent: Sent) -> None:
    odd = sum(kind.tag is not None for kind in KINDS.values())
    shown = sent.shown()
    assert {name for name, text in shown.items() if text} == {
        name for name, kind in KINDS.items() if kind.tag is not None
    }
    (row,) = sent.receiver.listed()
    assert (row["odd_count"], row["instance_count"]) == (odd, len(KINDS))
    assert f" {odd} " in sent.receiver.run("list", "--odd").stdout
    assert f"{odd} instances" in sent.receiver.run("status").stdout
    assert sent.receiver.metrics()["pacs_odd_total"] == odd


def test_they_are_committed_to(sent: Sent) -> None:
    reports = Reports()
    wanted = list(sent.instances.values())
    assert ask(sent.receiver, wish(*((CT, one) for one in wanted)), reports, until=lambda: reports.received) == 0
    event_type, information = reports.wait()
    assert event_type == 1
    assert references(information, "ReferencedSOPSequence") == wanted


def test_they_are_verified_and_exported(sent: Sent, tmp_path: Path) -> None:
    assert sent.receiver.run("verify").returncode == 0
    done = sent.receiver.run("export", STUDY, str(tmp_path / "copy"))
    assert (done.returncode, done.stderr) == (0, "")
    directory = dcmread(tmp_path / "copy" / "DICOMDIR").DirectoryRecordSequence
    listed = [tmp_path.joinpath("copy", *one.ReferencedFileID) for one in directory if "ReferencedFileID" in one]
    assert {data_set_of(path) for path in listed} == set(sent.data.values())
    assert [one.PatientID for one in directory if one.DirectoryRecordType == "PATIENT"] == ["P-1"]


def test_the_index_can_be_rebuilt_from_them(sent: Sent) -> None:
    engine = connect_index(database_url(f"sqlite:///{sent.receiver.data_dir}/pacs/index.sqlite3"))
    with closing(engine.raw_connection()) as connection:
        for table in ("instance", "series", "study", "patient"):
            connection.cursor().execute(f"DELETE FROM {table}")
    engine.dispose()
    report = json.loads(sent.receiver.run("reindex", "--json").stdout)
    assert (report["indexed"], report["set_aside"], report["wrong"]) == (len(KINDS), 0, [])
    assert all(bool(text) == (KINDS[name].tag is not None) for name, text in sent.shown().items())


@pytest.mark.parametrize("edit", CONTRADICTIONS.values(), ids=CONTRADICTIONS.keys())
def test_what_names_two_or_is_not_whole_stays_refused(sent: Sent, edit: Any) -> None:
    ds = image()
    with connect(sent.receiver) as peer:
        assert store(peer, ds, edit(encode(ds))) == BROKEN
        peer.release()
    assert list(sent.receiver.storage.glob(f"??/*/*/{ds.SOPInstanceUID}.dcm")) == []
    wait_until(lambda: str(ds.SOPInstanceUID) in sent.receiver.log.read_text(), what="the log names the instance")


def test_an_empty_name_before_the_name_hides_nobody(sent: Sent) -> None:
    ds = image()
    data = encode(ds)
    where = data.index(b"\x10\x00\x10\x00PN")
    with connect(sent.receiver) as peer:
        assert store(peer, ds, data[:where] + element(0x00100010, "PN", b"") + data[where:]) == OK
        peer.release()
    names = {row["study_uid"]: row["patient_name"] for row in sent.receiver.listed()}
    assert names[str(ds.StudyInstanceUID)] == "Prüfer^Anna"


def test_a_receiver_can_be_strict(open_house: OpenHouse) -> None:
    house = open_house()
    strict = replace(house.receiver, refuse_odd=True)
    for kind in KINDS.values():
        ds = image()
        send = partial(
            hand_over, strict, kind.make(ds), instance=ds.SOPInstanceUID, transfer_syntax=kind.transfer_syntax
        )
        if kind.tag is None:
            assert send().status == OK
        else:
            with pytest.raises(Refused):
                send()
    assert len(house.files) == sum(kind.tag is None for kind in KINDS.values())


@pytest.mark.parametrize(("word", "is_strict"), [("keep", False), ("refuse", True)])
def test_a_setting_says_so(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, word: str, is_strict: bool) -> None:
    monkeypatch.setenv("DATA_DIR", str(tmp_path))
    monkeypatch.setenv("PACS_ODD_DATA_SETS", word)
    assert load(FileAwareEnv()).refuse_odd is is_strict


@requires("dcmtk")
def test_dcmtk_sends_what_it_can_read_itself(sent: Sent, tmp_path: Path) -> None:
    """`dcmsend` repairs a part of it on the way, and keeps the rest: whatever comes is taken."""
    kinds = [kind for kind in KINDS.values() if kind.dcmtk]
    study = uid()
    for number, kind in enumerate(kinds):
        ds = image(study=study)
        stored = image(study=study, instance=str(ds.SOPInstanceUID))
        (tmp_path / f"{number}.dcm").write_bytes(_part10(stored, kind))
    done = dcmtk.send(sent.receiver.port, *sorted(tmp_path.glob("*.dcm")))
    assert done.succeeded, done.output
    (row,) = [row for row in sent.receiver.listed() if row["study_uid"] == study]
    assert row["instance_count"] == len(kinds)


def _part10(ds: Dataset, kind: Kind) -> bytes:
    from dicom_encoding.part10 import header

    return header(
        sop_class=CT,
        sop_instance=str(ds.SOPInstanceUID),
        transfer_syntax=kind.transfer_syntax,
        source_ae="CT1",
        implementation_uid="2.25.4711",
        implementation_version="TEST_1",
    ) + kind.make(ds)
