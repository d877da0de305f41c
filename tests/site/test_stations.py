"""The pages about modalities: their state, what they would get, and why not."""

import re
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.test import Client
from django.urls import reverse
from django.utils import timezone
from pynetdicom import AE, evt
from pynetdicom.sop_class import Verification  # type: ignore[attr-defined]

import dicom_listener.access
import dicom_listener.devices
from mwl_admin.devices.echo import echo
from mwl_admin.models import (
    Enrolment,
    KeptOut,
    ReceivedStudy,
    Station,
    UnknownCaller,
    WorklistDelivery,
    WorklistQuery,
)
from mwl_admin.site.pages.callers import REJECTIONS
from mwl_admin.site.pages.stations import usual_keys
from mwl_admin.worklist.policy import Policy
from tests.factory import make_patient, make_requested, make_station, make_step
from tests.site.markup import markup

pytestmark = pytest.mark.django_db


def make_query(title: str = "CT1", *, day: Any = None, minutes: int = 5, **values: Any) -> WorklistQuery:
    station = Station(ae_title=title, modality="CT")
    return WorklistQuery.objects.create(
        **{
            "received_at": timezone.now() - timedelta(minutes=minutes),
            "calling_ae_title": title,
            "called_ae_title": "MWL_SCP",
            "address": "192.0.2.7",
            "keys": usual_keys(station, day or timezone.localdate()),
            "status": 0,
            "milliseconds": 3.5,
            **values,
        }
    )


def make_todays(**values: Any) -> Any:
    entry = make_requested(make_patient(), requested_procedure_description="CT")
    return make_step(entry, scheduled_date=timezone.localdate(), **values)


def page(client: Client, name: str, *keys: int, **query: str) -> str:
    response = client.get(reverse(name, args=keys), query)
    assert response.status_code == 200
    return markup(response)


def test_each_station_tells_its_last_query(manager: Client) -> None:
    make_station(last_echo_at=timezone.now() - timedelta(hours=2))
    make_query(minutes=90, matches=7)
    make_query(matches=4)
    html = page(manager, "stations")
    assert "5 min ago" in html
    assert "from 192.0.2.7, 4 matches, 4 ms" in html
    assert "2 h ago" in html


def test_each_station_tells_its_last_images(manager: Client) -> None:
    make_station()
    moment = timezone.now() - timedelta(minutes=7)
    times = dict.fromkeys(("first_arrival_at", "last_arrival_at", "announced_at"), moment)
    ReceivedStudy.objects.create(study_instance_uid="1.2.3", senders=["CT1"], instance_count=120, **times)
    html = page(manager, "stations")
    assert "7 min ago" in html
    assert "120 images" in html


def test_unknown_callers_are_listed_and_added_with_one_click(login: Any) -> None:
    boss = login("Administrator")
    make_station()
    make_query()
    make_query("STRANGER")
    make_query("STRANGER", minutes=9)
    html = page(boss, "stations")
    assert "1 unknown AE title" in html
    assert "2 queries" in html
    response = boss.get(reverse("stations"))
    add = response.context_data["callers"].unknown[0].add
    form = boss.get(add).content.decode()
    for value in ("STRANGER", "192.0.2.7", "CT"):
        assert value in form


def test_unknown_callers_that_only_echoed_or_were_rejected_are_listed_and_added_too(login: Any) -> None:
    boss = login("Administrator")
    make_station()
    make_query("ASKED", minutes=20)
    now = timezone.now()
    for title, because, days in (
        ("ECHOED", "", 0),
        ("REFUSED", "calling AE title is not on the list", 0),
        ("ASKED", "", 0),
        ("CT1", "no user identity", 0),
        ("LONGAGO", "", 20),
    ):
        UnknownCaller.objects.create(
            ae_title=title,
            address="192.0.2.9",
            attempts=2,
            rejected_because=because,
            last_seen_at=now - timedelta(days=days, minutes=1),
        )
    html = page(boss, "stations")
    assert "3 unknown AE titles called" in html
    assert "from 192.0.2.9, 2 echoes, last" in html
    assert ": turned away, calling AE title is not on the list" in html
    assert "LONGAGO" not in html
    unknown = boss.get(reverse("stations")).context_data["callers"].unknown
    assert {(caller.ae_title, caller.query is None) for caller in unknown} == {
        ("ECHOED", True),
        ("REFUSED", True),
        ("ASKED", False),
    }
    form = boss.get(next(caller.add for caller in unknown if caller.ae_title == "ECHOED")).content.decode()
    for value in ("ECHOED", "192.0.2.9"):
        assert value in form


def turned_away(title: str, because: str = "device is switched off", *, minutes: float = 1, **values: Any) -> None:
    UnknownCaller.objects.create(
        ae_title=title,
        address="192.0.2.9",
        attempts=2,
        rejected_because=because,
        last_seen_at=timezone.now() - timedelta(minutes=minutes),
        **values,
    )


