"""The SQL matcher against the reference matcher, over generated entries and queries, on both databases."""

from __future__ import annotations

import datetime
import os
import random
from collections.abc import Sequence
from typing import Any

import pytest
from django.db import transaction
from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st
from pydicom import Dataset

from mwl_admin.models import (
    Patient,
    ProtocolCode,
    RequestedProcedure,
    ScheduledProcedureStep,
    Station,
)
from mwl_admin.worklist.directory import Directory
from mwl_admin.worklist.policy import Policy
from tests.worklist.queries import found, identifier
from tests.worklist.reference import Entry, Keys, matching

EXAMPLES = 2000 if os.environ.get("CI", "").lower() == "true" else 300

STATIONS = [
    # AE title, name, location, modality, enabled
    ("CT1", "Room_1", "North", "CT", True),
    ("CT2", "Room%2", "", "CT", True),
    ("ct1", "", "South", "MR", True),
    ("US_1", "Room 1", "North*", "US", False),
    ("US[1]", "ROOM_1", "Süd", "US", True),
]
CODES = [("P1", "99X"), ("P1", "99Y"), ("p1", "99X"), ("P%", "99X")]

# Drawn from pools, since drawing each letter takes longer than the query: short, much alike, and awkward for SQL.
_letters = random.Random(2026)


def _pool(alphabet: str, size: int, longest: int) -> list[str]:
    made = ("".join(_letters.choices(alphabet, k=_letters.randint(1, longest))) for _ in range(size))
    return sorted({" ".join(text.split()) for text in made} - {""})


filled = st.sampled_from(_pool("aAbB1%_[].-éÉßσς山 ", 120, 6))
texts = st.just("") | filled
uids = st.sampled_from(["1.2", "1.2.3", "1.2.30", "2.25.1", "2.25.11", "1.3"])
days = st.dates(datetime.date(2026, 5, 1), datetime.date(2026, 5, 6))
clock = st.sampled_from(
    [
        datetime.time(0, 0),
        datetime.time(8, 15),
        datetime.time(10, 0),
        datetime.time(10, 30),
        datetime.time(10, 30, 30),
        datetime.time(10, 30, 30, 500000),
        datetime.time(10, 59, 59),
        datetime.time(23, 59, 59),
    ]
)
name_parts = st.sampled_from(_pool("aAbBéß山 -%_", 60, 4))


def _groups(count: int) -> list[str]:
    """PN values as they may be stored: no empty component at the end, spaces within only."""

    def group() -> str:
        parts = [_letters.choice(_pool("aAbBéß山 -%_", 1, 3) or [""]) for _ in range(_letters.randint(0, 3))]
        return "^".join("" if _letters.random() < 0.2 else part for part in parts).rstrip("^")

    return ["=".join(group() for _ in range(count)).rstrip("=") for _ in range(80)]


single_groups = st.sampled_from(_groups(1))
names = st.sampled_from(_groups(3))


@st.composite
def rows(draw: st.DrawFn) -> dict[str, Any]:
    """The values of one entry."""
    return {
        "components": [draw(name_parts), draw(st.just("") | name_parts), draw(st.just("") | name_parts)],
        "ideographic": draw(single_groups),
        "phonetic": draw(single_groups),
        "PatientID": draw(filled),
        "IssuerOfPatientID": draw(texts),
        "PatientBirthDate": draw(st.none() | days),
        "PatientSex": draw(st.sampled_from(["", "M", "F", "O"])),
        "AccessionNumber": draw(filled),
        "RequestedProcedureID": draw(filled),
        "StudyInstanceUID": draw(uids),
        "RequestedProcedureDescription": draw(texts),
        "RequestedProcedurePriority": draw(st.sampled_from(["", "STAT", "ROUTINE"])),
        "ReferringPhysicianName": draw(names),
        "RequestingPhysician": draw(names),
        "AdmissionID": draw(texts),
        "CurrentPatientLocation": draw(texts),
        "code": draw(st.none() | st.sampled_from(CODES)),
        "ScheduledProcedureStepID": draw(filled),
        "Modality": draw(st.sampled_from(["CT", "MR", "US"])),
        "stations": draw(st.sets(st.sampled_from(range(len(STATIONS))), max_size=2)),
        "codes": draw(st.sets(st.sampled_from(range(len(CODES))), max_size=2)),
        "date": draw(days),
        "time": draw(clock),
        "ScheduledPerformingPhysicianName": draw(names),
        "ScheduledProcedureStepDescription": draw(texts),
        "ScheduledProcedureStepLocation": draw(texts),
        "ScheduledProcedureStepStatus": draw(st.sampled_from(["SCHEDULED", "ARRIVED", "READY", "STARTED"])),
    }


