"""A station's profile as staff edit it."""

import pytest
from django.test import Client
from django.urls import reverse

from tests.mwl_admin.cast import make_station
from tests.mwl_admin.pages import errors, open_form

pytestmark = pytest.mark.django_db

CHANGE = "admin:mwl_admin_station_change"


def test_a_profile_is_edited(browser: Client) -> None:
    station = make_station()
    values = open_form(browser, CHANGE, station.pk)
    values |= {
        "response_character_set": "\\ISO 2022 IR 87",
        "station_ae_key": "IGNORE",
        "days_back": "1",
        "hours_ahead": "12",
        "maximum_matches": "50",
        "omitted_when_empty": "PregnancyStatus\r\nAllergies",
        "transliterate_names": "on",
    }
    response = browser.post(reverse(CHANGE, args=[station.pk]), values)
    assert response.status_code == 302, errors(response)
    station.refresh_from_db()
    assert station.response_character_set == "\\ISO 2022 IR 87"
    assert station.station_ae_key == "IGNORE"
    assert (station.days_back, station.days_ahead) == (1, None)
    assert (station.hours_back, station.hours_ahead) == (None, 12)
    assert station.maximum_matches == 50
    assert station.omitted_when_empty == ["PregnancyStatus", "Allergies"]
    assert station.transliterate_names
    assert open_form(browser, CHANGE, station.pk)["omitted_when_empty"] == "PregnancyStatus\nAllergies"


@pytest.mark.parametrize(
    ("field", "value", "words"),
    [
        ("ae_title", "Röntgen", "not the character U+00F6"),
        ("ae_title", "", "required"),
        ("ae_title", "CT2", "already exists"),
        ("modality", "c-t", "not “-”"),
        ("expected_addresses", "scanner", "neither an IP address nor a network"),
        ("maximum_matches", "0", "greater than or equal to 1"),
        ("omitted_when_empty", "Pregnancy", "“Pregnancy” is not the keyword of a DICOM attribute"),
    ],
)
def test_what_is_wrong_is_told_next_to_the_field(browser: Client, field: str, value: str, words: str) -> None:
    make_station(ae_title="CT2")
    station = make_station()
    values = {**open_form(browser, CHANGE, station.pk), field: value}
    found = errors(browser.post(reverse(CHANGE, args=[station.pk]), values))
    assert set(found) == {field}
    assert words in found[field][0]


def test_saving_a_profile_unchanged_writes_nothing(browser: Client) -> None:
    station = make_station(omitted_when_empty=["Allergies"])
    browser.post(reverse(CHANGE, args=[station.pk]), open_form(browser, CHANGE, station.pk))
    station.refresh_from_db()
    assert station.version == 1
