"""The real process, asked by pynetdicom and by DCMTK's findscu."""

from __future__ import annotations

import datetime
import json
import subprocess
import urllib.request

import pytest
from pynetdicom.dsutils import encode

from dicom_encoding.syntaxes import DEFLATED_LITTLE, EXPLICIT_BIG, EXPLICIT_LITTLE, IMPLICIT_LITTLE
from tests.clients.raw import COMMAND, LAST, RawPeer, cancel, p_data, pdv
from tests.clients.raw import find as raw_find
from tests.components import requires
from tests.factory import make_station, make_step
from tests.mwl_scp.conftest import Provider
from tests.mwl_scp.scu import association, find
from tests.worklist.queries import identifier

KEYS = [
    ({}, {"ScheduledStationAETitle": "CT1"}, {"ScheduledStationAETitle": "CT2"}),
    ({}, {"ScheduledProcedureStepStartDate": "20260504"}, {"ScheduledProcedureStepStartDate": "20260505"}),
    ({}, {"ScheduledProcedureStepStartDate": "20260501-20260504"}, {"ScheduledProcedureStepStartDate": "20260505-"}),
    ({}, {"ScheduledProcedureStepStartTime": "1000-1100"}, {"ScheduledProcedureStepStartTime": "-1000"}),
    ({}, {"Modality": "CT"}, {"Modality": "MR"}),
    ({}, {"ScheduledPerformingPhysicianName": "adams*"}, {"ScheduledPerformingPhysicianName": "Baker"}),
    ({"PatientName": "MÜLLER^*"}, {}, {"PatientName": "Mueller*"}),
    ({"PatientID": "P-0?"}, {}, {"PatientID": "p-07"}),
    ({"AccessionNumber": "A1"}, {}, {"AccessionNumber": "A2"}),
    ({"RequestedProcedureID": "R1"}, {}, {"RequestedProcedureID": "R*2"}),
    ({"StudyInstanceUID": r"1.2.3\1.2.4"}, {}, {"StudyInstanceUID": "1.2.3"}),
]


def make_entry() -> None:
    make_step(
        patient={"patient_id": "P-07", "family_name": "Müller", "given_name": "Änne"},
        requested={"accession_number": "A1", "requested_procedure_id": "R1", "study_instance_uid": "1.2.4"},
        stations=[make_station("CT1"), make_station("CT3")],
        scheduled_performing_physician_name="Adams^Jo",
    )


@pytest.mark.parametrize(("keys", "step", "other"), KEYS)
def test_each_required_key_finds_the_entry_and_a_different_value_does_not(
    provider: Provider, keys: dict[str, str], step: dict[str, str], other: dict[str, str]
) -> None:
    make_entry()
    asked = identifier(step=step, SpecificCharacterSet="ISO_IR 192", **keys)
    missed = identifier(
        step=other if step else {}, SpecificCharacterSet="ISO_IR 192", **({} if step else {**keys, **other})
    )
    found = find(provider.port, asked)
    assert found.statuses == [0xFF00, 0x0000]
    assert found.identifiers[0].StudyInstanceUID == "1.2.4"
    assert find(provider.port, missed).statuses == [0x0000]


@pytest.mark.parametrize("syntax", [IMPLICIT_LITTLE, EXPLICIT_LITTLE, EXPLICIT_BIG, DEFLATED_LITTLE])
def test_every_transfer_syntax_carries_the_same_answer(provider: Provider, syntax: str) -> None:
    make_entry()
    asked = identifier(step={"ScheduledStationAETitle": "", "Modality": ""}, PatientName="", PatientID="P-07")
    (answer,) = find(provider.port, asked, transfer_syntax=syntax).identifiers
    assert answer.PatientName == "Müller^Änne"
    assert answer.SpecificCharacterSet == "ISO_IR 192"
    assert list(answer.ScheduledProcedureStepSequence[0].ScheduledStationAETitle) == ["CT1", "CT3"]


