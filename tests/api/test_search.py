"""Search for Modality Scheduled Procedure Steps (PS3.18 §14)."""

from __future__ import annotations

import datetime
import json
from email import message_from_bytes
from email.message import Message
from typing import Any
from urllib.parse import quote
from xml.etree import ElementTree

import pytest
from pydicom import Dataset

from mwl_admin.models import ScheduledProcedureStep, StepStatus
from mwl_admin.worklist.attributes import ATTRIBUTES, STEP_ATTRIBUTES
from mwl_admin.worklist.policy import Policy
from tests.api.bodies import problems
from tests.api.conftest import Caller, caller
from tests.factory import make_station, make_step
from tests.worklist.queries import answers, identifier

pytestmark = pytest.mark.django_db

STEPS = "/dicom-web/modality-scheduled-procedure-steps"
STEP = "ScheduledProcedureStepSequence"


@pytest.fixture(autouse=True)
def list_of_three() -> list[ScheduledProcedureStep]:
    """Three steps by start: CT at half past ten, CT at eleven, MR the day after."""
    ct1 = make_station("CT1", station_name="CT room 1")
    return [
        make_step(patient={"family_name": "Müller", "given_name": "Änne", "patient_weight": "68.5"}, stations=[ct1]),
        make_step(scheduled_time=datetime.time(11), requested={"accession_number": "A-2"}),
        make_step(modality="MR", scheduled_date=datetime.date(2026, 5, 5), patient={"pregnancy_status": 1}),
    ]


def data_sets(response: Any) -> list[Dataset]:
    assert response.status_code == 200, response.content
    assert response["Content-Type"] == "application/dicom+json"
    return [Dataset.from_json(one) for one in response.json()]


def found(ris: Caller, query: str) -> list[str]:
    response = ris.get(f"{STEPS}?{query}")
    if response.status_code == 204:
        assert response.content == b""
        return []
    return [str(ds.PatientID) for ds in data_sets(response)]


def test_a_search_without_keys_finds_all_by_start(ris: Caller) -> None:
    assert found(ris, "") == ["P0001", "P0002", "P0003"]


@pytest.mark.parametrize(
    ("query", "patients"),
    [
        (f"{STEP}.Modality=MR", ["P0003"]),
        ("00400100.00080060=mr", ["P0003"]),
        (f"{STEP}.ScheduledProcedureStepStartDate=20260504", ["P0001", "P0002"]),
        (f"{STEP}.ScheduledProcedureStepStartDate=20260505-", ["P0003"]),
        (f"{STEP}.ScheduledStationAETitle=CT1", ["P0001", "P0002"]),
        (f"PatientName={quote('müller^*')}", ["P0001"]),
        ("PatientID=P000?", ["P0001", "P0002", "P0003"]),
        ("00100020=P0002", ["P0002"]),
        ("AccessionNumber=A-2", ["P0002"]),
        ("AccessionNumber=*", ["P0001", "P0002", "P0003"]),
        ("PatientID=", ["P0001", "P0002", "P0003"]),
        ("PatientID=P0001&AccessionNumber=A-2", []),
        ("PatientID=%25", []),
        ("limit=1", ["P0001"]),
        ("limit=0", []),
        ("limit=1&offset=1", ["P0002"]),
        ("offset=2", ["P0003"]),
        ("offset=99", []),
        (f"{STEP}.ScheduledProtocolCodeSequence.CodeValue=1", []),
    ],
)
def test_keys_match_as_in_c_find(ris: Caller, query: str, patients: list[str]) -> None:
    assert found(ris, query) == patients


def test_a_list_of_uids_is_separated_by_commas(ris: Caller, list_of_three: list[ScheduledProcedureStep]) -> None:
    uids = [step.requested_procedure.study_instance_uid for step in list_of_three[:2]]
    assert found(ris, f"StudyInstanceUID={','.join(uids)}") == ["P0001", "P0002"]


CALLER = "WORKSTATION"


