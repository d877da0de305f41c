"""The subcommands, on what a receiver stored."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pydicom import dcmread

from pacs_receiver.cli import parser
from tests.components import requires
from tests.pacs_receiver import load
from tests.pacs_receiver.images import encode, image, uid
from tests.pacs_receiver.process import ReceiverProcess
from tests.pacs_receiver.testdata import data_set_of


@pytest.fixture
def receiver(tmp_path: Path, database_url: str) -> Iterator[ReceiverProcess]:
    process = ReceiverProcess(tmp_path / "var", {"PACS_DATABASE_URL": database_url})
    process.start()
    yield process
    process.kill()


@pytest.fixture
def study(receiver: ReceiverProcess) -> str:
    """A study of two series and three images."""
    study_uid, first = uid(), uid()
    with load.connect(receiver.port, "CT1") as peer:
        for series, number in ((first, 1), (first, 2), (uid(), 1)):
            ds = image(study=study_uid, series=series, number=number)
            assert load.store(peer, str(ds.SOPInstanceUID), encode(ds)) == 0
        peer.release()
    return study_uid


def paths(receiver: ReceiverProcess) -> list[Path]:
    return sorted(receiver.storage.glob("??/*/*/*.dcm"))


def as_json(receiver: ReceiverProcess, *arguments: str) -> dict[str, Any]:
    finished = receiver.run(*arguments, "--json")
    assert finished.returncode == 0, finished.stderr
    parsed: dict[str, Any] = json.loads(finished.stdout)
    return parsed


def test_list_filters(receiver: ReceiverProcess, study: str) -> None:
    assert study in receiver.run("list", "--patient-id", "P-1").stdout
    assert study in receiver.run("list", "--accession-number", "A4711", "--date", "20261124").stdout
    assert study not in receiver.run("list", "--patient-id", "P-2").stdout
    assert receiver.run("list", "--limit", "0", "--json").stdout == ""


def test_show_prints_series_and_instances(receiver: ReceiverProcess, study: str) -> None:
    shown = as_json(receiver, "show", study)
    assert (shown["series_count"], shown["instance_count"]) == (2, 3)
    assert sorted(len(series["instances"]) for series in shown["series"]) == [1, 2]
    assert shown["series"][0]["instances"][0]["calling_ae"] == "CT1"
    text = receiver.run("show", study).stdout
    assert "Prüfer^Anna" in text
    assert all(path.stem in text for path in paths(receiver))


@pytest.mark.parametrize("command", ["show", "verify", "delete", "export"])
def test_an_unknown_study_has_an_exit_status_of_its_own(
    receiver: ReceiverProcess, command: str, tmp_path: Path
) -> None:
    more = [str(tmp_path / "out")] if command == "export" else []
    finished = receiver.run(command, "1.2.3", *more)
    assert finished.returncode == 3
    assert finished.stderr == "no such study: 1.2.3\n"


def test_verify_finds_what_changed_and_what_is_missing(receiver: ReceiverProcess, study: str) -> None:
    assert receiver.run("verify").returncode == 0
    changed, missing, _ = paths(receiver)
    content = bytearray(changed.read_bytes())
    content[-1] ^= 1
    changed.write_bytes(content)
    missing.unlink()
    finished = receiver.run("verify", study)
    assert finished.returncode == 1
    assert f"changed: {changed.stem}" in finished.stdout
    assert f"missing: {missing.stem}" in finished.stdout
    found = [json.loads(line) for line in receiver.run("verify", "--json").stdout.splitlines()]
    assert {entry["problem"] for entry in found} == {"changed", "missing"}


def test_reindex_rebuilds_the_index_from_the_files_alone(receiver: ReceiverProcess, study: str, tmp_path: Path) -> None:
    before = receiver.listed()
    receiver.stop()
    receiver.settings = {"PACS_DATABASE_URL": f"sqlite:///{tmp_path / 'new.sqlite3'}"}
    finished = receiver.run("reindex")
    assert finished.returncode == 0, finished.stderr
    assert "3 files in 1 studies: 3 indexed" in finished.stdout
    after = receiver.listed()
    times = {"first_arrival", "last_arrival", "completed_at"}
    assert [{k: v for k, v in row.items() if k not in times} for row in after] == [
        {k: v for k, v in row.items() if k not in times} for row in before
    ]
    assert receiver.run("verify").returncode == 0


def test_reindex_forgets_rows_without_a_file_and_keeps_evidence_of_decay(receiver: ReceiverProcess, study: str) -> None:
    changed, missing, _ = paths(receiver)
    content = bytearray(changed.read_bytes())
    content[-1] ^= 1
    changed.write_bytes(content)
    missing.unlink()
    finished = receiver.run("reindex")
    assert finished.returncode == 1
    assert "1 rows without a file removed" in finished.stdout
    assert f"changed: {changed.stem}" in finished.stdout
    assert receiver.run("verify").returncode == 1
    assert receiver.run("reindex", "--trust-files").returncode == 0
    assert receiver.run("verify").returncode == 0
    assert receiver.listed()[0]["instance_count"] == 2


@requires("dcmtk")
def test_export_copies_with_a_dicomdir_that_dcmtk_reads(receiver: ReceiverProcess, study: str, tmp_path: Path) -> None:
    folder = tmp_path / "copy"
    finished = receiver.run("export", study, str(folder))
    assert finished.returncode == 0, finished.stderr
    copies = [path for path in folder.rglob("*") if path.is_file() and path.name != "DICOMDIR"]
    assert sorted(data_set_of(path) for path in copies) == sorted(data_set_of(path) for path in paths(receiver))
    for path in [*copies, folder / "DICOMDIR"]:
        subprocess.run(["dcmftest", str(path)], check=True, timeout=30, stdout=subprocess.DEVNULL)
    dump = subprocess.run(["dcmdump", str(folder / "DICOMDIR")], check=True, capture_output=True, timeout=30)
    assert dump.stdout.count(b"DirectoryRecordType") == 1 + 1 + 2 + 3
    records = dcmread(folder / "DICOMDIR").DirectoryRecordSequence
    for record in records:
        if record.DirectoryRecordType == "IMAGE":
            assert folder.joinpath(*record.ReferencedFileID).is_file()
    assert receiver.run("export", study, str(folder)).returncode == 2


def test_delete_asks_moves_to_the_trash_and_is_audited(receiver: ReceiverProcess, study: str) -> None:
    sent = {path.name: path.read_bytes() for path in paths(receiver)}
    finished = receiver.run("delete", study, stdin="n\n")
    assert finished.returncode == 1
    assert len(paths(receiver)) == 3
    finished = receiver.run("delete", study, stdin="yes\n")
    assert finished.returncode == 0, finished.stderr
    assert paths(receiver) == []
    assert receiver.listed() == []
    trashed = {path.name: path.read_bytes() for path in (receiver.storage / "trash").rglob("*.dcm")}
    assert trashed == sent
    from sqlalchemy import select

    from pacs_receiver.config import database_url
    from pacs_receiver.database import connect
    from pacs_receiver.index_tables import audit

    engine = connect(database_url(receiver.settings["PACS_DATABASE_URL"]))
    with engine.connect() as connection:
        row = connection.execute(select(audit)).one()
    engine.dispose()
    assert (row.action, row.study_uid, row.instance_count) == ("delete", study, 3)


def test_a_deleted_study_can_be_received_again(receiver: ReceiverProcess) -> None:
    ds = image()
    for _ in range(2):
        with load.connect(receiver.port) as peer:
            assert load.store(peer, str(ds.SOPInstanceUID), encode(ds)) == 0
            peer.release()
        assert receiver.listed()[0]["instance_count"] == 1
        assert receiver.run("delete", str(ds.StudyInstanceUID), "--yes").returncode == 0
        assert receiver.listed() == []


def test_status_tells_the_runway(receiver: ReceiverProcess, study: str) -> None:
    found = as_json(receiver, "status")
    assert (found["patients"], found["studies"], found["series"], found["instances"]) == (1, 1, 2, 3)
    assert found["days_left"] == pytest.approx(found["free_bytes"] / found["bytes_a_day"])
    assert "days left at this week's rate" in receiver.run("status").stdout


def test_every_command_explains_itself(capsys: pytest.CaptureFixture[str]) -> None:
    commands = ("serve", "list", "show", "status", "verify", "reindex", "export", "delete", "retention")
    with pytest.raises(SystemExit, match=r"^0$"):
        parser().parse_args(["--help"])
    overview = capsys.readouterr().out
    for command in commands:
        assert f"  {command}" in overview
        with pytest.raises(SystemExit, match=r"^0$"):
            parser().parse_args([command, "--help"])
    with pytest.raises(SystemExit, match=r"^2$"):
        parser().parse_args(["nonsense"])
