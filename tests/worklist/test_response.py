"""Identifiers encoded straight from rows: byte for byte what pydicom makes of the same values."""

from __future__ import annotations

import datetime
import warnings
import zlib
from decimal import Decimal
from typing import Any

import pytest
from pydicom import Dataset
from pydicom.config import disable_value_validation

from dicom_encoding.syntaxes import DEFLATED_LITTLE, EXPLICIT_BIG, EXPLICIT_LITTLE, IMPLICIT_LITTLE
from mwl_admin.models import ScheduledProcedureStep
from mwl_admin.models.station import ResponseCharacterSet as Offered
from mwl_admin.worklist.attributes import ATTRIBUTES, STEP_ATTRIBUTES
from mwl_admin.worklist.policy import Policy
from mwl_admin.worklist.query import prepare
from tests.factory import make_code, make_station, make_step
from tests.worklist.queries import NOBODY, answers, decoded, encoded, identifier, parsed, query

pytestmark = pytest.mark.usefixtures("rolled_back")

SAMPLES = {
    "ISO_IR 192": "Ünï 山田 홍 🙂",
    "ISO_IR 6": "plain",
    "ISO_IR 100": "Jérôme",
    "ISO_IR 101": "Wałęsa",
    "ISO_IR 109": "Ġorġ",
    "ISO_IR 110": "Bērziņš",
    "ISO_IR 148": "Işık",
    "ISO_IR 144": "Люкс",
    "ISO_IR 127": "قباني",
    "ISO_IR 126": "Διον",
    "ISO_IR 138": "שרון",
    "ISO_IR 166": "นามสกุล",
    "ISO_IR 13": "ﾔﾏﾀﾞ",
    "\\ISO 2022 IR 87": "山田",
    "ISO 2022 IR 13\\ISO 2022 IR 87": "山田ﾔﾏ",
    "\\ISO 2022 IR 149": "홍길동",
    "GB18030": "王小东",
    "GBK": "王小东",
}
"""A text for each set that pydicom can write. It writes no escapes for GB 2312 and does not know Latin 9:
tests/worklist/test_charset.py has those."""


def everything(**changes: Any) -> Dataset:
    """An identifier that asks for every attribute of the table."""
    step: dict[str, Any] = {
        attribute.keyword: [] if attribute.vr == "SQ" else None if attribute.vr == "US" else ""
        for attribute in STEP_ATTRIBUTES
    }
    top: dict[str, Any] = {
        attribute.keyword: [] if attribute.vr == "SQ" else None if attribute.vr == "US" else ""
        for attribute in ATTRIBUTES
        if attribute.keyword != "ScheduledProcedureStepSequence"
    }
    return identifier(step=step, **{**top, **changes})


def comments(text: str) -> str:
    # pydicom cannot write both halves of JIS X 0201 in one value.
    return text if text == SAMPLES["ISO_IR 13"] else f"{text}\r\nand a \\ backslash"


def make_full_step(text: str, **step: Any) -> ScheduledProcedureStep:
    return make_step(
        patient={
            "patient_id": "P1",
            "issuer_of_patient_id": text,
            "family_name": text,
            "given_name": "Jo",
            "name_suffix": text,
            "ideographic_name": f"{text}^{text}",
            "phonetic_name": text,
            "patient_birth_date": datetime.date(1980, 2, 29),
            "patient_sex": "O",
            "patient_size": Decimal("1.750"),
            "patient_weight": Decimal("70.500"),
            "pregnancy_status": 4,
            "allergies": f"{text}\nLatex\n",
            "medical_alerts": text,
            "special_needs": text,
            "patient_state": text,
            "patient_comments": comments(text),
            "confidentiality_constraint_on_patient_data_description": text,
        },
        requested={
            "accession_number": "A1",
            "requested_procedure_id": "R12",
            "study_instance_uid": "1.2.3",
            "requested_procedure_description": text,
            "requested_procedure_priority": "STAT",
            "reason_for_the_requested_procedure": text,
            "reason_code_value": "Z1",
            "reason_coding_scheme_designator": "99X",
            "reason_code_meaning": text,
            "referring_physician_name": f"{text}^A={text}",
            "requesting_physician": text,
            "admission_id": "ADM",
            "current_patient_location": text,
            "patient_transport_arrangements": text,
            "code_value": "C1",
            "coding_scheme_designator": "99X",
            "coding_scheme_version": "2",
            "code_meaning": text,
        },
        stations=[make_station("CT1", station_name="Room 1"), make_station("CT2", station_name=text, location=text)],
        protocol_codes=[make_code(value, code_meaning=text) for value in ("P2", "P1")],
        scheduled_procedure_step_id="S1",
        scheduled_performing_physician_name=text,
        scheduled_procedure_step_description=text,
        pre_medication=text,
        requested_contrast_agent=text,
        comments_on_the_scheduled_procedure_step=text,
        **step,
    )


