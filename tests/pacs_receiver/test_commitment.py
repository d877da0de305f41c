"""Storage Commitment (PS3.4 Annex J), with requestors that others wrote, reported both ways."""

from __future__ import annotations

import json
import re
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import requests
from hypothesis import given
from hypothesis import strategies as st
from pydicom import Dataset
from pydicom.uid import UID
from pynetdicom import AE, evt
from pynetdicom.dsutils import encode as encode_ds
from pynetdicom.events import Event

from dicom_encoding.part10 import header
from dicom_listener.service import Refused
from pacs_receiver.commitment import WELL_KNOWN_INSTANCE
from pacs_receiver.commitment_data import parse_request
from pacs_receiver.sop_classes import STORAGE_COMMITMENT
from tests.components import orthanc, requires
from tests.pacs_receiver import load
from tests.pacs_receiver.conftest import StartReceiver
from tests.pacs_receiver.images import CT, EXPLICIT, encode, image, uid
from tests.pacs_receiver.process import ReceiverProcess
from tests.ports import free_port
from tests.waiting import wait_until

IMPLICIT = "1.2.840.10008.1.2"


class Reports:
    """Collects N-EVENT-REPORTs."""

    def __init__(self, status: int = 0x0000) -> None:
        self.received: list[tuple[int, Dataset]] = []
        self.status = status

    def __call__(self, event: Event) -> tuple[int, None]:
        self.received.append((event.event_type, event.event_information))  # type: ignore[arg-type]
        return self.status, None

    def wait(self) -> tuple[int, Dataset]:
        wait_until(lambda: self.received, what="a report comes")
        return self.received[-1]


def wish(*references: tuple[str, str], transaction: str = "") -> Dataset:
    ds = Dataset()
    ds.TransactionUID = UID(transaction or uid())
    ds.ReferencedSOPSequence = []
    for sop_class, instance in references:
        item = Dataset()
        item.ReferencedSOPClassUID = UID(sop_class)
        item.ReferencedSOPInstanceUID = UID(instance)
        ds.ReferencedSOPSequence.append(item)
    return ds


def ask(
    receiver: ReceiverProcess,
    ds: Dataset,
    reports: Reports | None = None,
    *,
    until: Callable[[], object] | None = None,
) -> int:
    """Send the N-ACTION; keep the association until ``until`` is true, release at once without it."""
    ae = AE("CT1")
    ae.add_requested_context(STORAGE_COMMITMENT)
    handlers: list[Any] = [(evt.EVT_N_EVENT_REPORT, reports)] if reports else []
    assoc = ae.associate("127.0.0.1", receiver.port, evt_handlers=handlers)
    assert assoc.is_established
    try:
        status, _ = assoc.send_n_action(ds, 1, STORAGE_COMMITMENT, WELL_KNOWN_INSTANCE)
        if until is not None:
            wait_until(until, what="the report comes on the same association")
    finally:
        assoc.release()
    return int(status.Status)


def store(receiver: ReceiverProcess, count: int = 1) -> list[str]:
    stored = []
    with load.connect(receiver.port) as peer:
        for _ in range(count):
            ds = image()
            assert load.store(peer, ds.SOPInstanceUID, encode(ds)) == 0
            stored.append(str(ds.SOPInstanceUID))
        peer.release()
    return stored


@contextmanager
def listening(reports: Reports, port: int) -> Iterator[None]:
    """A requestor that waits for reports on a port of its own."""
    ae = AE("CT1")
    ae.add_supported_context(STORAGE_COMMITMENT, scu_role=False, scp_role=True)
    handlers: list[Any] = [(evt.EVT_N_EVENT_REPORT, reports)]
    server = ae.start_server(("127.0.0.1", port), block=False, evt_handlers=handlers)
    try:
        yield
    finally:
        server.shutdown()  # type: ignore[union-attr]


def peers_file(folder: Path, port: int, title: str = "CT1") -> str:
    path = folder / "peers.toml"
    path.write_text(f'[[peer]]\nae_title = "{title}"\nhost = "127.0.0.1"\nport = {port}\n')
    return str(path)


