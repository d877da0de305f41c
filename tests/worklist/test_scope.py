"""What a station sees, whatever it asks for: the department's rules and its own profile."""

from __future__ import annotations

import datetime
from typing import Any

import pytest

from mwl_admin.models import ScheduledProcedureStep, Station
from mwl_admin.worklist import policy
from mwl_admin.worklist.policy import Policy
from mwl_admin.worklist.query_errors import TooManyMatchesError
from tests.factory import DAY, make_station, make_step
from tests.worklist.queries import NOON, answers, found, identifier, pks, query

ALL = identifier(step={})


@pytest.fixture
def stations(rolled_back: str) -> dict[str, Station]:
    return {title: make_station(title, modality) for title, modality in {"CT1": "CT", "CT2": "CT", "MR1": "MR"}.items()}


@pytest.fixture
def steps(stations: dict[str, Station]) -> dict[str, ScheduledProcedureStep]:
    return {
        "of CT1": make_step(stations=[stations["CT1"]]),
        "of both": make_step(stations=[stations["CT1"], stations["CT2"]]),
        "of CT2": make_step(stations=[stations["CT2"]]),
        "any CT": make_step(),
        "of MR1": make_step(modality="MR", stations=[stations["MR1"]]),
        # A CT step that is done on the MR's trolley: assignment counts, not modality.
        "CT on MR1": make_step(stations=[stations["MR1"]]),
    }


def seen(steps: dict[str, ScheduledProcedureStep], caller: str, ds: Any = ALL, **options: Any) -> set[str]:
    names = {step.pk: name for name, step in steps.items()}
    return {names[pk] for pk in found(ds, caller=caller, **options)}


def profile(station: Station, **values: Any) -> None:
    Station.objects.filter(pk=station.pk).update(**values)


def test_a_station_sees_its_own_steps_and_those_of_its_modality_without_a_station(
    steps: dict[str, ScheduledProcedureStep],
) -> None:
    assert seen(steps, "CT1") == {"of CT1", "of both", "any CT"}
    assert seen(steps, "MR1") == {"of MR1", "CT on MR1"}


def test_with_the_scope_all_it_sees_everything(steps: dict[str, ScheduledProcedureStep]) -> None:
    assert seen(steps, "CT1", policy=Policy(own_only=False)) == set(steps)


def test_an_unknown_ae_title_sees_everything_or_nothing(steps: dict[str, ScheduledProcedureStep]) -> None:
    assert seen(steps, "NEW") == set(steps)
    assert seen(steps, "NEW", policy=Policy(unknown_see=False)) == set()


def test_a_station_that_is_switched_off_gets_no_worklist(
    steps: dict[str, ScheduledProcedureStep], stations: dict[str, Station]
) -> None:
    profile(stations["CT1"], enabled=False)
    assert seen(steps, "CT1") == set()


def test_a_station_that_calls_from_elsewhere_gets_no_worklist(
    steps: dict[str, ScheduledProcedureStep], stations: dict[str, Station]
) -> None:
    profile(stations["CT1"], expected_addresses="192.0.2.0/24\n2001:db8::7")
    assert seen(steps, "CT1", address="192.0.2.9") == {"of CT1", "of both", "any CT"}
    assert seen(steps, "CT1", address="2001:db8::7") == {"of CT1", "of both", "any CT"}
    assert seen(steps, "CT1", address="198.51.100.1") == set()


def test_a_step_for_any_station_of_its_modality_is_told_to_each_as_its_own(
    stations: dict[str, Station],
) -> None:
    make_step()
    asked = identifier(step={"ScheduledStationAETitle": ""})
    titles = {
        caller: answers(asked, caller=caller)[0].ScheduledProcedureStepSequence[0].ScheduledStationAETitle
        for caller in ("CT1", "CT2", "NEW")
    }
    assert titles["CT1"] == "CT1"
    assert titles["CT2"] == "CT2"
    assert titles["NEW"] == "NEW"


@pytest.mark.parametrize("status", ["COMPLETED", "DISCONTINUED", "CANCELLED"])
def test_what_has_ended_is_hidden_or_shown_without_a_status_that_dicom_does_not_know(
    rolled_back: str, status: str
) -> None:
    step = make_step(status=status)
    asked = identifier(step={"ScheduledProcedureStepStatus": ""})
    assert found(asked) == []
    assert found(asked, policy=Policy(hide_ended=False)) == [step.pk]
    (answer,) = answers(asked, policy=Policy(hide_ended=False))
    assert answer.ScheduledProcedureStepSequence[0]["ScheduledProcedureStepStatus"].is_empty


def days(*offsets: int) -> list[ScheduledProcedureStep]:
    return [make_step(scheduled_date=DAY + datetime.timedelta(days=offset)) for offset in offsets]


def test_a_query_without_a_date_sees_the_default_days_and_one_with_a_date_what_it_asks_for(rolled_back: str) -> None:
    made = days(-3, -2, 0, 7, 8)
    rules = Policy(default_days=(-2, 7))
    for undated in ({}, {"ScheduledProcedureStepStartDate": ""}, {"ScheduledProcedureStepStartDate": "*"}):
        assert found(identifier(step=undated), policy=rules) == pks(made[1:4])
    assert found(identifier(PatientID=""), policy=rules) == pks(made[1:4])
    assert found(identifier(step={"ScheduledProcedureStepStartDate": "20260501"}), policy=rules) == pks(made[:1])


