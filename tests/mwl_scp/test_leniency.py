"""Queries that are not quite as the standard wants them, and answers that are: with findscu, pynetdicom and bytes."""

from __future__ import annotations

import datetime
import itertools
import subprocess

import pytest

from dicom_encoding.syntaxes import EXPLICIT_BIG, EXPLICIT_LITTLE, IMPLICIT_LITTLE
from tests.clients.raw import COMMAND, LAST, WORKLIST_FIND, RawPeer, association_request, context_item, p_data, pdv
from tests.clients.raw import find as raw_find
from tests.components import requires
from tests.factory import make_station, make_step
from tests.mwl_scp.conftest import Provider
from tests.mwl_scp.scu import find
from tests.worklist.queries import encoded, identifier

NAMES = {
    IMPLICIT_LITTLE: "Implicit VR Little",
    EXPLICIT_LITTLE: "Explicit VR Little",
    EXPLICIT_BIG: "Explicit VR Big",
}


def findscu(provider: Provider, *keys: bytes, calling: str = "WORKSTATION") -> str:
    """Return what DCMTK shows of the answers to a query for the steps that ``keys`` describe."""
    command = [b"findscu", b"-W", b"-aet", calling.encode()]
    for key in (b"PatientID", b"(0040,0100)[0].Modality=CT", *keys):
        command += [b"-k", key]
    command += [b"127.0.0.1", str(provider.port).encode()]
    result = subprocess.run(command, capture_output=True, timeout=30, check=True)
    return (result.stdout + result.stderr).decode("utf-8", "replace")


# -- another transfer syntax than the one agreed on


@pytest.mark.parametrize(("agreed", "sent"), list(itertools.permutations(NAMES, 2)))
def test_a_query_in_another_transfer_syntax_is_refused_with_both_named(
    provider: Provider, agreed: str, sent: str
) -> None:
    asked = identifier(step={"Modality": "CT", "ScheduledStationAETitle": ""}, PatientName="", PatientID="")
    with RawPeer.connect(provider.port) as peer:
        peer.associate(association_request(contexts=[context_item(5, WORKLIST_FIND, (agreed,))]))
        peer.send(p_data(pdv(5, COMMAND | LAST, raw_find(7)), pdv(5, LAST, encoded(asked, sent))))
        answer = peer.read_message()
        peer.release()
    assert (answer.status, answer.comment) == (
        0xC000,
        f"The data set is in {NAMES[sent]}, not in {NAMES[agreed]}",
    )
    assert "worklist query failed" not in provider.log_text()


# -- text in a character set that the query does not name


@requires("dcmtk")
@pytest.mark.parametrize(
    ("station_set", "name", "key"),
    [
        ("ISO_IR 100", "Müller", "Müller*".encode("latin-1")),
        ("ISO_IR 144", "Иванов", "Иванов*".encode("iso8859-5")),
        ("ISO_IR 192", "Müller", "Müller*".encode("latin-1")),
        ("ISO_IR 192", "Müller", "Müller*".encode()),
        ("ISO_IR 100", "Иванов", "Иванов*".encode("iso8859-5")),
        (None, "Müller", "Müller*".encode("latin-1")),
    ],
)
def test_a_name_without_character_set_is_read_as_the_station_writes(
    provider: Provider, station_set: str | None, name: str, key: bytes
) -> None:
    if station_set is not None:
        make_station("CT9", response_character_set=station_set)
    make_step(patient={"patient_id": "P-WANTED", "family_name": name})
    make_step(patient={"patient_id": "P-OTHER", "family_name": "Doe"})
    shown = findscu(provider, b"PatientName=" + key, calling="CT9")
    of_another_alphabet = station_set == "ISO_IR 100" and name == "Иванов"
    assert ("P-WANTED" in shown) is not of_another_alphabet
    assert "P-OTHER" not in shown


# -- the asked day's clock


@requires("dcmtk")
def test_the_offset_is_reckoned_by_the_clock_of_the_asked_day(provider: Provider) -> None:
    """In London, 10:30 is 10:30 UTC in January and 09:30 UTC in May, whenever the query is sent."""
    for patient, month in (("P-WINTER", 1), ("P-SUMMER", 5)):
        make_step(patient={"patient_id": patient}, scheduled_date=datetime.date(2026, month, 15))
    for patient, day, time in (("P-WINTER", b"20260115", b"1030"), ("P-SUMMER", b"20260515", b"0930")):
        shown = findscu(
            provider,
            b"TimezoneOffsetFromUTC=+0000",
            b"(0040,0100)[0].ScheduledProcedureStepStartDate=" + day,
            b"(0040,0100)[0].ScheduledProcedureStepStartTime=" + time,
        )
        assert patient in shown


@requires("dcmtk")
def test_a_range_of_days_across_a_clock_change_has_both_clocks(provider: Provider) -> None:
    """The clocks of London went forward on 29 March 2026."""
    for patient, day, hour in (("P-1", 28, 10), ("P-2", 28, 11), ("P-3", 30, 10), ("P-4", 30, 11)):
        make_step(
            patient={"patient_id": patient},
            scheduled_date=datetime.date(2026, 3, day),
            scheduled_time=datetime.time(hour, 15),
        )
    shown = findscu(
        provider,
        b"TimezoneOffsetFromUTC=+0000",
        b"(0040,0100)[0].ScheduledProcedureStepStartDate=20260327-20260331",
        b"(0040,0100)[0].ScheduledProcedureStepStartTime=1015",
    )
    assert [patient for patient in ("P-1", "P-2", "P-3", "P-4") if patient in shown] == ["P-1", "P-4"]


@requires("dcmtk")
def test_a_range_of_days_that_ends_before_it_begins_is_answered(provider: Provider) -> None:
    make_step(patient={"patient_id": "P-1"})
    shown = findscu(
        provider,
        b"TimezoneOffsetFromUTC=+0000",
        b"(0040,0100)[0].ScheduledProcedureStepStartDate=20260510-20260501",
        b"(0040,0100)[0].ScheduledProcedureStepStartTime=1030",
    )
    assert "P-1" not in shown


# -- Scheduled Station AE Title is type 1


@pytest.mark.parametrize("calling", ["CT1", "SCANNER9"])
def test_a_step_for_any_station_is_told_to_be_for_the_one_that_asks(provider: Provider, calling: str) -> None:
    make_station("CT1")
    make_step(modality="CT")
    asked = identifier(step={"ScheduledStationAETitle": "", "Modality": ""}, PatientID="")
    (answer,) = find(provider.port, asked, calling=calling).identifiers
    assert answer.ScheduledProcedureStepSequence[0].ScheduledStationAETitle == calling


def test_a_step_whose_station_was_deleted_still_has_an_ae_title(provider: Provider) -> None:
    station = make_station("CT1")
    make_step(modality="CT", stations=[station])
    station.delete()
    asked = identifier(step={"ScheduledStationAETitle": "", "Modality": ""}, PatientID="")
    (answer,) = find(provider.port, asked, calling="SCANNER9").identifiers
    assert answer.ScheduledProcedureStepSequence[0].ScheduledStationAETitle == "SCANNER9"
