"""The receiver as a real process, with clients that others wrote."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from pydicom import Dataset, dcmread
from pydicom.dataset import FileMetaDataset
from pydicom.encaps import generate_frames
from pydicom.uid import UID
from pynetdicom import AE, _config, sop_class

from simulator.answers import keep_answers
from tests.components import requires
from tests.pacs_receiver.conftest import StartReceiver
from tests.pacs_receiver.images import CT, EXPLICIT, image
from tests.pacs_receiver.process import ReceiverProcess
from tests.pacs_receiver.testdata import FOLDER, REGULAR, data_set_of

VERIFICATION = str(sop_class.Verification)  # type: ignore[attr-defined]
WORKLIST = str(sop_class.ModalityWorklistInformationFind)  # type: ignore[attr-defined]
UNSTORABLE = {
    "rtplan_truncated.dcm": 0xC000,
    "MR_truncated.dcm": 0xC000,
}


@pytest.fixture
def receiver(start_receiver: StartReceiver, database_url: str) -> ReceiverProcess:
    return start_receiver(PACS_DATABASE_URL=database_url)


def stored_bytes(receiver: ReceiverProcess) -> dict[str, bytes]:
    return {path.stem: data_set_of(path) for path in receiver.storage.glob("??/*/*/*.dcm")}


@requires("dcmtk")
def test_echoscu_is_answered(start_receiver: StartReceiver) -> None:
    receiver = start_receiver()
    subprocess.run(["echoscu", "127.0.0.1", str(receiver.port)], check=True, timeout=30)


@requires("dcmtk")
def test_what_storescu_sends_is_stored_listed_and_read_by_dcmtk(receiver: ReceiverProcess) -> None:
    files = [FOLDER / "CT_small.dcm", FOLDER / "MR_small.dcm", FOLDER / "MR_small_bigendian.dcm"]
    for path in files:
        subprocess.run(["storescu", "-R", "127.0.0.1", str(receiver.port), str(path)], check=True, timeout=30)
    listed = receiver.listed()
    assert {study["patient_id"] for study in listed} == {"1CT1", "4MR1"}
    assert all(study["instance_count"] == 1 for study in listed)
    for path in receiver.storage.glob("??/*/*/*.dcm"):
        subprocess.run(["dcmftest", str(path)], check=True, timeout=30, stdout=subprocess.DEVNULL)


@requires("dcmtk")
def test_dcmsend_stores_a_folder_of_compressed_images(receiver: ReceiverProcess) -> None:
    names = ["JPEG2000.dcm", "JPEG-lossy.dcm", "MR_small_RLE.dcm"]
    command = ["dcmsend", "--decompress-never", "127.0.0.1", str(receiver.port)]
    subprocess.run([*command, *(str(FOLDER / name) for name in names)], check=True, timeout=30)
    stored = {path.stem: dcmread(path) for path in receiver.storage.glob("??/*/*/*.dcm")}
    for name in names:
        # dcmsend encodes sequences in its own way; the compressed frames are the scanner's
        sent = dcmread(FOLDER / name)
        assert frames(stored[sent.SOPInstanceUID]) == frames(sent), name
        assert stored[sent.SOPInstanceUID].file_meta.TransferSyntaxUID == sent.file_meta.TransferSyntaxUID


def frames(ds: Dataset) -> list[bytes]:
    return list(generate_frames(ds.PixelData, number_of_frames=int(ds.get("NumberOfFrames", 1))))


def test_pydicoms_test_files_are_read_back_bit_identical(
    receiver: ReceiverProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Several modalities, compressed, deflated and big endian ones, Japanese and Korean names."""
    # without this pynetdicom decodes what it sends, and encodes it in its own way
    monkeypatch.setattr(_config, "STORE_SEND_CHUNKED_DATASET", True)
    sent: dict[str, bytes] = {}
    for path in REGULAR:
        ds = dcmread(path, stop_before_pixels=True)
        uids = [ds.get(name, "") for name in ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID")]
        if not all(uids) or ds.file_meta.MediaStorageSOPInstanceUID != ds.SOPInstanceUID or ds.SOPInstanceUID in sent:
            continue
        status = send_raw(receiver, path)
        assert status == UNSTORABLE.get(path.name, 0), path.name
        if status == 0:
            sent[ds.SOPInstanceUID] = data_set_of(path)
    assert len(sent) > 30
    assert stored_bytes(receiver) == sent
    listed = receiver.listed()
    assert sum(study["instance_count"] for study in listed) == len(sent)
    assert sum(study["file_bytes"] for study in listed) == sum(
        path.stat().st_size for path in receiver.storage.glob("??/*/*/*.dcm")
    )


def send_raw(receiver: ReceiverProcess, path: Path) -> int:
    ds = dcmread(path, stop_before_pixels=True)
    ae = AE("RAW")
    ae.add_requested_context(ds.SOPClassUID, ds.file_meta.TransferSyntaxUID)
    assoc = ae.associate("127.0.0.1", receiver.port)
    assert assoc.is_established, path.name
    keep_answers(assoc)
    status: int = assoc.send_c_store(path).Status
    assoc.release()
    return status


def test_a_name_in_several_scripts_is_listed(receiver: ReceiverProcess) -> None:
    ds = image()
    ds.PatientName = "Yamada^Tarou=山田^太郎=やまだ^たろう"
    send(receiver, ds)
    assert receiver.listed()[0]["patient_name"] == "Yamada^Tarou=山田^太郎=やまだ^たろう"
    assert "山田^太郎" in receiver.run("list").stdout


def send(receiver: ReceiverProcess, *images: Dataset) -> list[int]:
    ae = AE("CT1")
    ae.add_requested_context(CT, EXPLICIT)
    assoc = ae.associate("127.0.0.1", receiver.port)
    assert assoc.is_established
    keep_answers(assoc)
    statuses = []
    for ds in images:
        ds.file_meta = FileMetaDataset()
        ds.file_meta.TransferSyntaxUID = UID(EXPLICIT)
        statuses.append(assoc.send_c_store(ds).Status)
    assoc.release()
    return statuses


def test_other_services_are_not_offered(start_receiver: StartReceiver) -> None:
    receiver = start_receiver()
    ae = AE("CT1")
    ae.add_requested_context(VERIFICATION)
    ae.add_requested_context(WORKLIST)
    assoc = ae.associate("127.0.0.1", receiver.port)
    assert [cx.abstract_syntax for cx in assoc.accepted_contexts] == [VERIFICATION]
    assert assoc.send_c_echo().Status == 0
    assoc.release()


def test_what_was_received_is_there_after_a_restart(receiver: ReceiverProcess) -> None:
    assert send(receiver, image(), image()) == [0, 0]
    before = receiver.listed()
    assert receiver.stop() == 0
    receiver.start()
    assert receiver.listed() == before
    assert send(receiver, image()) == [0]


def test_its_metrics_count_what_it_received_and_refused(start_receiver: StartReceiver) -> None:
    receiver = start_receiver()
    good, bad = image(), image()
    bad.StudyInstanceUID = ""
    assert send(receiver, good, good, bad) == [0, 0, 0xC001]
    metrics = receiver.metrics()
    assert metrics["pacs_instances_total"] == 1
    assert metrics["pacs_duplicates_total"] == 1
    assert metrics['pacs_refused_total{status="C001"}'] == 1


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("PACS_DATABASE_URL", "mysql://x"),
        ("PACS_DUPLICATE_POLICY", "maybe"),
        ("PACS_MIN_FREE_BYTES", "-1"),
        ("PACS_SOP_CLASSES", "CTImageStorag"),
        ("PACS_UNKNOWN_SOP_CLASSES", "no"),
        ("PACS_FSYNC", "often"),
    ],
)
def test_a_bad_setting_is_one_line_that_names_it(tmp_path: Path, name: str, value: str) -> None:
    receiver = ReceiverProcess(tmp_path, {name: value})
    finished = receiver.run("serve")
    assert finished.returncode == 2
    [line] = finished.stderr.splitlines()
    assert line.startswith(f"{name}: ")
