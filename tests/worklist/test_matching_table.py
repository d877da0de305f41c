"""Every attribute by every kind of matching: a value that matches, one that does not, zero length, absent."""

from __future__ import annotations

import datetime
from contextlib import nullcontext
from typing import Any

import pytest

from dicom_encoding.syntaxes import IMPLICIT_LITTLE
from mwl_admin.models import ScheduledProcedureStep
from mwl_admin.worklist.attributes import ATTRIBUTES, STEP_ATTRIBUTES, Matching
from mwl_admin.worklist.identifier import parse
from mwl_admin.worklist.policy import Policy
from mwl_admin.worklist.query import prepare
from mwl_admin.worklist.query_errors import MatchingKeyError
from tests.factory import make_code, make_station, make_step
from tests.worklist.queries import NOBODY, NOON, encoded, found, identifier, query

pytestmark = pytest.mark.usefixtures("rolled_back")

STEP_KEYWORDS = {attribute.keyword for attribute in STEP_ATTRIBUTES}


def make_entry() -> ScheduledProcedureStep:
    return make_step(
        patient={
            "patient_id": "P_1%",
            "issuer_of_patient_id": "Hospital",
            "family_name": "Müller",
            "given_name": "Änne",
            "middle_name": "Maria",
            "ideographic_name": "山田^太郎",
            "phonetic_name": "やまだ^たろう",
            "patient_birth_date": datetime.date(1980, 2, 29),
            "patient_sex": "F",
        },
        requested={
            "accession_number": "A-1",
            "requested_procedure_id": "R-1",
            "study_instance_uid": "1.2.3",
            "requested_procedure_description": "CT [thorax] 50%",
            "requested_procedure_priority": "STAT",
            "referring_physician_name": "House^Greg^^Dr=家",
            "requesting_physician": "Wilson",
            "admission_id": "ADM 7",
            "current_patient_location": "Ward 3",
            "code_value": "C1",
            "coding_scheme_designator": "99X",
            "code_meaning": "thorax",
        },
        stations=[make_station("CT1", station_name="Room 1"), make_station("CT2", station_name="Room 2")],
        protocol_codes=[
            make_code("P1", code_meaning="a"),
            make_code("P2", coding_scheme_designator="99Y", code_meaning="b"),
        ],
        scheduled_procedure_step_id="S-1",
        scheduled_performing_physician_name="Baker^Bo",
        scheduled_procedure_step_description="thorax_native",
        scheduled_procedure_step_location="North 1",
        status="ARRIVED",
    )


# keyword: keys that match the entry, keys that do not
KEYS: dict[str, tuple[list[Any], list[Any]]] = {
    "ScheduledStationAETitle": (["CT1", "CT2 ", "CT?", "X\\CT2", "*"], ["ct1", "CT", "CT3", "?"]),
    "ScheduledStationName": (["Room 1", "*2", "Room ?"], ["room 1", "Room", "Room 12"]),
    "ScheduledProcedureStepLocation": (["North 1", "N*"], ["North", "north 1"]),
    "ScheduledProcedureStepStartDate": (
        ["20260504", "20260501-20260504", "20260504-", "-20260504", "*", "20260101\\20260504", "2026.05.04"],
        ["20260503", "20260505-", "-20260503", "20260501-20260503"],
    ),
    "ScheduledProcedureStepStartTime": (
        ["1030", "10", "103000", "103000.000000", "1000-1100", "1030-", "-1030", "-10", "*"],
        ["1031", "103001", "11", "1031-", "-1029", "103000.5"],
    ),
    "Modality": (["CT", "ct", "CT\\MR", "?T", "C*"], ["MR", "C", "CTX"]),
    "ScheduledPerformingPhysicianName": (["baker^bo", "B*", "*bo", "Baker^*"], ["Baker", "Bo*", "Baker^Bob"]),
    "ScheduledProcedureStepDescription": (["thorax_native", "thorax?native", "*_*"], ["thoraxXnative", "Thorax*", "_"]),
    "ScheduledProcedureStepID": (["S-1", "S-?"], ["s-1", "S-2"]),
    "ScheduledProcedureStepStatus": (["ARRIVED", "arrived", "ARRIVED\\READY"], ["SCHEDULED", "READY"]),
    "RequestedProcedureID": (["R-1", "R*"], ["r-1", "R"]),
    "RequestedProcedureDescription": (
        ["CT [thorax] 50%", "CT [*] 50%", "*50%", "CT [thorax] ?0%"],
        ["CT t*", "CT [thorax] 50", "%", "CT%"],
    ),
    "StudyInstanceUID": (["1.2.3", "1.2\\1.2.3", "*"], ["1.2", "1.2\\1.3"]),
    "RequestedProcedurePriority": (["STAT", "stat", "S*"], ["ROUTINE", "STA"]),
    "AccessionNumber": (["A-1", "A-?", "A-1 "], ["a-1", "A-2"]),
    "RequestingPhysician": (["WILSON", "wil*", "Wilson^", "*=*"], ["Wilson^J", "Wils", "=Wilson"]),
    "ReferringPhysicianName": (
        ["house^greg^^dr", "House^Greg*", "家", "*=家", "House*=家", "*"],
        ["House", "家^x", "=House*", "House*=山"],
    ),
    "AdmissionID": (["ADM 7", "ADM*"], ["ADM", "adm 7"]),
    "CurrentPatientLocation": (["Ward 3", "Ward ?"], ["Ward", "ward 3"]),
    "PatientName": (
        [
            "Müller^Änne^Maria",
            "MÜLLER^ÄNNE^MARIA^^",
            "müller*",
            "M?ller*",
            "*^Maria",
            "Müller^Änne^Maria^*",
            "山田^太郎",
            "山田*",
            "やまだ*",
            "Müller*=山田*=やまだ*",
            "=山田^太郎",
            "==やまだ*",
            "*=*=*",
        ],
        ["Müller", "Müller^Änne", "Muller*", "*Mari", "Müller*=鈴木*", "=Müller*", "山"],
    ),
    "PatientID": (["P_1%", "P?1?", "P*"], ["P11%", "P_1", "p_1%", "P_%"]),
    "IssuerOfPatientID": (["Hospital", "Hosp*"], ["hospital", "Hosp"]),
    "PatientBirthDate": (["19800229", "1980.02.29", "19800101-19801231", "-1980.03.01"], ["19800228", "19810101-"]),
    "PatientSex": (["F", "f", "F\\M", "?"], ["M", "O"]),
}

