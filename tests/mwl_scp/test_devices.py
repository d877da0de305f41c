"""Queries that devices send, written after public conformance statements, asked by DCMTK's findscu."""

from __future__ import annotations

import datetime
import subprocess
from pathlib import Path

import pytest

from tests.components import requires
from tests.factory import make_station, make_step
from tests.mwl_scp.conftest import Provider

QUERIES = Path(__file__).parent / "queries"

pytestmark = requires("dcmtk")

# file: the patient IDs that it finds, whether keys are not supported
EXPECTED = {
    "ct_date_and_ae": (["P-1"], False),
    "ct_date_only": (["P-1", "P-2"], False),
    "mr_modality_and_week": (["P-1", "P-3"], False),
    "mg_date_range_open": (["P-1", "P-3"], False),
    "us_all_keys_empty": (["P-1", "P-2", "P-3"], False),
    "us_empty_sequence": (["P-1", "P-2", "P-3"], False),
    "dx_empty_item": (["P-1", "P-2", "P-3"], False),
    "dx_without_sequence": (["P-1", "P-2", "P-3"], False),
    "dx_name_with_star": (["P-3"], False),
    "dx_barcode_accession_number": (["P-1"], False),
    "xa_patient_id": (["P-1"], False),
    "es_private_keys": (["P-1", "P-3"], True),
    "ot_lower_case_modality": (["P-1", "P-3"], False),
    "nm_time_range": (["P-1"], False),
    "rf_star_in_date": (["P-1", "P-2", "P-3"], False),
    "io_two_modalities": (["P-1", "P-3"], False),
    "pt_code_sequences": (["P-1", "P-3"], False),
    "op_group_lengths": (["P-1", "P-3"], False),
    "jp_kanji_name": (["P-2"], False),
}


def make_entries() -> None:
    make_step(
        patient={"patient_id": "P-1", "family_name": "Müller", "given_name": "Änne"},
        requested={"accession_number": "A-1"},
        stations=[make_station("CT1", station_name="Room 1")],
    )
    make_step(
        patient={"patient_id": "P-2", "family_name": "Yamada", "ideographic_name": "山田^太郎"},
        modality="MR",
        scheduled_time=datetime.time(14),
    )
    make_step(
        patient={"patient_id": "P-3", "family_name": "Mueller"},
        scheduled_date=datetime.date(2026, 5, 6),
        stations=[make_station("CT2")],
    )


def findscu(provider: Provider, dump: Path, folder: Path) -> str:
    query = folder / "query.dcm"
    subprocess.run(["dump2dcm", "-q", str(dump), str(query)], timeout=30, check=True)
    command = ["findscu", "-v", "-W", "-aet", "DEVICE", "-aec", "MWL_SCP", "127.0.0.1", str(provider.port), str(query)]
    run = subprocess.run(command, capture_output=True, timeout=30, check=True)
    return (run.stdout + run.stderr).decode("utf-8", "replace")


@pytest.mark.parametrize("name", EXPECTED)
def test_a_devices_query_finds_what_it_means(provider: Provider, tmp_path: Path, name: str) -> None:
    make_entries()
    output = findscu(provider, QUERIES / f"{name}.dump", tmp_path)
    _, *responses = output.split("Find Response:")
    patients, warns = EXPECTED[name]
    found = [part.split("(0010,0020) LO [")[1].split("]")[0].strip() for part in responses if "(0010,0020)" in part]
    assert found == patients
    assert all(("Warning" in part.splitlines()[0]) is warns for part in responses if "(0010,0020)" in part)
    assert "Received Final Find Response (Success)" in output


def test_every_query_in_the_folder_is_asked() -> None:
    assert {path.stem for path in QUERIES.glob("*.dump")} == set(EXPECTED)