STEP_TEXT = (
    "ScheduledStationAETitle",
    "ScheduledStationName",
    "ScheduledProcedureStepLocation",
    "ScheduledProcedureStepID",
    "ScheduledProcedureStepDescription",
    "Modality",
    "ScheduledProcedureStepStatus",
    "ScheduledPerformingPhysicianName",
)
TOP_TEXT = (
    "PatientName",
    "PatientID",
    "IssuerOfPatientID",
    "PatientSex",
    "AccessionNumber",
    "RequestedProcedureID",
    "RequestedProcedureDescription",
    "RequestedProcedurePriority",
    "ReferringPhysicianName",
    "RequestingPhysician",
    "AdmissionID",
    "CurrentPatientLocation",
)


def entry_of(row: dict[str, Any]) -> Entry:
    """What the row means in DICOM's terms."""
    chosen = [STATIONS[index] for index in sorted(row["stations"])]
    stations = chosen or [station for station in STATIONS if station[3] == row["Modality"] and station[4]]
    alphabetic = "^".join(row["components"]).rstrip("^")
    location = row["ScheduledProcedureStepLocation"]
    values = {keyword: [row[keyword]] for keyword in (*STEP_TEXT, *TOP_TEXT, "StudyInstanceUID") if keyword in row}
    values |= {
        "PatientName": ["=".join((alphabetic, row["ideographic"], row["phonetic"])).rstrip("=")],
        "PatientBirthDate": [f"{row['PatientBirthDate']:%Y%m%d}" if row["PatientBirthDate"] else ""],
        "ScheduledStationAETitle": [station[0] for station in stations],
        "ScheduledStationName": [station[1] for station in stations],
        "ScheduledProcedureStepLocation": [location] if location else [station[2] for station in stations],
        "ScheduledProcedureStepStartDate": [f"{row['date']:%Y%m%d}"],
        "ScheduledProcedureStepStartTime": [f"{row['time']:%H%M%S.%f}"],
    }

    def item(code: tuple[str, str]) -> dict[str, str]:
        return {"CodeValue": code[0], "CodingSchemeDesignator": code[1]}

    return Entry(
        values,
        {
            "RequestedProcedureCodeSequence": [item(row["code"])] if row["code"] else [],
            "ScheduledProtocolCodeSequence": [item(CODES[index]) for index in sorted(row["codes"])],
        },
    )


CHANGES = ["*", "?", "replace ?", "cut", "cut", "head *", "head *", "swapcase", "^", "^*", "%_"]


@st.composite
def patterns(draw: st.DrawFn, values: Sequence[str]) -> str:
    """A key that has something to do with the stored values: one of them, changed a little."""
    text = list(draw(st.sampled_from(list(values))))
    for _ in range(draw(st.sampled_from([0, 1, 1, 2, 3]))):
        place = draw(st.integers(0, len(text)))
        change = draw(
            st.sampled_from(["*", "?", "replace ?", "cut", "cut", "head *", "head *", "swapcase", "^", "^*", "%_"])
        )
        if change == "replace ?" and place < len(text):
            text[place] = "?"
        elif change == "cut":
            text[place:] = ["*"]
        elif change == "head *":
            text[:place] = ["*"]
        elif change == "swapcase":
            text = list("".join(text).swapcase())
        elif change != "replace ?":
            text.insert(place, change)
    return draw(st.sampled_from(["", " "])) + "".join(text) + draw(st.sampled_from(["", " ", "  "]))


