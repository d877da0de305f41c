"""Peers that others wrote, against the toy service: DCMTK, GDCM, Orthanc and pynetdicom."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Iterator
from io import BytesIO
from pathlib import Path

import pytest
import requests
from pydicom import Dataset, dcmread, dcmwrite
from pydicom.dataset import FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, generate_uid
from pynetdicom import AE
from pynetdicom.sop_class import ModalityWorklistInformationFind, Verification  # type: ignore[attr-defined]

from dicom_listener.credentials import PasscodeHash
from simulator.answers import keep_answers
from tests import components
from tests.clients import dcmtk
from tests.components import requires
from tests.dicom_listener.conftest import Listen
from tests.dicom_listener.listening import LIMITS, Listening
from tests.ports import free_port
from tests.waiting import wait_until


@pytest.fixture
def instances(tmp_path: Path) -> list[Path]:
    """Files of synthetic CT images of different sizes, one of an odd number of pixels."""
    files = []
    for number, side in enumerate((2, 101, 512)):
        ds = Dataset()
        ds.SOPClassUID = CTImageStorage
        ds.SOPInstanceUID = generate_uid(prefix="1.2.826.0.1.99.")
        ds.PatientID, ds.PatientName = "TOY", "Toy^Image"
        ds.StudyInstanceUID = ds.SeriesInstanceUID = "1.2.826.0.1.99.1"
        ds.Modality, ds.Rows, ds.Columns = "CT", side, side
        ds.BitsAllocated = ds.BitsStored = 16
        ds.HighBit, ds.PixelRepresentation, ds.SamplesPerPixel = 15, 0, 1
        ds.PhotometricInterpretation = "MONOCHROME2"
        ds.PixelData = bytes(index % 256 for index in range(2 * side * side))
        ds["PixelData"].VR = "OW"
        ds.file_meta = FileMetaDataset()
        ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        files.append(tmp_path / f"{number}.dcm")
        dcmwrite(files[-1], ds, enforce_file_format=True)
    return files


def assert_stored(listener: Listening, files: list[Path]) -> None:
    """Every instance arrived with each of its pixels, and nothing else did."""
    listener.wait_until_at_rest()
    stored = listener.toy.stored
    sent = {str(ds.SOPInstanceUID): ds for ds in map(dcmread, files)}
    assert stored.keys() == sent.keys()
    for uid, data in stored.items():
        received = dcmread(BytesIO(data), force=True)
        assert received.PixelData == sent[uid].PixelData


@requires("dcmtk")
def test_dcmtk_echoes(listener: Listening) -> None:
    for options in ((), ("-pdu", "4096"), ("-ppc", "128"), ("--repeat", "20"), ("--abort",)):
        outcome = dcmtk.run("echoscu", "-v", "-to", "10", *options, "127.0.0.1", str(listener.port))
        assert outcome.succeeded, outcome.output
    listener.wait_until_at_rest()


@requires("dcmtk")
@pytest.mark.parametrize(
    "options",
    [
        (),
        ("-pdu", "4096"),
        ("-pdu", "131072"),
        ("--max-send-pdu", "4096"),
        ("-xi",),
        ("+rq", "+II"),
        ("--abort",),
        ("--user", "someone", "--password", "secret"),
    ],
    ids=" ".join,
)
def test_dcmtk_stores(listener: Listening, instances: list[Path], options: tuple[str, ...]) -> None:
    if "+rq" in options:
        options = ("-R",)
    outcome = dcmtk.run("storescu", "-v", *options, "127.0.0.1", str(listener.port), *map(str, instances))
    assert outcome.succeeded, outcome.output
    listener.wait_until_at_rest()
    if "-xi" not in options:
        assert_stored(listener, instances)
    assert len(listener.toy.stored) == len(instances)


@requires("dcmtk")
def test_dcmtk_identifies_itself(listen: Listen, instances: list[Path], tmp_path: Path) -> None:
    file = tmp_path / "identities.toml"
    file.write_text(f'[[user]]\nname = "someone"\npasscode = "{PasscodeHash.of(b"secret")}"\n')
    listener = listen(user_identities_file=file, require_user_identity=True)

    def store(*options: str) -> dcmtk.Outcome:
        return dcmtk.run("storescu", "-v", *options, "127.0.0.1", str(listener.port), *map(str, instances))

    right = store("--user", "someone", "--password", "secret", "--pos-response")
    assert right.succeeded, right.output
    assert_stored(listener, instances)
    ticket = tmp_path / "ticket"
    ticket.write_bytes(b"junk")
    for wrong in (
        (),
        ("--user", "someone"),
        ("--user", "someone", "--password", "wrong"),
        ("--user", "someone", "--empty-password"),
        ("--kerberos", str(ticket), "--pos-response"),
        ("--saml", str(ticket)),
    ):
        assert "Reason: No Reason" in store(*wrong).output, wrong


@requires("dcmtk")
def test_dcmtk_sends_each_instance_in_an_association_of_its_own(listener: Listening, instances: list[Path]) -> None:
    outcome = dcmtk.run("dcmsend", "-v", "+ma", "127.0.0.1", str(listener.port), *map(str, instances))
    assert outcome.succeeded, outcome.output
    assert_stored(listener, instances)


@requires("dcmtk")
def test_dcmtk_finds_and_cancels(listener: Listening) -> None:
    query = ("-W", "-k", "PatientID=500")
    found = dcmtk.run("findscu", "-v", *query, "127.0.0.1", str(listener.port))
    assert found.succeeded, found.output
    assert found.output.count("Find Response: ") == 501 or "500" in found.output
    cancelled = dcmtk.run(
        "findscu", "-v", "-W", "-k", "PatientID=ENDLESS", "--cancel", "3", "127.0.0.1", str(listener.port)
    )
    assert "Cancel" in cancelled.output, cancelled.output
    listener.wait_until_at_rest()


@requires("dcmtk")
def test_dcmtk_is_told_why_it_is_rejected(listen: Listen) -> None:
    listener = listen(require_called_ae=True)
    outcome = dcmtk.run("echoscu", "-v", "-aec", "NOBODY", "127.0.0.1", str(listener.port))
    assert not outcome.succeeded
    assert "Called AE Title Not Recognized" in outcome.output


@requires("gdcm")
def test_gdcm_echoes_and_stores(listener: Listening, instances: list[Path], log_lines: Callable[[], list[str]]) -> None:
    target = ("127.0.0.1", str(listener.port))
    for arguments in (("--echo", *target), ("--store", *target, *map(str, instances))):
        # its exit status says nothing: version 3.0.21 crashes after the release, with DCMTK's storescp just as well
        subprocess.run(["gdcmscu", *arguments], capture_output=True, timeout=60, check=False)
    assert_stored(listener, instances)
    ends = [line for line in log_lines() if "association ended" in line]
    assert len(ends) == 2
    assert all("how=released" in line for line in ends)


@pytest.fixture
def orthanc(tmp_path: Path, listener: Listening) -> Iterator[str]:
    """The URL of an Orthanc that knows the toy service."""
    components.demand("orthanc")
    port = free_port()
    configuration = {
        "StorageDirectory": str(tmp_path / "orthanc"),
        "IndexDirectory": str(tmp_path / "orthanc"),
        "DicomServerEnabled": False,
        "HttpPort": port,
        "RemoteAccessAllowed": False,
        "AuthenticationEnabled": False,
        "Plugins": [],
        "DicomModalities": {"toy": ["TOY", "127.0.0.1", listener.port]},
    }
    path = tmp_path / "orthanc.json"
    path.write_text(json.dumps(configuration))
    url = f"http://127.0.0.1:{port}"
    with (tmp_path / "orthanc.log").open("wb") as log:
        process = subprocess.Popen([components.orthanc() or "Orthanc", str(path)], stdout=log, stderr=log)
    try:
        wait_until(lambda: answers(f"{url}/system"), timeout=30, what="Orthanc answers")
        yield url
    finally:
        process.kill()
        process.wait(30)


def answers(url: str) -> bool:
    try:
        return requests.get(url, timeout=5).ok
    except requests.RequestException:
        return False


def test_orthanc_echoes_and_stores(orthanc: str, listener: Listening, instances: list[Path]) -> None:
    assert requests.post(f"{orthanc}/modalities/toy/echo", json={}, timeout=30).ok
    for path in instances:
        identifier = requests.post(f"{orthanc}/instances", data=path.read_bytes(), timeout=30).json()["ID"]
        assert requests.post(f"{orthanc}/modalities/toy/store", data=identifier, timeout=30).ok
    for association in tuple(listener.server._associations):
        association.end_now()  # Orthanc keeps its association open for the next instance
    assert_stored(listener, instances)


def test_pynetdicom_echoes_stores_and_finds(listener: Listening, instances: list[Path]) -> None:
    ae = AE(ae_title="PYNETDICOM")
    ae.add_requested_context(Verification)
    ae.add_requested_context(CTImageStorage, ExplicitVRLittleEndian)
    ae.add_requested_context(ModalityWorklistInformationFind)
    association = ae.associate("127.0.0.1", listener.port, ae_title="TOY")
    assert association.is_established
    keep_answers(association)
    assert association.acceptor.maximum_length == LIMITS.max_pdu_length
    assert association.send_c_echo().Status == 0
    for path in instances:
        assert association.send_c_store(path).Status == 0
    query = Dataset()
    query.PatientID = "70"
    answers = list(association.send_c_find(query, ModalityWorklistInformationFind))
    assert [status.Status for status, _ in answers] == [0xFF00] * 70 + [0]
    association.release()
    assert association.is_released
    assert_stored(listener, instances)
