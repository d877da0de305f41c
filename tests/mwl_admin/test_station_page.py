"""A station's profile as staff edit it."""

import pytest
from django.db import IntegrityError, transaction
from django.test import Client
from django.urls import reverse

from mwl_admin.models import ScheduledProcedureStep, Station
from tests.factory import make_station, make_step
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
        ("host", "http://archive", "neither a host name nor an IP address"),
        ("host", "archive:104", "the port has a field of its own"),
        ("port", "65536", "less than or equal to 65535"),
        ("certificates", "AB:CD", "is no SHA-256 fingerprint"),
        ("modality", "", "A modality needs one"),
        ("kind", "satellite", "not one of the available choices"),
        ("maximum_matches", "0", "greater than or equal to 1"),
        ("omitted_when_empty", "Pregnancy", "“Pregnancy” is not the keyword of a DICOM attribute"),
    ],
)
def test_what_is_wrong_is_told_next_to_the_field(browser: Client, field: str, value: str, words: str) -> None:
    make_station("CT2")
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


ADD = "admin:mwl_admin_station_add"


def test_another_device_than_a_modality_is_entered(browser: Client) -> None:
    fingerprint = "AB" * 32
    colons = ":".join("CD" for _ in range(32))
    values = open_form(browser, ADD) | {
        "ae_title": "ARCHIVE",
        "kind": "archive",
        "host": "archive.example",
        "port": "11112",
        "may_query": "on",
        "certificates": f"{fingerprint}\r\n\r\n{colons}\r\n{fingerprint.lower()}",
    }
    response = browser.post(reverse(ADD), values)
    assert response.status_code == 302, errors(response)
    station = Station.objects.get()
    assert (station.kind, station.modality, station.answers_at) == ("archive", "", ("archive.example", 11112))
    assert station.rights == ["store", "query"]
    assert station.certificates == f"{'ab' * 32}\n{'cd' * 32}"
    assert station.history.get().certificates == station.certificates


def test_only_a_modality_has_a_modality(browser: Client) -> None:
    station = make_station()
    found = errors(
        browser.post(reverse(CHANGE, args=[station.pk]), open_form(browser, CHANGE, station.pk) | {"kind": "ai"})
    )
    assert "leave this empty" in found["modality"][0]


def test_a_station_that_open_steps_are_planned_on_stays_a_modality(browser: Client) -> None:
    station = make_station()
    step = make_step()
    step.stations.add(station)
    values = open_form(browser, CHANGE, station.pk) | {"kind": "workstation", "modality": ""}
    assert "reschedule them first" in errors(browser.post(reverse(CHANGE, args=[station.pk]), values))["kind"][0]
    ScheduledProcedureStep.objects.update(status="COMPLETED")
    assert browser.post(reverse(CHANGE, args=[station.pk]), values).status_code == 302


@pytest.mark.parametrize(("model", "field"), [("scheduledprocedurestep", "stations"), ("procedure", "usual_station")])
def test_examinations_are_planned_on_modalities_only(browser: Client, model: str, field: str) -> None:
    modality, archive = make_station(), make_station("ARCHIVE", kind="archive", modality="")
    asked = {"app_label": "mwl_admin", "model_name": model, "field_name": field, "term": ""}
    offered = browser.get(reverse("admin:autocomplete"), asked).json()["results"]
    assert [choice["id"] for choice in offered] == [str(modality.pk)]
    step = make_step()
    change = "admin:mwl_admin_scheduledprocedurestep_change"
    values = open_form(browser, change, step.pk) | {"stations": [str(archive.pk)]}
    assert set(errors(browser.post(reverse(change, args=[step.pk]), values))) == {"stations"}


def test_the_kind_decides_whether_there_is_a_modality_however_a_station_is_saved() -> None:
    for values in ({"kind": "archive", "modality": "CT"}, {"kind": "modality", "modality": ""}):
        with pytest.raises(IntegrityError), transaction.atomic():
            make_station("X", **values)