def test_an_answer_is_that_of_c_find(ris: Caller) -> None:
    keys = {attribute.keyword: "" for attribute in ATTRIBUTES if attribute.vr != "SQ"}
    keys.pop("SpecificCharacterSet")
    step = {attribute.keyword: "" for attribute in STEP_ATTRIBUTES if attribute.vr != "SQ"}
    by_dimse = answers(identifier(step, **keys), caller=CALLER)
    for over_http, expected in zip(data_sets(ris.get(f"{STEPS}?includefield=all")), by_dimse, strict=True):
        for element in expected:
            if element.VR != "SQ":
                assert over_http[element.tag].value == element.value, element.keyword
        (item,) = over_http.ScheduledProcedureStepSequence
        told = expected.ScheduledProcedureStepSequence[0]
        # a step for any station is each caller's own, and over HTTP nobody's
        own = {"ScheduledStationAETitle", "ScheduledStationName"} if told.ScheduledStationAETitle == CALLER else set()
        for element in told:
            if element.keyword in own:
                continue
            assert item[element.tag].value == element.value, element.keyword


def test_return_types_1_and_2_come_unasked_and_others_when_included(ris: Caller) -> None:
    first = data_sets(ris.get(STEPS))[0]
    assert "PatientWeight" in first
    assert "PatientComments" not in first
    assert "ScheduledProcedureStepStatus" not in first.ScheduledProcedureStepSequence[0]
    query = f"includefield=PatientComments,00101010&includefield={STEP}.ScheduledProcedureStepStatus"
    first = data_sets(ris.get(f"{STEPS}?{query}"))[0]
    assert "PatientComments" in first
    assert "PatientAge" in first
    assert first.ScheduledProcedureStepSequence[0].ScheduledProcedureStepStatus == "SCHEDULED"


def test_numbers_and_names_are_written_as_annex_f_says(ris: Caller) -> None:
    first, _, third = ris.get(STEPS).json()
    assert first["00101030"] == {"vr": "DS", "Value": [68.5]}
    assert first["00100010"] == {"vr": "PN", "Value": [{"Alphabetic": "Müller^Änne"}]}
    assert third["001021C0"] == {"vr": "US", "Value": [1]}
    assert third["00101030"] == {"vr": "DS"}


def test_finished_steps_are_not_listed(ris: Caller, list_of_three: list[ScheduledProcedureStep]) -> None:
    list_of_three[0].transition(StepStatus.COMPLETED)
    assert found(ris, "") == ["P0002", "P0003"]


@pytest.mark.parametrize("name", ["Nonsense", "0010", "x.PatientID", "_", f"{STEP}.Nonsense"])
def test_what_dicom_does_not_know_is_ignored_with_a_warning(ris: Caller, name: str) -> None:
    response = ris.get(f"{STEPS}?{name}=1&PatientID=P0002")
    assert [str(ds.PatientID) for ds in data_sets(response)] == ["P0002"]
    assert name in response["Warning"]


def test_a_name_that_no_header_field_can_hold_is_not_repeated(ris: Caller) -> None:
    for name in ('a"b', "a%0D%0AX: y", "%C3%A9", "x" * 500):
        warning = ris.get(f"{STEPS}?{name}=1")["Warning"]
        assert warning.endswith('ignored: others"')


@pytest.mark.parametrize(
    ("query", "named"),
    [
        ("Modality=CT", "Modality"),
        ("PatientComments=x", "PatientComments"),
        ("RequestedProcedureCodeSequence=x", "RequestedProcedureCodeSequence"),
        (f"{STEP}.PatientID=x", f"{STEP}.PatientID"),
        ("PatientID=1&PatientID=2", "PatientID"),
        ("limit=-1", "limit"),
        ("limit=x", "limit"),
        ("limit=%D9%A3", "limit"),
        ("offset=1e3", "offset"),
        ("fuzzymatching=maybe", "fuzzymatching"),
        ("multiplevaluematching=1", "multiplevaluematching"),
        ("includefield=Nonsense", "includefield"),
        ("includefield=PatientID,all", "includefield"),
        ("StudyInstanceUID=x", "(0020,000D)"),
        (f"{STEP}.ScheduledProcedureStepStartDate=tomorrow", "(0040,0002)"),
        ("PatientBirthDate=1980-01-01x", "(0010,0030)"),
    ],
)
def test_what_is_wrong_with_a_search_is_named(ris: Caller, query: str, named: str) -> None:
    refused = ris.get(f"{STEPS}?{query}")
    assert refused.status_code == 400, refused.content
    assert named in problems(refused), refused.content