def time_text(time: datetime.time, length: int) -> str:
    return f"{time:%H%M%S.%f}"[:length]


@st.composite
def spans(draw: st.DrawFn, value: st.SearchStrategy[str]) -> str:
    """A key for a date or a time: a value, a range, several, or everything."""
    form = draw(st.sampled_from(["one", "one", "range", "range", "from", "to", "list", "all"]))
    first, second = sorted((draw(value), draw(value)))
    return {
        "one": first,
        "range": f"{first}-{second}",
        "from": f"{first}-",
        "to": f"-{first}",
        "list": f"{first}\\{second}",
        "all": "*",
    }[form]


day_texts = days.map("{:%Y%m%d}".format)
time_texts = st.builds(time_text, clock, st.sampled_from([2, 4, 6, 8, 13]))


Query = tuple[dict[str, str], dict[str, str], dict[str, dict[str, str]]]
"""Keys beside the step, keys of the step, items of code sequences."""

STEP_KEYS = [*STEP_TEXT, "ScheduledProcedureStepStartDate", "ScheduledProcedureStepStartTime"]
TOP_KEYS = [*TOP_TEXT, "StudyInstanceUID", "PatientBirthDate"]
CODE_KEYS = ["RequestedProcedureCodeSequence", "ScheduledProtocolCodeSequence"]


@st.composite
def queries(draw: st.DrawFn, entries: list[Entry]) -> Query:
    top: dict[str, str] = {}
    step: dict[str, str] = {}
    codes: dict[str, dict[str, str]] = {}
    for keyword in draw(
        st.one_of(
            st.lists(st.sampled_from([*STEP_KEYS, *TOP_KEYS, *CODE_KEYS]), min_size=1, max_size=2),
            st.just(["ScheduledProcedureStepStartDate", "ScheduledProcedureStepStartTime"]),
        )
    ):
        if keyword in CODE_KEYS:
            value, scheme = draw(st.sampled_from(CODES))
            codes[keyword] = {
                "CodeValue": draw(st.sampled_from([value, "", "?1", "*"])),
                "CodingSchemeDesignator": draw(st.sampled_from([scheme, "", "99?"])),
            }
        else:
            (step if keyword in STEP_KEYS else top)[keyword] = draw(keys_for(keyword, entries))
    return top, step, codes


def keys_for(keyword: str, entries: list[Entry]) -> st.SearchStrategy[str]:
    if keyword.endswith("Date"):
        return spans(day_texts)
    if keyword.endswith("StartTime"):
        return spans(time_texts)
    if keyword == "StudyInstanceUID":
        return st.lists(uids, max_size=3).map("\\".join)
    stored = sorted({value for entry in entries for value in entry.values[keyword]})
    return st.lists(patterns(stored or [""]), min_size=1, max_size=2).map("\\".join)


@st.composite
def cases(draw: st.DrawFn) -> tuple[list[dict[str, Any]], list[Query]]:
    """A worklist, and some queries of it."""
    made = draw(
        st.lists(
            rows(),
            min_size=2,
            max_size=4,
            unique_by=(
                lambda row: row["StudyInstanceUID"],
                lambda row: row["AccessionNumber"],
                lambda row: row["ScheduledProcedureStepID"],
                lambda row: (row["PatientID"], row["IssuerOfPatientID"]),
            ),
        )
    )
    return made, draw(st.lists(queries([entry_of(row) for row in made]), min_size=3, max_size=3))