CASES = [
    *((keyword, key, True) for keyword, (keys, _) in KEYS.items() for key in keys),
    *((keyword, key, False) for keyword, (_, keys) in KEYS.items() for key in keys),
]


def asked(keyword: str, key: Any) -> Any:
    if keyword in STEP_KEYWORDS:
        return identifier(step={keyword: key}, SpecificCharacterSet="ISO_IR 192")
    return identifier(SpecificCharacterSet="ISO_IR 192", **{keyword: key})


@pytest.mark.parametrize(("keyword", "key", "matches"), CASES)
def test_a_key_finds_what_it_matches(keyword: str, key: str, matches: bool) -> None:
    entry = make_entry()
    assert found(asked(keyword, key)) == ([entry.pk] if matches else [])


@pytest.mark.parametrize("keyword", KEYS)
@pytest.mark.parametrize("key", ["", " ", "*", "**"])
def test_a_universal_key_finds_entries_without_a_value_too(keyword: str, key: str) -> None:
    make_step()
    assert len(found(asked(keyword, key))) == 1


EMPTY_ABLE = set(KEYS) - {
    # these have a value in every entry
    "ScheduledProcedureStepStartDate",
    "ScheduledProcedureStepStartTime",
    "Modality",
    "ScheduledProcedureStepID",
    "ScheduledProcedureStepStatus",
    "RequestedProcedureID",
    "StudyInstanceUID",
    "AccessionNumber",
    "PatientName",
    "PatientID",
    "RequestedProcedurePriority",
}


@pytest.mark.parametrize("keyword", sorted(EMPTY_ABLE))
def test_a_stored_empty_value_matches_no_value(keyword: str) -> None:
    make_step()
    for key in KEYS[keyword][0]:
        if key not in {"*", "*=*"}:
            assert found(asked(keyword, key)) == [], key
    if "Date" not in keyword:
        assert found(asked(keyword, "?*")) == []


def test_the_table_of_keys_has_every_attribute_that_is_matched() -> None:
    matched = {
        attribute.keyword
        for attribute in (*ATTRIBUTES, *STEP_ATTRIBUTES)
        if attribute.matching not in {Matching.NONE, Matching.SEQUENCE}
    }
    assert matched == set(KEYS)


@pytest.mark.parametrize(
    ("sequence", "item", "matches"),
    [
        ("RequestedProcedureCodeSequence", {"CodeValue": "C1", "CodingSchemeDesignator": "99X"}, True),
        ("RequestedProcedureCodeSequence", {"CodeValue": "C1", "CodingSchemeDesignator": ""}, True),
        ("RequestedProcedureCodeSequence", {"CodeValue": "C1", "CodingSchemeDesignator": "99Y"}, False),
        ("RequestedProcedureCodeSequence", {"CodeValue": ""}, True),
        ("RequestedProcedureCodeSequence", {}, True),
        ("ScheduledProtocolCodeSequence", {"CodeValue": "P2", "CodingSchemeDesignator": "99Y"}, True),
        ("ScheduledProtocolCodeSequence", {"CodeValue": "P?"}, True),
        # value and scheme of one and the same code
        ("ScheduledProtocolCodeSequence", {"CodeValue": "P1", "CodingSchemeDesignator": "99Y"}, False),
        ("ScheduledProtocolCodeSequence", {"CodeValue": "P3"}, False),
    ],
)
def test_a_code_is_matched_by_value_and_scheme(sequence: str, item: dict[str, str], matches: bool) -> None:
    make_entry()
    assert bool(found(asked(sequence, [identifier(None, **item)]))) is matches
    make_step()
    assert len(found(asked(sequence, []))) == 2