def test_whom_either_service_turned_away_is_told_with_its_reason(login: Any) -> None:
    boss = login("Administrator")
    make_query("BOTH", minutes=20)
    turned_away("BOTH", "calling AE title belongs to no known device", service="images")
    turned_away("WORKLIST", "no user identity")
    told = {(one.ae_title, one.service, one.rejected_because) for one in callers(boss).unknown}
    assert told == {
        ("BOTH", "worklist", ""),
        ("BOTH", "images", "calling AE title belongs to no known device"),
        ("WORKLIST", "worklist", "no user identity"),
    }
    assert "from 192.0.2.9, images, 2 calls" in page(boss, "stations")


def callers(client: Client) -> Any:
    response: Any = client.get(reverse("stations"))
    return response.context_data["callers"]


def test_a_station_that_is_turned_away_is_told_until_it_is_served_or_changed(login: Any) -> None:
    boss = login("Administrator")
    station = make_station()
    Station.objects.update(updated_at=timezone.now() - timedelta(hours=1))
    turned_away("CT1", minutes=3)
    turned_away("CT1", minutes=2, service="images")
    assert [one.service for one in callers(boss).turned_away] == ["images", "worklist"]
    assert "device is switched off" in page(boss, "stations")
    Station.objects.update(last_query_at=timezone.now())
    assert [one.service for one in callers(boss).turned_away] == ["images"]
    station.save()
    assert callers(boss).turned_away == []


def test_every_reason_of_the_rule_of_devices_is_told_in_the_sites_language() -> None:
    source = Path(dicom_listener.devices.__file__).read_text() + Path(dicom_listener.access.__file__).read_text()
    reasons = set(re.findall(r"""(?:_turned_away\(|Rejected\(Reason\.\w+, )"([^"]+)"\)""", source))
    assert reasons
    assert reasons <= set(REJECTIONS)


def test_a_caller_that_is_kept_out_is_asked_about_no_more_and_that_can_be_taken_back(login: Any) -> None:
    manager = login("Manager")
    make_query("STRANGER")
    Enrolment.objects.create(ae_title="OLDCT", service="worklist", last_seen_at=timezone.now())
    for title in ("STRANGER", "OLDCT"):
        assert manager.post(reverse("keep_out"), {"ae_title": title}).status_code == 200
    found = callers(manager)
    assert (found.unknown, found.waiting) == ([], [])
    assert [(row.ae_title, row.kept_out_by.username) for row in found.kept_out] == [
        ("OLDCT", "manager"),
        ("STRANGER", "manager"),
    ]
    manager.post(reverse("stop_keeping_out"), {"ae_title": "STRANGER"})
    found = callers(manager)
    assert [one.ae_title for one in found.unknown] == ["STRANGER"]
    assert [row.ae_title for row in found.kept_out] == ["OLDCT"]
    assert LogEntry.objects.filter(change_message="Kept out.").count() == 2


def test_what_is_a_station_or_no_ae_title_is_not_kept_out(login: Any) -> None:
    manager = login("Manager")
    make_station()
    for title in ("CT1", " CT1 ", "", "A\\B", "X" * 17):
        assert manager.post(reverse("keep_out"), {"ae_title": title}).status_code == 400
    assert not KeptOut.objects.exists()


def test_adding_a_station_is_the_answer_and_stays_it_when_the_station_goes(login: Any) -> None:
    boss = login("Administrator")
    for service in ("worklist", "images"):
        Enrolment.objects.create(ae_title="OLDCT", service=service, address="192.0.2.9", last_seen_at=timezone.now())
    KeptOut.objects.create(ae_title="CT1")
    (waiting,) = callers(boss).waiting
    assert waiting.service == "worklist, images"
    assert "OLDCT" in boss.get(waiting.add).content.decode()
    station = make_station("OLDCT")
    make_station()
    station.delete()
    assert not Enrolment.objects.exists()
    assert not KeptOut.objects.exists()


@pytest.mark.parametrize(("role", "link"), [("Manager", True), ("Administrator", True), ("Radiographer", False)])
def test_today_warns_of_devices_that_wait_for_an_answer(login: Any, role: str, link: bool) -> None:
    person = login(role)
    assert "no station yet" not in page(person, "today")
    for title in ("OLDCT", "OLDMR"):
        Enrolment.objects.create(ae_title=title, service="worklist", last_seen_at=timezone.now())
    Enrolment.objects.create(ae_title="OLDCT", service="images", last_seen_at=timezone.now())
    html = page(person, "today")
    assert "2 devices are served that are no stations yet" in html
    assert "OLDCT, OLDMR" in html
    assert (f'href="{reverse("stations")}#waiting"' in html) is link
    assert "2 devices are served that are no stations yet" in page(person, "today_list")


