"""An entry made on the site is what a modality finds, by each key, and by no other value."""

from __future__ import annotations

import pytest

from tests.cast import BYRON_MR, DOE_MR, MUELLER_CT, YAMADA_CT
from tests.clients import dcmtk
from tests.clients.site import Site
from tests.components import requires
from tests.processes import PASSWORD, Processes

pytestmark = requires("dcmtk")

STEP = "ScheduledProcedureStepSequence[0]"
RETURN_KEYS = [
    "SpecificCharacterSet", "PatientName", "PatientID", "AccessionNumber", "RequestedProcedureID", "StudyInstanceUID",
    f"{STEP}.ScheduledStationAETitle", f"{STEP}.ScheduledProcedureStepStartDate",
    f"{STEP}.ScheduledProcedureStepStartTime", f"{STEP}.Modality", f"{STEP}.ScheduledPerformingPhysicianName",
    f"{STEP}.ScheduledProcedureStepDescription",
]  # fmt: skip

MATCHING = [
    (f"{STEP}.ScheduledStationAETitle", "CT1", "CT2"),
    (f"{STEP}.ScheduledProcedureStepStartDate", "20260504", "20260505"),
    (f"{STEP}.ScheduledProcedureStepStartDate", "20260501-20260507", "20260505-20260507"),
    (f"{STEP}.ScheduledProcedureStepStartDate", "20260504-", "20260505-"),
    (f"{STEP}.ScheduledProcedureStepStartDate", "-20260504", "-20260503"),
    (f"{STEP}.ScheduledProcedureStepStartTime", "103000", "103100"),
    (f"{STEP}.ScheduledProcedureStepStartTime", "1000-1100", "1031-1100"),
    (f"{STEP}.Modality", "CT", "MR"),
    (f"{STEP}.ScheduledPerformingPhysicianName", "House^Gregory", "House^Robert"),
    (f"{STEP}.ScheduledPerformingPhysicianName", "house*", "hause*"),
    ("PatientName", "Müller^Änne", "Müller^Anne"),
    ("PatientName", "M?ller*", "M?iller*"),
    ("PatientID", "P-1001", "P-100"),
    ("PatientID", "P-1*1", "P-2*"),
    ("AccessionNumber", "A-5001", "A-5003"),
    ("RequestedProcedureID", "RP-5001", "RP-5003"),
    ("StudyInstanceUID", "2.25.100001", "2.25.100003"),
]


@pytest.fixture(scope="module")
def entries(processes: Processes) -> Processes:
    """The processes, with two entries made through the site's form by a logged-in person."""
    site = Site(processes.web_url, PASSWORD)
    for order in (MUELLER_CT, DOE_MR):
        scanner = order.scanner
        station = site.add_station(
            ae_title=scanner.ae_title, station_name=scanner.station_name, modality=scanner.modality
        )
        site.add_entry(**order.form(), step_stations=[station])
    return processes


def query(processes: Processes, **keys: str) -> list[str]:
    """Return the accession numbers that findscu gets for these keys, beside all return keys."""
    asked = {**dict.fromkeys(RETURN_KEYS, ""), "SpecificCharacterSet": "ISO_IR 192", **keys}
    return [str(found.AccessionNumber) for found in dcmtk.find(processes.mwl_port, asked)]


def test_a_query_without_keys_finds_both_entries_by_start_time(entries: Processes) -> None:
    assert query(entries) == ["A-5001", "A-5002"]


@pytest.mark.parametrize(("key", "right", "wrong"), MATCHING, ids=[f"{key}={right}" for key, right, _ in MATCHING])
def test_an_entry_is_found_by_a_key_and_not_when_the_key_differs(
    entries: Processes, key: str, right: str, wrong: str
) -> None:
    assert "A-5001" in query(entries, **{key: right})
    assert "A-5001" not in query(entries, **{key: wrong})


def test_all_keys_together_find_one_entry_and_one_that_differs_hides_it(entries: Processes) -> None:
    # the first of each key: a range of dates beside a range of times would be one span (PS3.4 §K.6.1.2.2)
    every = {key: right for key, right, _ in reversed(MATCHING)}
    assert query(entries, **every) == ["A-5001"]
    for key, _, wrong in MATCHING:
        assert query(entries, **{**every, key: wrong}) == [], key


def test_the_response_carries_what_was_typed(entries: Processes) -> None:
    asked = {**dict.fromkeys(RETURN_KEYS, ""), "AccessionNumber": "A-5001"}
    (found,) = dcmtk.find(entries.mwl_port, asked)
    (step,) = found.ScheduledProcedureStepSequence
    assert found.SpecificCharacterSet == "ISO_IR 192"
    assert str(found.PatientName) == "Müller^Änne"
    assert found.PatientID == "P-1001"
    assert found.StudyInstanceUID == "2.25.100001"
    assert found.RequestedProcedureID == "RP-5001"
    assert step.ScheduledStationAETitle == "CT1"
    assert step.ScheduledProcedureStepStartDate == "20260504"
    assert step.ScheduledProcedureStepStartTime.startswith("1030")
    assert step.Modality == "CT"
    assert step.ScheduledPerformingPhysicianName == "House^Gregory"
    assert step.ScheduledProcedureStepDescription == "CT thorax with contrast"


def test_identifiers_that_were_left_empty_are_made_and_differ(entries: Processes) -> None:
    site = Site(entries.web_url, PASSWORD)
    site.add_entry(
        **{**YAMADA_CT.form(), "accession_number": "", "requested_procedure_id": "", "study_instance_uid": ""}
    )
    asked = {**dict.fromkeys(RETURN_KEYS, ""), "PatientID": "P-1003", f"{STEP}.ScheduledProcedureStepID": ""}
    (found,) = dcmtk.find(entries.mwl_port, asked)
    made = {
        found.AccessionNumber,
        found.RequestedProcedureID,
        found.StudyInstanceUID,
        found.ScheduledProcedureStepSequence[0].ScheduledProcedureStepID,
    }
    assert len(made) == 4
    assert "" not in made
    assert found.StudyInstanceUID.startswith("2.25.")


def test_an_edit_on_the_site_is_seen_by_the_next_query(entries: Processes) -> None:
    site = Site(entries.web_url, PASSWORD)
    site.add_entry(**BYRON_MR.form())
    path = site.path_of("scheduledprocedurestep", "A-5004")
    assert query(entries, AccessionNumber="A-5004", **{f"{STEP}.ScheduledProcedureStepStartDate": "20260504"})
    site.fill(path, {"scheduled_date": "2026-05-06"})
    assert not query(entries, AccessionNumber="A-5004", **{f"{STEP}.ScheduledProcedureStepStartDate": "20260504"})
    assert query(entries, AccessionNumber="A-5004", **{f"{STEP}.ScheduledProcedureStepStartDate": "20260506"})