def test_an_attribute_that_is_not_kept_may_be_included_and_is_left_out(ris: Caller) -> None:
    assert "PatientAddress" not in data_sets(ris.get(f"{STEPS}?includefield=PatientAddress"))[0]


def test_what_is_not_supported_is_said_in_a_warning(ris: Caller) -> None:
    response = ris.get(f"{STEPS}?fuzzymatching=true&PatientID=P0001")
    assert len(data_sets(response)) == 1
    assert response["Warning"].startswith("299 http://testserver/dicom-web: ")
    assert "fuzzymatching" in response["Warning"]
    assert "Warning" not in ris.get(f"{STEPS}?fuzzymatching=false")


def test_a_list_that_is_cut_says_so(ris: Caller, settings: Any) -> None:
    settings.WORKLIST_POLICY = Policy(maximum_matches=2)
    for query in ("", "?limit=3"):
        response = ris.get(STEPS + query)
        assert len(data_sets(response)) == 2
        assert "Additional results" in response["Warning"]
    assert "Warning" not in ris.get(f"{STEPS}?limit=1")
    assert "Warning" not in ris.get(f"{STEPS}?offset=1")


def test_a_list_that_is_too_long_is_refused_when_so_set(ris: Caller, settings: Any) -> None:
    settings.WORKLIST_POLICY = Policy(maximum_matches=2, refuse_above=True)
    assert ris.get(STEPS).status_code == 413
    assert len(data_sets(ris.get(f"{STEPS}?limit=2"))) == 2


@pytest.mark.parametrize(
    ("accept", "kind"),
    [
        ("", "application/dicom+json"),
        ("*/*", "application/dicom+json"),
        ("application/json", "application/json"),
        ("text/html, application/dicom+json;q=0.5", "application/dicom+json"),
        ('multipart/related; type="application/dicom+json"', "multipart/related"),
        ("application/dicom+json;q=0.1, application/json", "application/json"),
    ],
)
def test_the_form_of_the_answer_is_that_of_the_accept_header(ris: Caller, accept: str, kind: str) -> None:
    response = ris.get(STEPS, **({"Accept": accept} if accept else {}))
    assert response["Content-Type"].split(";")[0] == kind


@pytest.mark.parametrize("accept", ["text/html", "application/dicom", "application/dicom+json;q=0"])
def test_a_form_that_is_not_known_is_not_acceptable(ris: Caller, accept: str) -> None:
    assert ris.get(STEPS, Accept=accept).status_code == 406


def parts_of(response: Any) -> list[Message]:
    head = f"Content-Type: {response['Content-Type']}\r\n\r\n".encode()
    return [part for part in message_from_bytes(head + response.content).walk() if not part.is_multipart()]


def test_xml_comes_in_parts_of_one_step_each(ris: Caller) -> None:
    response = ris.get(STEPS, Accept='multipart/related; type="application/dicom+xml"')
    parts = parts_of(response)
    assert [part.get_content_type() for part in parts] == ["application/dicom+xml"] * 3
    payload = parts[0].get_payload(decode=True)
    assert isinstance(payload, bytes)
    root = ElementTree.fromstring(payload)
    space = {"n": "http://dicom.nema.org/PS3.19/models/NativeDICOM"}
    family = root.find("n:DicomAttribute[@keyword='PatientName']/n:PersonName/n:Alphabetic/n:FamilyName", space)
    assert family is not None
    assert family.text == "Müller"
    modality = root.find(".//n:DicomAttribute[@tag='00400100']/n:Item/n:DicomAttribute[@tag='00080060']/n:Value", space)
    assert modality is not None
    assert modality.text == "CT"


def test_json_in_parts_is_one_part_with_all_steps(ris: Caller) -> None:
    response = ris.get(STEPS, Accept='multipart/related; type="application/dicom+json"')
    (part,) = parts_of(response)
    assert len(json.loads(str(part.get_payload()))) == 3


def test_a_client_that_is_a_station_sees_what_the_station_sees() -> None:
    mr1 = make_station("MR1", "MR")
    scanner = caller(name="MR1", can_write=False, station=mr1)
    assert found(scanner, "") == ["P0003"]


def test_a_search_needs_one_statement_however_long_the_list(ris: Caller, django_assert_max_num_queries: Any) -> None:
    ris.get(STEPS)
    with django_assert_max_num_queries(6):  # token, use noted, directory of stations, the list itself
        ris.get(STEPS)