def test_whom_the_department_has_decided_to_shut_out_nobody_warns_of(login: Any, settings: Any) -> None:
    settings.WORKLIST_POLICY = Policy(unknown_see=False, serve_as_before=False)
    Enrolment.objects.create(ae_title="OLDCT", service="worklist", last_seen_at=timezone.now())
    assert "no station yet" not in page(login("Manager"), "today")


def test_other_devices_are_listed_with_their_kind_and_only_modalities_are_queried_as(manager: Client) -> None:
    station, archive = make_station(), make_station("ARCHIVE", kind="archive", modality="")
    html = page(manager, "stations")
    assert ">archive<" in html
    assert reverse("query_as_station", args=[station.pk]) in html
    assert reverse("query_as_station", args=[archive.pk]) not in html
    assert ">ARCHIVE<" not in page(manager, "today")


def test_query_as_a_station_shows_exactly_what_it_would_get(manager: Client) -> None:
    station, other = make_station(), make_station("CT2")
    make_todays().stations.add(station)
    html = page(manager, "query_as_station", station.pk)
    assert "1 response" in html
    assert "Müller^Änne" in html
    assert "0 responses" in page(manager, "query_as_station", other.pk)
    make_query(day=timezone.localdate() - timedelta(days=3))
    assert "0 responses" in page(manager, "query_as_station", station.pk)
    assert "1 response" in page(manager, "query_as_station", station.pk, usual="")


def test_a_query_that_found_nothing_is_explained(manager: Client) -> None:
    station = make_station()
    make_todays().stations.add(station)
    query = make_query(day=timezone.localdate() - timedelta(days=1))
    html = page(manager, "query_explained", query.pk)
    assert "its key Scheduled Procedure Step Start Date" in html
    assert "Müller, Änne (P-1001)" in html
    admin_page = manager.get(reverse("admin:mwl_admin_worklistquery_change", args=[query.pk]))
    assert admin_page["Location"] == reverse("query_explained", args=[query.pk])


def test_an_entry_that_a_key_and_a_rule_keep_out_is_named_with_both(manager: Client) -> None:
    make_todays().stations.add(make_station())
    make_station("CT2")
    html = page(manager, "query_explained", make_query("CT2").pk)
    _, _, missed = html.partition("Entries that it would not find")
    assert "Müller, Änne (P-1001)" in missed
    assert "its key Scheduled Station AE Title; a station sees its own steps" in missed


def test_a_query_without_keys_can_be_opened(manager: Client) -> None:
    page(manager, "query_explained", make_query(keys={}, status=0xA900, error_comment="bad").pk)


def test_a_step_tells_who_got_it_and_whose_last_query_would_show_it(manager: Client) -> None:
    ct1, _ct2 = make_station(), make_station("CT2")
    step = make_todays()
    step.stations.add(ct1)
    query = make_query()
    WorklistDelivery.objects.create(
        query=query, step=step, station_ae_title="CT1", delivered_at=timezone.now() - timedelta(minutes=5)
    )
    make_query("CT2", day=timezone.localdate() - timedelta(days=1))
    html = page(manager, "step_delivery", step.pk)
    first, second = html.partition("CT1 (CT room 1)")[2].split("CT2 (CT room 2)")
    assert "1 ×" in first
    assert "Yes." in first
    assert "never" in second
    assert "its key Scheduled Procedure Step Start Date" in second


@pytest.fixture
def scanner() -> Iterator[int]:
    """A modality that answers C-ECHO; its port."""
    ae = AE("CT1")
    ae.add_supported_context(Verification)
    server = ae.start_server(("127.0.0.1", 0), block=False, evt_handlers=[(evt.EVT_C_ECHO, lambda _event: 0)])
    assert server is not None
    assert server.socket is not None
    yield server.socket.getsockname()[1]
    server.shutdown()


def test_the_echo_button_tells_whether_a_station_answers(manager: Client, scanner: int, free_port: int) -> None:
    station = make_station(expected_addresses="192.0.2.0/24\n127.0.0.1", port=scanner)
    html = manager.post(reverse("echo_station", args=[station.pk])).content.decode()
    assert f"127.0.0.1:{scanner} answers in" in html
    station.port = free_port
    assert echo(station).text == f"127.0.0.1:{free_port} does not answer."
    station.expected_addresses = "192.0.2.0/24"
    assert "no address of its own" in echo(station).text


def test_the_stations_page_takes_the_same_number_of_queries_however_many(
    manager: Client, django_assert_max_num_queries: Any
) -> None:
    for number in range(12):
        make_station(f"CT{number}")
        make_query(f"CT{number}")
    page(manager, "stations")
    with django_assert_max_num_queries(12):
        page(manager, "stations")