def test_several_codes_of_a_step_make_no_second_response() -> None:
    step = make_entry()
    assert found(asked("ScheduledProtocolCodeSequence", [identifier(None, CodeValue="P*")])) == [step.pk]


def test_of_several_items_the_first_counts() -> None:
    make_entry()
    both = [identifier(None, Modality="CT"), identifier(None, Modality="MR")]
    assert len(found(identifier(None, ScheduledProcedureStepSequence=both))) == 1
    assert found(identifier(None, ScheduledProcedureStepSequence=both[::-1])) == []


@pytest.mark.parametrize(
    ("dates", "times", "matches"),
    [
        # One span from 3 May, 11:00 to 5 May, 09:00; the entry is on 4 May at 10:30.
        ("20260503-20260505", "1100-0900", True),
        ("20260504-20260505", "1031-0900", False),
        ("20260504-20260504", "1030-1100", True),
        ("20260503-20260504", "0000-1029", False),
        ("20260504-", "1030-", True),
        ("20260504-", "1031-", False),
        ("20260503-", "1031-", True),
        ("-20260504", "-1029", False),
        ("-20260505", "-0100", True),
        # Only one of them is a range: they match by themselves.
        ("20260504", "1100-0900", False),
        ("20260503-20260505", "1030", True),
        ("20260503-20260505", "11", False),
    ],
)
def test_two_ranges_are_one_span(dates: str, times: str, matches: bool) -> None:
    make_entry()
    keys = {"ScheduledProcedureStepStartDate": dates, "ScheduledProcedureStepStartTime": times}
    assert bool(found(identifier(step=keys))) is matches


@pytest.mark.parametrize(
    ("offset", "dates", "times", "matches"),
    [
        # The entry is on 4 May at 10:30 in London, which is UTC+1 then.
        ("+0100", "20260504", "1030", True),
        ("+0000", "20260504", "0930", True),
        ("+0000", "20260504", "1030", False),
        ("+0900", "20260504", "1830", True),
        ("-1200", "20260503", "2130", True),
        ("-1200", "20260504", "", False),
        ("-1200", "20260503", "", True),
        ("-1200", "20260501-20260503", "2100-2200", True),
        ("-1200", "", "2130", True),
        ("+0000", "", "0900-1000", True),
        ("+0000", "20260501-20260509", "0930", True),
        ("+0000", "20260501-20260509", "1030", False),
    ],
)
def test_the_queries_time_zone_is_honoured(offset: str, dates: str, times: str, matches: bool) -> None:
    make_entry()
    keys = {"ScheduledProcedureStepStartDate": dates, "ScheduledProcedureStepStartTime": times}
    assert bool(found(identifier(step=keys, TimezoneOffsetFromUTC=offset))) is matches


def test_accents_are_ignored_when_so_set() -> None:
    make_entry()
    for key in ("Muller^Anne*", "MÜLLER*", "*maria", "山田*"):
        ds = asked("PatientName", key)
        assert len(found(ds, policy=Policy(ignore_accents=True))) == 1


def test_keys_are_decoded_by_the_requests_character_set() -> None:
    make_entry()
    assert found(identifier(PatientName="Müller*", SpecificCharacterSet="ISO_IR 100"))
    assert found(identifier(PatientName="=山田*", SpecificCharacterSet=["", "ISO 2022 IR 87"]))


@pytest.mark.parametrize(
    ("keyword", "key", "comment"),
    [
        ("ScheduledProcedureStepStartDate", "tomorrow", "(0040,0002) is not a date or a range of dates"),
        ("ScheduledProcedureStepStartTime", "10:3", "(0040,0003) is not a time or a range of times"),
        ("PatientBirthDate", "1980", "(0010,0030) is not a date or a range of dates"),
        ("StudyInstanceUID", "1.2.?", "(0020,000D) is not a list of UIDs"),
        ("PatientName", "a=b=c=d", "(0010,0010) has more than three component groups"),
        ("PatientID", "x" * 9000, "(0010,0020) is too long"),
        ("TimezoneOffsetFromUTC", "CET", "(0008,0201) is not an offset such as +0100"),
    ],
)
def test_a_value_that_breaks_the_rules_is_refused_by_name(keyword: str, key: str, comment: str) -> None:
    with pytest.raises(MatchingKeyError) as caught:
        query(asked(keyword, key))
    assert caught.value.comment == comment
    assert len(caught.value.offending) == 1


@pytest.mark.parametrize(("name", "refused"), [("Doe*", False), ("Müller*", True)])
def test_text_in_an_unknown_character_set_is_refused_and_ascii_is_not(name: str, refused: bool) -> None:
    data = encoded(identifier(PatientName=name, SpecificCharacterSet="ISO_IR 100"))
    asked_ = parse(data.replace(b"ISO_IR 100", b"ISO_IR 999"), IMPLICIT_LITTLE)
    with pytest.raises(MatchingKeyError, match="Character Set is not known") if refused else nullcontext():
        prepare(asked_, NOBODY, IMPLICIT_LITTLE, Policy(), now=NOON)