def store(rows_: list[dict[str, Any]], stations: list[Station], codes: list[ProtocolCode]) -> list[int]:
    """Write the entries and return their primary keys."""
    patients = Patient.objects.bulk_create(
        Patient(
            patient_id=row["PatientID"],
            issuer_of_patient_id=row["IssuerOfPatientID"],
            family_name=row["components"][0],
            given_name=row["components"][1],
            middle_name=row["components"][2],
            ideographic_name=row["ideographic"],
            phonetic_name=row["phonetic"],
            patient_birth_date=row["PatientBirthDate"],
            patient_sex=row["PatientSex"],
        )
        for row in rows_
    )
    orders = RequestedProcedure.objects.bulk_create(
        RequestedProcedure(
            patient=patient,
            accession_number=row["AccessionNumber"],
            requested_procedure_id=row["RequestedProcedureID"],
            study_instance_uid=row["StudyInstanceUID"],
            requested_procedure_description=row["RequestedProcedureDescription"],
            requested_procedure_priority=row["RequestedProcedurePriority"],
            referring_physician_name=row["ReferringPhysicianName"],
            requesting_physician=row["RequestingPhysician"],
            admission_id=row["AdmissionID"],
            current_patient_location=row["CurrentPatientLocation"],
            code_value=row["code"][0] if row["code"] else "",
            coding_scheme_designator=row["code"][1] if row["code"] else "",
            code_meaning="meaning" if row["code"] else "",
        )
        for row, patient in zip(rows_, patients, strict=True)
    )
    steps = ScheduledProcedureStep.objects.bulk_create(
        ScheduledProcedureStep(
            requested_procedure=order,
            scheduled_procedure_step_id=row["ScheduledProcedureStepID"],
            status=row["ScheduledProcedureStepStatus"],
            modality=row["Modality"],
            scheduled_date=row["date"],
            scheduled_time=row["time"],
            scheduled_performing_physician_name=row["ScheduledPerformingPhysicianName"],
            scheduled_procedure_step_description=row["ScheduledProcedureStepDescription"],
            scheduled_procedure_step_location=row["ScheduledProcedureStepLocation"],
        )
        for row, order in zip(rows_, orders, strict=True)
    )
    station_link = ScheduledProcedureStep.stations.through
    code_link = ScheduledProcedureStep.protocol_codes.through
    station_link.objects.bulk_create(
        station_link(scheduledprocedurestep=step, station=stations[index])
        for row, step in zip(rows_, steps, strict=True)
        for index in row["stations"]
    )
    code_link.objects.bulk_create(
        code_link(scheduledprocedurestep=step, protocolcode=codes[index])
        for row, step in zip(rows_, steps, strict=True)
        for index in row["codes"]
    )
    return [step.pk for step in steps]


@pytest.mark.timeout(900)
def test_the_database_finds_what_the_reference_matcher_finds(rolled_back: str) -> None:
    stations = [
        Station.objects.create(
            ae_title=ae_title, station_name=name, location=location, modality=modality, enabled=enabled
        )
        for ae_title, name, location, modality, enabled in STATIONS
    ]
    codes = [
        ProtocolCode.objects.create(code_value=value, coding_scheme_designator=scheme, code_meaning="meaning")
        for value, scheme in CODES
    ]
    assert len(Directory.read().stations) == len(STATIONS)

    @settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck), database=None)
    @given(cases())
    def compare(case: tuple[list[dict[str, Any]], list[Query]]) -> None:
        made, asked = case
        entries = [entry_of(row) for row in made]
        save = transaction.savepoint()
        try:
            pks = store(made, stations, codes)
            order = {pk: (row["date"], row["time"], pk) for pk, row in zip(pks, made, strict=True)}
            for top, step, code_keys in asked:
                got = found(as_identifier(top, step, code_keys), policy=Policy(maximum_matches=100))
                expected = [pks[index] for index in matching(entries, Keys({**top, **step}, code_keys))]
                event(f"matches: {'none' if not expected else 'all' if len(expected) == len(pks) else 'some'}")
                assert got == sorted(expected, key=order.__getitem__)
        finally:
            transaction.savepoint_rollback(save)

    compare()


def as_identifier(top: dict[str, str], step: dict[str, str], code_keys: dict[str, dict[str, str]]) -> Dataset:
    sequences = {word: [identifier(None, **item)] for word, item in code_keys.items()}
    in_step = {word: items for word, items in sequences.items() if "Protocol" in word}
    in_top = {word: items for word, items in sequences.items() if "Protocol" not in word}
    return identifier(step={**step, **in_step}, SpecificCharacterSet="ISO_IR 192", **top, **in_top)
