"""The one rule: a person is patient ID and issuer, confirmed by name and birth date."""

from __future__ import annotations

import datetime
from typing import Any

import pytest

from mwl_admin.patients.identity import Demographics, IdentityVerdict, contradictions, is_placeholder, judge

BORN = datetime.date(1950, 7, 1)
JANE = Demographics("P-1", "", "Doe^Jane", BORN, "F")


def other(**values: Any) -> Demographics:
    known = {"patient_id": "P-1", "issuer": "", "name": "Doe^Jane", "birth_date": BORN, "sex": "F"}
    return Demographics(**{**known, **values})


@pytest.mark.parametrize(
    ("told", "differs"),
    [
        (other(patient_id="P-2"), ("PatientID",)),
        (other(issuer="ELSEWHERE"), ("IssuerOfPatientID",)),
        (other(name="Roe^Jane"), ("PatientName",)),
        (other(name="Doe^John"), ("PatientName",)),
        (other(birth_date=datetime.date(1950, 1, 7)), ("PatientBirthDate",)),
        (other(sex="M"), ("PatientSex",)),
        (other(name="Doe^John", sex="M"), ("PatientName", "PatientSex")),
    ],
)
def test_who_differs_is_another_person_and_it_is_told_in_what(told: Demographics, differs: tuple[str, ...]) -> None:
    judgement = judge(JANE, told)
    assert (judgement.verdict, judgement.differs) == (IdentityVerdict.DIFFERS, differs)
    assert judge(told, JANE).differs == differs


@pytest.mark.parametrize(
    "told",
    [
        other(),
        other(name="DOE^JANE"),
        other(name="Döe^Jàne"),
        other(name="Doe"),
        other(name="Doe^Jane^Mary^Dr^"),
        other(name=" Doe ^ Jane ^^"),
        other(name="", sex=""),
        other(birth_date=None),
        other(sex="U"),
    ],
)
def test_spelling_and_what_is_absent_make_nobody_another_person(told: Demographics) -> None:
    assert judge(JANE, told).verdict is IdentityVerdict.SAME
    assert judge(told, JANE).verdict is IdentityVerdict.SAME


def test_what_is_absent_does_not_confirm_either() -> None:
    assert judge(JANE, Demographics("P-1")).verdict is IdentityVerdict.UNKNOWN
    assert (
        judge(Demographics("P-1", name="Doe"), Demographics("P-1", birth_date=BORN)).verdict is IdentityVerdict.UNKNOWN
    )


@pytest.mark.parametrize(
    ("known", "told", "same"),
    [
        ("Yamada^Tarou=山田^太郎", "Yamada^Tarou", True),
        ("Yamada^Tarou=山田^太郎", "=山田^太郎", True),
        ("Yamada^Tarou=山田^太郎", "Yamada^Tarou=山田^太朗", False),
        ("Yamada^Tarou=山田^太郎", "Yamada^Tarou==やまだ^たろう", True),
    ],
)
def test_each_form_of_a_name_is_compared_with_its_own_kind(known: str, told: str, same: bool) -> None:
    assert (not judge(other(name=known), other(name=told)).differs) is same


def test_an_absent_issuer_is_the_departments(settings: Any) -> None:
    settings.PATIENT_ID_ISSUER = "HOSPITAL"
    assert judge(JANE, other(issuer="HOSPITAL")).verdict is IdentityVerdict.SAME
    assert judge(other(issuer="HOSPITAL"), JANE).verdict is IdentityVerdict.SAME
    assert judge(JANE, other(issuer="ELSEWHERE")).differs == ("IssuerOfPatientID",)


@pytest.mark.parametrize(
    ("known", "told", "same"),
    [
        ("Müller^Änne", "Mueller^Aenne", True),
        ("Müller^Änne", "M?ller^?nne", True),
        ("Müller^Änne", "Möller^Änne", False),
        ("Müller^Änne", "??????", True),
        ("Ann^Jo", "Anna^Jo", False),
        ("Anna^Jo", "Ann^Jo", False),
        ("Wolfeschlegelsteinhausen", "Wolfeschlegel", True),
    ],
)
def test_what_comes_back_from_a_station_may_have_lost_letters(known: str, told: str, same: bool) -> None:
    assert (not judge(other(name=known), other(name=told), lossy=True).differs) is same
    if known != told:
        assert judge(other(name=known), other(name=told)).differs == ("PatientName",)


@pytest.mark.parametrize("patient_id", ["", "0", "0000", "-", "UNKNOWN", "unknown", "N/A", "none", "???"])
def test_an_id_that_stands_for_nobody_needs_name_and_birth_date(patient_id: str) -> None:
    assert is_placeholder(patient_id)
    known = other(patient_id=patient_id)
    assert contradictions(known, known, by_id_alone=True) == ()
    vague = other(patient_id=patient_id, birth_date=None)
    assert contradictions(known, vague, by_id_alone=True) == ("PatientID",)
    assert contradictions(known, vague) == ()


@pytest.mark.parametrize("patient_id", ["1", "P0", "10", "0-1", "NONE-1", "A"])
def test_an_id_is_not_taken_for_nobodys(patient_id: str) -> None:
    assert not is_placeholder(patient_id)