def references(ds: Dataset, keyword: str) -> list[str]:
    return [str(item.ReferencedSOPInstanceUID) for item in ds.get(keyword) or []]


def test_what_is_safe_is_reported_on_the_association_that_stays_open(
    start_receiver: StartReceiver, database_url: str
) -> None:
    receiver = start_receiver(PACS_DATABASE_URL=database_url, PACS_COMMIT_WAIT_SECONDS="0.2")
    stored = store(receiver, 3)
    ds = wish(*((CT, instance) for instance in stored))
    reports = Reports()
    assert ask(receiver, ds, reports, until=lambda: reports.received) == 0
    event_type, information = reports.wait()
    assert event_type == 1
    assert information.TransactionUID == ds.TransactionUID
    assert references(information, "ReferencedSOPSequence") == stored
    assert "FailedSOPSequence" not in information
    wait_until(lambda: json.loads(receiver.run("status", "--json").stdout)["commitments_waiting"] == 0)


def test_each_instance_that_is_not_safe_has_its_reason(start_receiver: StartReceiver) -> None:
    receiver = start_receiver(PACS_COMMIT_WAIT_SECONDS="0.2", PACS_COMMIT_VERIFY="hash")
    good, lost, decayed, cut = store(receiver, 4)
    by_uid = {path.stem: path for path in receiver.storage.glob("??/*/*/*.dcm")}
    by_uid[lost].unlink()
    content = bytearray(by_uid[decayed].read_bytes())
    content[-1] ^= 1
    by_uid[decayed].write_bytes(content)
    by_uid[cut].write_bytes(by_uid[cut].read_bytes()[:-2])
    unknown = uid()
    ds = wish((CT, good), (CT, lost), (CT, decayed), (CT, cut), (CT, unknown), ("1.2.840.10008.5.1.4.1.1.4", good))
    reports = Reports()
    ask(receiver, ds, reports, until=lambda: reports.received)
    event_type, information = reports.wait()
    assert event_type == 2
    assert references(information, "ReferencedSOPSequence") == [good]
    reasons = [(str(item.ReferencedSOPInstanceUID), item.FailureReason) for item in information.FailedSOPSequence]
    assert reasons == [(lost, 0x0112), (decayed, 0x0110), (cut, 0x0110), (unknown, 0x0112), (good, 0x0119)]


def test_a_requestor_that_released_is_called_back_where_the_peers_file_says(
    start_receiver: StartReceiver, tmp_path: Path, database_url: str
) -> None:
    port = free_port()
    receiver = start_receiver(PACS_PEERS_FILE=peers_file(tmp_path, port), PACS_DATABASE_URL=database_url)
    [stored] = store(receiver)
    reports = Reports()
    with listening(reports, port):
        assert ask(receiver, wish((CT, stored))) == 0
        event_type, information = reports.wait()
    assert event_type == 1
    assert references(information, "ReferencedSOPSequence") == [stored]


def test_a_pending_request_survives_a_restart_and_is_tried_again(start_receiver: StartReceiver, tmp_path: Path) -> None:
    port = free_port()
    receiver = start_receiver(PACS_PEERS_FILE=peers_file(tmp_path, port))
    [stored] = store(receiver)
    assert ask(receiver, wish((CT, stored))) == 0
    wait_until(lambda: re.search("result waits .*because='it could not be reached", receiver.log.read_text()))
    receiver.kill()
    reports = Reports()
    with listening(reports, port):
        receiver.start()
        assert reports.wait()[0] == 1
    assert len(reports.received) == 1


def test_a_report_that_was_not_taken_is_sent_again(start_receiver: StartReceiver, tmp_path: Path) -> None:
    port = free_port()
    receiver = start_receiver(PACS_PEERS_FILE=peers_file(tmp_path, port))
    [stored] = store(receiver)
    reports = Reports(status=0x0110)
    with listening(reports, port):
        ask(receiver, wish((CT, stored)))
        reports.wait()
        reports.status = 0
        wait_until(lambda: len(reports.received) == 2, what="the report comes again")
    wait_until(lambda: json.loads(receiver.run("status", "--json").stdout)["commitments_waiting"] == 0)