def expected(text: str, charset: str) -> Dataset:
    """The same values as a data set of pydicom's, written down by hand."""

    def code(value: str, meaning: str, version: str = "") -> Dataset:
        keys = {"CodeValue": value, "CodingSchemeDesignator": "99X", "CodeMeaning": meaning}
        return identifier(None, **keys, **({"CodingSchemeVersion": version} if version else {}))

    ds = identifier(
        step={
            "ScheduledStationAETitle": ["CT1", "CT2"],
            "ScheduledProcedureStepStartDate": "20260504",
            "ScheduledProcedureStepStartTime": "103000",
            "Modality": "CT",
            "ScheduledPerformingPhysicianName": text,
            "ScheduledProcedureStepDescription": text,
            "ScheduledStationName": ["Room 1", text],
            "ScheduledProcedureStepLocation": text,
            "ScheduledProtocolCodeSequence": [code("P1", text), code("P2", text)],
            "PreMedication": text,
            "RequestedContrastAgent": text,
            "ScheduledProcedureStepID": "S1",
            "ScheduledProcedureStepStatus": "SCHEDULED",
            "CommentsOnTheScheduledProcedureStep": text,
        },
        TimezoneOffsetFromUTC="+0100",
        RequestedProcedureID="R12",
        RequestedProcedureDescription=text,
        RequestedProcedureCodeSequence=[code("C1", text, "2")],
        StudyInstanceUID="1.2.3",
        ReferencedStudySequence=[],
        ReferencedPatientSequence=[],
        RequestedProcedurePriority="STAT",
        PatientTransportArrangements=text,
        ReasonForTheRequestedProcedure=text,
        ReasonForRequestedProcedureCodeSequence=[code("Z1", text)],
        AccessionNumber="A1",
        RequestingPhysician=text,
        ReferringPhysicianName=f"{text}^A={text}",
        AdmissionID="ADM",
        CurrentPatientLocation=text,
        PatientName=f"{text}^Jo^^^{text}={text}^{text}={text}",
        PatientID="P1",
        IssuerOfPatientID=text,
        PatientBirthDate="19800229",
        PatientSex="O",
        PatientSize="1.75",
        PatientWeight="70.5",
        PatientAge="046Y",
        ConfidentialityConstraintOnPatientDataDescription=text,
        PatientState=text,
        PregnancyStatus=4,
        MedicalAlerts=text,
        Allergies=[text, "Latex"],
        SpecialNeeds=text,
        PatientComments=comments(text),
    )
    if charset != "ISO_IR 6":
        ds.SpecificCharacterSet = charset.split("\\")
    return ds