def test_an_edit_is_seen_by_the_next_query_of_the_same_association(provider: Provider) -> None:
    make_entry()
    asked = identifier(step={"Modality": "CT"}, PatientID="")
    with association(provider.port) as opened:
        before = [ds for _, ds in opened.send_c_find(asked, "1.2.840.10008.5.1.4.31") if ds]
        make_step(patient={"patient_id": "P-08"})
        after = [ds for _, ds in opened.send_c_find(asked, "1.2.840.10008.5.1.4.31") if ds]
    assert [ds.PatientID for ds in before] == ["P-07"]
    assert [ds.PatientID for ds in after] == ["P-07", "P-08"]


def test_an_unsupported_key_comes_back_empty_with_the_warning_status(provider: Provider) -> None:
    make_entry()
    asked = identifier(step={"Modality": ""}, PatientMotherBirthName="", PatientID="")
    asked.private_block(0x0009, "SYNTHETIC", create=True).add_new(0x01, "LO", "anything")
    answer = find(provider.port, asked)
    assert answer.statuses == [0xFF01, 0x0000]
    assert answer.identifiers[0].PatientMotherBirthName == ""
    assert answer.identifiers[0][0x00091001].value in (None, "", b"")


def test_a_malformed_value_gets_a_status_and_a_comment_that_names_the_key(provider: Provider) -> None:
    asked = identifier(step={"ScheduledProcedureStepStartTime": "25"})
    answer = find(provider.port, asked)
    assert answer.statuses == [0xA900]
    assert answer.last.ErrorComment == "(0040,0003) is not a time or a range of times"


def test_a_cancel_ends_the_list_with_fe00(provider: Provider) -> None:
    for _ in range(100):
        make_step(requested={"requested_procedure_description": "x" * 60})
    asked = identifier(step={}, PatientName="")
    with RawPeer.connect(provider.port) as peer:
        peer.associate()
        # in one segment with the query, so that it is there before the second response, however fast the provider is
        query = [pdv(5, COMMAND | LAST, raw_find(7)), pdv(5, LAST, encode(asked, True, True) or b"")]
        peer.send(p_data(*query, pdv(5, COMMAND | LAST, cancel(7))))
        statuses: list[int] = []
        while not statuses or statuses[-1] == 0xFF00:
            statuses.append(peer.read_message().status)
        peer.release()
    assert statuses[-1] == 0xFE00
    assert len(statuses) < 100
    with association(provider.port) as opened:
        later = [status.Status for status, _ in opened.send_c_find(asked, "1.2.840.10008.5.1.4.31", msg_id=9)]
    assert later == [0xFF00] * 100 + [0x0000]


@requires("dcmtk")
def test_findscu_finds_an_entry(provider: Provider) -> None:
    make_entry()
    command = ["findscu", "-W", "-k", "PatientName=M*", "-k", "(0040,0100)[0].Modality=CT", "127.0.0.1"]
    result = subprocess.run([*command, str(provider.port)], capture_output=True, text=True, timeout=30, check=True)
    assert "SH [R1]" in result.stdout + result.stderr


def test_the_health_page_tells_that_the_worklist_can_be_read(provider: Provider) -> None:
    with urllib.request.urlopen(f"http://127.0.0.1:{provider.health_port}/health", timeout=10) as answer:
        assert json.load(answer)["checks"]["database"]["ok"]


def test_entries_come_sorted_by_start(provider: Provider) -> None:
    for patient, day, hour in [("late", 5, 8), ("noon", 4, 12), ("early", 4, 7)]:
        make_step(
            patient={"patient_id": patient},
            scheduled_date=datetime.date(2026, 5, day),
            scheduled_time=datetime.time(hour),
        )
    answer = find(provider.port, identifier(step={"ScheduledProcedureStepStartDate": ""}, PatientID=""))
    assert [ds.PatientID for ds in answer.identifiers] == ["early", "noon", "late"]