def test_the_same_transaction_again_is_answered_again(start_receiver: StartReceiver) -> None:
    receiver = start_receiver(PACS_COMMIT_WAIT_SECONDS="0.2")
    [stored] = store(receiver)
    ds = wish((CT, stored))
    for _ in range(2):
        reports = Reports()
        assert ask(receiver, ds, reports, until=partial(getattr, reports, "received")) == 0
        assert reports.received[0][0] == 1


def test_an_instance_that_was_committed_is_marked(start_receiver: StartReceiver) -> None:
    receiver = start_receiver(PACS_COMMIT_WAIT_SECONDS="0.2")
    [stored] = store(receiver)
    reports = Reports()
    ask(receiver, wish((CT, stored)), reports, until=lambda: reports.received)
    [study] = receiver.listed()

    def committed_at() -> float | None:
        shown = json.loads(receiver.run("show", study["study_uid"], "--json").stdout)
        found: float | None = shown["series"][0]["instances"][0]["committed_at"]
        return found

    assert abs((wait_until(committed_at) or 0) - time.time()) < 60


BAD_REQUESTS = {
    "no transaction UID": (wish((CT, "1.2.3")), "TransactionUID", 0x0115),
    "no references": (wish((CT, "1.2.3")), "ReferencedSOPSequence", 0x0115),
}


@pytest.mark.parametrize(("ds", "without", "status"), BAD_REQUESTS.values(), ids=BAD_REQUESTS.keys())
def test_an_incomplete_request_is_refused(
    start_receiver: StartReceiver, ds: Dataset, without: str, status: int
) -> None:
    incomplete = Dataset(ds)
    del incomplete[without]
    data = encode_ds(incomplete, True, True)
    assert data is not None
    with pytest.raises(Refused) as refused:
        parse_request(data, IMPLICIT)
    assert refused.value.response.status == status


@given(st.binary(max_size=200), st.sampled_from([IMPLICIT, EXPLICIT]))
def test_rubbish_is_refused_and_nothing_else_is_raised(data: bytes, syntax: str) -> None:
    with pytest.raises(Refused):
        parse_request(data, syntax)


