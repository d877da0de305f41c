"""What is sent is what is stored: all instances that pydicom ships, bit for bit, and the index agrees with them."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pydicom
import pytest
from pydicom.uid import UID
from sqlalchemy import Row, create_engine, text

from pacs_receiver.config import database_url
from tests.clients import dcmtk, exact
from tests.components import requires
from tests.processes import Processes

SHIPPED = Path(pydicom.__file__).parent / "data"
INSTANCES = [made for path in sorted(SHIPPED.rglob("*")) if path.is_file() and (made := exact.read_instance(path))]
MOST_CONTEXTS = 128  # presentation contexts of one association (PS3.8 §9.3.2.2)

PALETTES = ["fall", "hotiron", "hotmetalblue", "pet", "pet20step", "spring", "summer", "winter"]
NOT_STORABLE = {
    **{f"{name}.dcm": "no SOP class of the Storage Service Class, and no study" for name in PALETTES},
    "JPEGLSNearLossless_08.dcm": "no Study Instance UID",
    "JPEGLSNearLossless_16.dcm": "no Study Instance UID",
    "SC_rgb_jls_lossy_line.dcm": "no Study Instance UID",
    "SC_rgb_jls_lossy_sample.dcm": "no Study Instance UID",
    "MR_truncated.dcm": "ends inside its pixel data",
    "rtplan_truncated.dcm": "ends inside a sequence",
    "SC_rgb_jpeg.dcm": "implicit VR, where its transfer syntax is explicit",
}
"""What of them must not be acknowledged, and why."""


@pytest.fixture(scope="module")
def statuses(processes: Processes) -> dict[Path, int]:
    """The status that each of pydicom's instances got when it was sent, bytes unchanged."""
    got: dict[Path, int] = {}
    pending = list(INSTANCES)
    while pending:
        contexts: dict[tuple[str, str], None] = {}
        batch = []
        for instance in pending:
            context = (instance.sop_class_uid, instance.transfer_syntax_uid)
            if context in contexts or len(contexts) < MOST_CONTEXTS:
                contexts[context] = None
                batch.append(instance)
        with exact.association(processes.pacs_port, contexts) as association:
            for instance in batch:
                got[instance.path] = exact.store(association, instance)
        pending = [instance for instance in pending if instance.path not in got]
    return got


def stored_files(processes: Processes) -> list[Path]:
    return sorted((processes.data_dir / "pacs" / "storage").glob("??/*/*/*.dcm"))


def test_the_shipped_instances_are_as_varied_as_a_department() -> None:
    assert len(INSTANCES) > 150
    syntaxes = {UID(instance.transfer_syntax_uid) for instance in INSTANCES}
    assert any(not syntax.is_little_endian for syntax in syntaxes)
    assert any(syntax.is_deflated for syntax in syntaxes)
    assert len([syntax for syntax in syntaxes if syntax.is_compressed]) >= 8
    names = {instance.path.name for instance in INSTANCES}
    assert {"chrX1.dcm", "chrH31.dcm", "chrKoreanMulti.dcm", "chrX2.dcm"} <= names  # Unicode, Japanese, Korean, GB18030


def test_every_storable_instance_is_acknowledged_and_no_other(statuses: dict[Path, int]) -> None:
    refused = {path.name: f"{status:04X}" for path, status in statuses.items() if status != 0}
    assert refused.keys() == NOT_STORABLE.keys(), refused
    assert all(status == "0122" or "A000" <= status <= "CFFF" for status in refused.values()), refused


def test_every_acknowledged_instance_is_read_back_bit_identical(
    processes: Processes, statuses: dict[Path, int]
) -> None:
    storage = processes.data_dir / "pacs" / "storage"
    # several of the files share a SOP Instance UID: the first keeps it, the others are kept aside
    kept = {exact.data_set_bytes(path): path for path in [*stored_files(processes), *storage.glob("conflicts/*")]}
    for instance in INSTANCES:
        if statuses[instance.path] == 0:
            assert instance.data_set in kept, instance.path.name
    for path in kept.values():
        assert exact.read_instance(path) is not None, path