@pytest.mark.parametrize("syntax", [IMPLICIT_LITTLE, EXPLICIT_LITTLE, EXPLICIT_BIG])
@pytest.mark.parametrize("charset", SAMPLES)
def test_every_attribute_is_encoded_as_pydicom_encodes_it(charset: str, syntax: str) -> None:
    make_full_step(SAMPLES[charset])
    make_station("ASKER", "XX", response_character_set=charset)
    asked = everything()
    asked.SpecificCharacterSet = "ISO_IR 192"
    (match,) = query(asked, caller="ASKER", transfer_syntax=syntax, policy=Policy(own_only=False)).run()
    with disable_value_validation(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert match.identifier == encoded(expected(SAMPLES[charset], charset), syntax)


def test_every_attribute_of_the_table_is_in_that_comparison() -> None:
    compared = expected("x", "ISO_IR 100")
    assert {attribute.tag for attribute in ATTRIBUTES} == set(compared.keys())
    assert {attribute.tag for attribute in STEP_ATTRIBUTES} == set(compared.ScheduledProcedureStepSequence[0].keys())


def test_every_set_that_the_site_offers_is_in_that_comparison() -> None:
    assert set(Offered.values) - SAMPLES.keys() == {"ISO_IR 203", "\\ISO 2022 IR 58"}


def test_a_deflated_answer_inflates_to_the_same_bytes() -> None:
    make_full_step("Müller")
    (plain,) = query(everything(), transfer_syntax=EXPLICIT_LITTLE).run()
    asked = parsed(everything(), EXPLICIT_LITTLE)
    (match,) = prepare(asked, NOBODY, DEFLATED_LITTLE, Policy()).run()
    assert len(match.identifier) % 2 == 0
    assert zlib.decompressobj(wbits=-15).decompress(match.identifier) == plain.identifier


def test_requested_keys_without_a_value_come_back_empty() -> None:
    make_step()
    (answer,) = answers(everything())
    assert "AccessionNumber" in answer
    for keyword in ("PatientBirthDate", "PatientSex", "Allergies", "ReferringPhysicianName", "PregnancyStatus"):
        assert answer[keyword].is_empty, keyword


def test_a_conditional_sequence_without_items_is_left_out_and_one_of_type_2_is_empty() -> None:
    make_step()
    (answer,) = answers(everything())
    assert "RequestedProcedureCodeSequence" not in answer
    assert "ScheduledProtocolCodeSequence" not in answer.ScheduledProcedureStepSequence[0]
    assert len(answer.ReferencedStudySequence) == len(answer.ReferencedPatientSequence) == 0


def test_what_was_not_asked_for_is_not_sent_but_the_three_identifiers_always_are() -> None:
    make_step(requested={"study_instance_uid": "1.2", "requested_procedure_id": "R"}, scheduled_procedure_step_id="S")
    (answer,) = answers(identifier(PatientID=""))
    assert [element.keyword for element in answer] == [
        "PatientID",
        "StudyInstanceUID",
        "ScheduledProcedureStepSequence",
        "RequestedProcedureID",
    ]
    assert [element.keyword for element in answer.ScheduledProcedureStepSequence[0]] == ["ScheduledProcedureStepID"]


@pytest.mark.parametrize("items", [[], [{}], [{}, {"Modality": "MR"}]])
def test_an_empty_step_sequence_asks_for_the_whole_step(items: list[dict[str, str]]) -> None:
    make_step(stations=[make_station("CT1")])
    asked = identifier(ScheduledProcedureStepSequence=[identifier(None, **item) for item in items])
    (answer,) = answers(asked)
    step = answer.ScheduledProcedureStepSequence[0]
    assert (step.Modality, step.ScheduledStationAETitle) == ("CT", "CT1")
    assert step.ScheduledProcedureStepStartTime == "103000"


@pytest.mark.parametrize("syntax", [IMPLICIT_LITTLE, EXPLICIT_LITTLE, EXPLICIT_BIG])
def test_unsupported_keys_come_back_with_zero_length_private_ones_and_items_included(syntax: str) -> None:
    make_step()
    asked = identifier(step={"Modality": "", "PatientOrientation": ""})
    asked.OtherPatientIDs = ""
    asked.RequestAttributesSequence = [identifier(None, Modality="")]
    block = asked.private_block(0x0009, "SYNTHETIC", create=True)
    block.add_new(0x10, "UN", b"abcd")
    block.add_new(0x11, "OB", b"abcd")
    prepared = query(asked, transfer_syntax=syntax)
    assert prepared.warn
    (match,) = prepared.run()
    answer = decoded(match.identifier, syntax)
    assert answer[0x00090010].is_empty
    assert answer[0x00091010].is_empty
    assert answer[0x00091011].is_empty
    assert answer["OtherPatientIDs"].is_empty
    assert len(answer.RequestAttributesSequence) == 0
    assert answer.ScheduledProcedureStepSequence[0]["PatientOrientation"].is_empty


def test_supported_keys_alone_give_no_warning_but_a_value_for_one_that_is_not_matched_does() -> None:
    assert not query(everything()).warn
    assert query(identifier(PatientWeight="70")).warn
    assert not query(identifier(PatientWeight="")).warn


def test_the_character_set_is_named_when_a_value_needs_it_and_when_it_was_asked_for() -> None:
    make_step(patient={"family_name": "Doe"})
    make_step(patient={"family_name": "Müller"})
    plain, accented = answers(identifier(PatientName=""))
    assert "SpecificCharacterSet" not in plain
    assert accented.SpecificCharacterSet == "ISO_IR 192"
    assert answers(identifier(PatientName="", SpecificCharacterSet=""))[0].SpecificCharacterSet == "ISO_IR 192"


def test_the_time_zone_is_never_sent_empty() -> None:
    make_step(scheduled_date=datetime.date(2026, 1, 5))
    make_step(scheduled_date=datetime.date(2026, 7, 5))
    assert [ds.TimezoneOffsetFromUTC for ds in answers(identifier(TimezoneOffsetFromUTC=""))] == ["+0000", "+0100"]


def test_each_step_of_an_order_has_a_response_of_its_own() -> None:
    first = make_step(modality="CT")
    make_step(first.requested_procedure, modality="MR", scheduled_time=datetime.time(11))
    found = answers(identifier(step={"Modality": ""}, StudyInstanceUID=""))
    assert [ds.ScheduledProcedureStepSequence[0].Modality for ds in found] == ["CT", "MR"]
    assert found[0].StudyInstanceUID == found[1].StudyInstanceUID


@pytest.mark.parametrize(
    ("born", "age"),
    [
        (datetime.date(2026, 5, 4), "000D"),
        (datetime.date(2026, 3, 1), "064D"),
        (datetime.date(2025, 5, 5), "011M"),
        (datetime.date(2024, 5, 4), "002Y"),
        (datetime.date(1920, 5, 5), "105Y"),
        (datetime.date(2026, 5, 5), ""),
    ],
)
def test_the_age_is_that_of_the_day_of_the_step(born: datetime.date, age: str) -> None:
    make_step(patient={"patient_birth_date": born})
    assert (answers(identifier(PatientAge=""))[0].PatientAge or "") == age