@pytest.fixture(scope="module")
def dcmtk_requestor(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A requestor made with DCMTK's library, which can wait for the report on its own association."""
    program = tmp_path_factory.mktemp("dcmtk") / "commitment_scu"
    source = Path(__file__).with_name("commitment_scu.cc")
    libraries = ("-ldcmnet", "-ldcmdata", "-loflog", "-lofstd")
    subprocess.run(["g++", "-O0", "-o", str(program), str(source), *libraries], check=True, timeout=100)
    return program


@requires("dcmtk-library")
def test_dcmtk_is_told_on_its_own_association(start_receiver: StartReceiver, dcmtk_requestor: Path) -> None:
    receiver = start_receiver(PACS_COMMIT_WAIT_SECONDS="0.2")
    stored = store(receiver, 2)
    unknown = uid()
    for instances, event, lines in (
        (stored, 1, [f"safe {instance}" for instance in stored]),
        ([stored[0], unknown], 2, [f"safe {stored[0]}", f"failed {unknown} 112"]),
    ):
        transaction = uid()
        command = [str(dcmtk_requestor), str(receiver.port), transaction, CT, *instances]
        asked = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
        assert asked.returncode == 0, asked.stderr
        assert asked.stdout.splitlines() == [f"transaction {transaction}", f"event {event}", *lines]
    # the requestor's answers were understood: nothing is left to be told
    wait_until(lambda: json.loads(receiver.run("status", "--json").stdout)["commitments_waiting"] == 0)


@contextmanager
def running_orthanc(folder: Path, receiver_port: int, dicom_port: int) -> Iterator[str]:
    """Orthanc as a modality that stores and wants commitment; gives the URL of its REST interface."""
    http_port = free_port()
    program = orthanc()
    assert program is not None
    folder.mkdir()
    configuration = folder / "orthanc.json"
    configuration.write_text(
        json.dumps(
            {
                "Name": "modality",
                "StorageDirectory": str(folder / "storage"),
                "IndexDirectory": str(folder / "index"),
                "HttpPort": http_port,
                "DicomPort": dicom_port,
                "DicomAet": "ORTHANC",
                "RemoteAccessAllowed": False,
                "AuthenticationEnabled": False,
                "DicomModalities": {"pacs": {"AET": "PACS", "Host": "127.0.0.1", "Port": receiver_port}},
            }
        )
    )
    url = f"http://127.0.0.1:{http_port}"
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen([program, str(configuration)], stdout=log, stderr=log)
    try:

        def answers() -> bool:
            try:
                return requests.get(f"{url}/system", timeout=5).ok
            except requests.ConnectionError:
                return False

        wait_until(answers, timeout=60, what="Orthanc answers")
        yield url
    finally:
        process.terminate()
        process.wait(30)


@requires("orthanc")
def test_orthanc_stores_and_is_told_that_its_images_are_safe(start_receiver: StartReceiver, tmp_path: Path) -> None:
    dicom_port = free_port()
    receiver = start_receiver(PACS_PEERS_FILE=peers_file(tmp_path, dicom_port, "ORTHANC"))
    with running_orthanc(tmp_path / "orthanc", receiver.port, dicom_port) as url:
        identifiers = []
        for _ in range(3):
            ds = image()
            answer = requests.post(f"{url}/instances", data=part10_of(ds), timeout=30)
            identifiers.append(answer.json()["ID"])
        stored = requests.post(
            f"{url}/modalities/pacs/store",
            json={"Resources": identifiers, "StorageCommitment": True, "Synchronous": True},
            timeout=60,
        ).json()
        transaction = stored["StorageCommitmentTransactionUID"]

        def report() -> dict[str, Any] | None:
            found: dict[str, Any] = requests.get(f"{url}/storage-commitment/{transaction}", timeout=10).json()
            return found if found["Status"] != "Pending" else None

        found = wait_until(report, timeout=60, what="Orthanc has the report")
        assert found
        assert found["Status"] == "Success", found
        assert len(found["Success"]) == 3
        failing = requests.post(
            f"{url}/modalities/pacs/storage-commitment", json={"DicomInstances": [[CT, uid()]]}, timeout=30
        ).json()
        transaction = failing["ID"]
        found = wait_until(report, timeout=60, what="Orthanc has the report of a failure")
        assert found
        assert found["Status"] == "Failure", found
        assert (len(found["Success"]), len(found["Failures"])) == (0, 1), found
        assert found["Failures"][0]["FailureReason"] == 0x0112


@requires("orthanc")
def test_orthanc_releases_as_soon_as_its_request_is_accepted_and_waits_for_no_report(tmp_path: Path) -> None:
    """Which is why there is no trial of it with a report on the same association: nothing was said, and it leaves."""
    seen: list[str] = []

    def accept(_event: Event) -> tuple[int, None]:
        return 0x0000, None

    def note(event: Event) -> None:
        seen.append(type(event.pdu).__name__)

    ae = AE("PACS")
    ae.add_supported_context(STORAGE_COMMITMENT)
    handlers: list[Any] = [(evt.EVT_N_ACTION, accept), (evt.EVT_PDU_RECV, note)]
    port = free_port()
    server = ae.start_server(("127.0.0.1", port), block=False, evt_handlers=handlers)
    try:
        with running_orthanc(tmp_path / "orthanc", port, free_port()) as url:
            wanted = {"DicomInstances": [[CT, uid()]]}
            assert requests.post(f"{url}/modalities/pacs/storage-commitment", json=wanted, timeout=30).ok
            wait_until(lambda: "A_RELEASE_RQ" in seen, what="Orthanc releases its association")
    finally:
        server.shutdown()  # type: ignore[union-attr]
    assert seen[0] == "A_ASSOCIATE_RQ"
    assert set(seen[1:-1]) == {"P_DATA_TF"}


def part10_of(ds: Dataset) -> bytes:
    return header(
        sop_class=CT,
        sop_instance=str(ds.SOPInstanceUID),
        transfer_syntax=EXPLICIT,
        source_ae="CT1",
        implementation_uid="2.25.4711",
        implementation_version="TEST_1",
    ) + encode(ds)