def test_the_header_before_the_data_set_is_right(processes: Processes, statuses: dict[Path, int]) -> None:
    sent = {instance.data_set: instance for instance in INSTANCES if statuses[instance.path] == 0}
    for path in stored_files(processes):
        instance = sent[exact.data_set_bytes(path)]
        meta = exact.read_tolerantly(path).file_meta
        assert meta.MediaStorageSOPClassUID == instance.sop_class_uid
        assert meta.MediaStorageSOPInstanceUID == instance.sop_instance_uid
        assert meta.TransferSyntaxUID == instance.transfer_syntax_uid
        assert meta.SourceApplicationEntityTitle == "EXACT"


def test_the_index_agrees_with_the_files(processes: Processes, statuses: dict[Path, int]) -> None:
    rows = {
        row.sop_instance_uid: row
        for row in query(
            processes,
            "SELECT i.sop_instance_uid, i.sop_class_uid, i.transfer_syntax_uid, i.data_bytes, i.file_bytes, i.sha256, "
            "i.calling_ae, i.address, s.series_uid, t.study_uid, t.accession_number, p.patient_id, p.name "
            "FROM instance i JOIN series s ON s.id = i.series JOIN study t ON t.id = s.study "
            "JOIN patient p ON p.id = t.patient",
        )
    }
    files = stored_files(processes)
    assert len(rows) == len(files)
    for path in files:
        row = rows[path.stem]
        assert (path.parent.parent.name, path.parent.name) == (row.study_uid, row.series_uid)
        assert row.file_bytes == path.stat().st_size
        data_set = exact.data_set_bytes(path)
        assert row.data_bytes == len(data_set)
        assert bytes(row.sha256) == hashlib.sha256(data_set).digest()
        assert (row.calling_ae, row.address) == ("EXACT", "127.0.0.1")
        parsed = exact.read_tolerantly(path)
        assert row.sop_class_uid == parsed.SOPClassUID
        assert row.patient_id == (parsed.get("PatientID") or "")
        assert row.accession_number == (parsed.get("AccessionNumber") or "")


def test_the_index_counts_series_and_instances_right(processes: Processes, statuses: dict[Path, int]) -> None:
    wrong = query(
        processes,
        "SELECT t.study_uid FROM study t JOIN series s ON s.study = t.id JOIN instance i ON i.series = s.id "
        "GROUP BY t.id, t.study_uid, t.series_count, t.instance_count, t.file_bytes HAVING "
        "t.series_count <> COUNT(DISTINCT s.id) OR t.instance_count <> COUNT(*) OR t.file_bytes <> SUM(i.file_bytes)",
    )
    assert wrong == []


@requires("dcmtk")
def test_the_list_command_shows_a_study_that_storescu_sent(processes: Processes) -> None:
    image = SHIPPED / "test_files" / "CT_small.dcm"
    outcome = dcmtk.store(processes.pacs_port, image)
    assert outcome.succeeded, outcome.output
    study = pydicom.dcmread(image).StudyInstanceUID
    listed = [json.loads(line) for line in processes.pacs("list", "--json").splitlines()]
    assert [entry["instance_count"] for entry in listed if entry["study_uid"] == study] == [1]
    assert study in processes.pacs("list")


@requires("dcmtk")
@pytest.mark.parametrize("name", ["MR_small_bigendian.dcm", "JPEG2000.dcm", "SC_rgb_rle.dcm", "JPEG-lossy.dcm"])
def test_dcmsend_stores_each_kind_of_transfer_syntax(processes: Processes, name: str) -> None:
    outcome = dcmtk.send(processes.pacs_port, SHIPPED / "test_files" / name)
    assert outcome.succeeded, outcome.output
    assert "Success" in outcome.output


def query(processes: Processes, statement: str) -> list[Row[Any]]:
    default = f"sqlite:///{processes.data_dir}/pacs/index.sqlite3"
    engine = create_engine(database_url(processes.settings.get("PACS_DATABASE_URL", default)))
    with engine.connect() as connection:
        rows = list(connection.execute(text(statement)))
    engine.dispose()
    return rows