def test_a_stations_window_of_days_holds_for_every_query(stations: dict[str, Station]) -> None:
    made = days(-1, 0, 1, 2)
    profile(stations["CT1"], days_back=0, days_ahead=1)
    assert found(ALL, caller="CT1") == pks(made[1:3])
    assert found(identifier(step={"ScheduledProcedureStepStartDate": "20260503-"}), caller="CT1") == pks(made[1:3])
    profile(stations["CT1"], days_back=None, days_ahead=1)
    assert found(ALL, caller="CT1") == pks(made[:3])


def test_a_stations_window_of_hours_reaches_over_midnight(stations: dict[str, Station]) -> None:
    late = make_step(scheduled_time=datetime.time(23))
    early = make_step(scheduled_date=DAY + datetime.timedelta(days=1), scheduled_time=datetime.time(0, 30))
    make_step(scheduled_date=DAY + datetime.timedelta(days=1), scheduled_time=datetime.time(3))
    profile(stations["CT1"], hours_back=1, hours_ahead=2)
    assert found(ALL, caller="CT1", now=NOON.replace(hour=23, minute=30)) == [late.pk, early.pk]


def test_a_station_ae_key_can_be_ignored_or_replaced(
    steps: dict[str, ScheduledProcedureStep], stations: dict[str, Station]
) -> None:
    wrong = identifier(step={"ScheduledStationAETitle": "CT_OLD"})
    assert seen(steps, "CT1", wrong) == set()
    profile(stations["CT1"], station_ae_key="IGNORE")
    assert seen(steps, "CT1", wrong) == {"of CT1", "of both", "any CT"}
    profile(stations["CT1"], station_ae_key="OWN")
    assert seen(steps, "CT1", wrong, policy=Policy(own_only=False)) == {"of CT1", "of both", "any CT"}


def test_a_list_is_cut_at_the_smaller_maximum_and_the_query_knows(stations: dict[str, Station]) -> None:
    made = days(0, 1, 2)
    cut = query(ALL, policy=Policy(maximum_matches=2))
    assert [match.step_pk for match in cut.run()] == pks(made[:2])
    assert cut.truncated
    whole = query(ALL, policy=Policy(maximum_matches=3))
    assert len(list(whole.run())) == 3
    assert not whole.truncated
    profile(stations["CT1"], maximum_matches=1)
    assert found(ALL, caller="CT1") == pks(made[:1])


def test_a_list_above_the_maximum_is_refused_when_so_set(rolled_back: str) -> None:
    days(0, 1)
    rules = Policy(maximum_matches=1, refuse_above=True)
    with pytest.raises(TooManyMatchesError, match="More than 1 entries match"):
        found(ALL, policy=rules)
    assert len(found(ALL, policy=Policy(maximum_matches=2, refuse_above=True))) == 2


def test_a_station_gets_its_own_character_set_and_what_that_cannot_carry_visibly_replaced(
    stations: dict[str, Station],
) -> None:
    make_step(patient={"family_name": "Müller", "ideographic_name": "山田"})
    profile(stations["CT1"], response_character_set="ISO_IR 100")
    (answer,) = answers(identifier(PatientName=""), caller="CT1")
    assert answer.SpecificCharacterSet == "ISO_IR 100"
    assert answer.PatientName == "Müller=??"


def test_names_are_sent_without_accents_to_a_station_that_shows_them_garbled(stations: dict[str, Station]) -> None:
    make_step(
        patient={"family_name": "Müller", "given_name": "Zoë"}, requested={"requesting_physician": "Strauß^Łucja"}
    )
    profile(stations["CT1"], transliterate_names=True, response_character_set="ISO_IR 6")
    (answer,) = answers(identifier(PatientName="", RequestingPhysician=""), caller="CT1")
    assert answer.PatientName == "Muller^Zoe"
    assert answer.RequestingPhysician == "Strauss^Lucja"
    assert "SpecificCharacterSet" not in answer


def test_keys_are_left_out_when_empty_where_a_station_chokes_on_them(stations: dict[str, Station]) -> None:
    make_step()
    profile(stations["CT1"], omitted_when_empty=["PatientBirthDate", "PatientSex", "ReferencedStudySequence"])
    asked = identifier(PatientBirthDate="", PatientSex="", PatientWeight=None, ReferencedStudySequence=[])
    (answer,) = answers(asked, caller="CT1")
    assert "PatientBirthDate" not in answer
    assert "ReferencedStudySequence" not in answer
    assert "PatientWeight" in answer


@pytest.mark.parametrize(("text", "window"), [("off", None), ("-2:+7", (-2, 7)), ("0:0", (0, 0)), (" -1:3 ", (-1, 3))])
def test_the_default_days_are_read(text: str, window: tuple[int, int] | None) -> None:
    assert policy.days(text) == window


@pytest.mark.parametrize("text", ["", "7", "7:-2", "a:b", "-2..7"])
def test_days_that_make_no_window_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is neither off nor a first and a last day"):
        policy.days(text)
