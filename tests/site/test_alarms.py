"""What the image receiver told, on the start page: how many images came, and what does not fit."""

from datetime import datetime, time, timedelta
from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.core.cache import cache
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from mwl_admin.models import ReceivedStudy, ScheduledProcedureStep, SettledStep, StepStatus
from tests.factory import make_patient, make_requested, make_station, make_step
from tests.site.conftest import Login
from tests.site.markup import markup
from tests.site.test_today import make_today, shown

pytestmark = pytest.mark.django_db

MIXED_UP, NO_ENTRY, NO_IMAGES = "images of another patient", "has no entry", "no images came"


@pytest.fixture
def radiographer(login: Login) -> Client:
    return login("Radiographer")


def arrived(step: ScheduledProcedureStep | None = None, **values: Any) -> ReceivedStudy:
    """A study as the receiver tells of it; of ``step``, when that is given."""
    number = ReceivedStudy.objects.count()
    patient = step.requested_procedure.patient if step else None
    moment = values.pop("moment", timezone.now() - timedelta(minutes=3))
    return ReceivedStudy.objects.create(
        **{
            "study_instance_uid": f"2.25.{number + 1}",
            "requested_procedure": step.requested_procedure if step else None,
            "patient_id": patient.patient_id if patient else "STRAY",
            "patient_name": "Stray^Cat" if patient is None else patient.patient_name,
            "modalities": ["CT"],
            "senders": ["CT1"],
            "instance_count": 212,
            "first_arrival_at": moment,
            "last_arrival_at": moment,
            "announced_at": moment,
            **values,
        }
    )


def started_long_ago(number: int = 1) -> ScheduledProcedureStep:
    step = make_today(number)
    step.transition(StepStatus.STARTED)
    ScheduledProcedureStep.objects.filter(pk=step.pk).update(updated_at=timezone.now() - timedelta(hours=9))
    return step


def row(page: str, name: str = "Doe, Jane") -> str:
    return next(part for part in page.split("<tr") if name in part)


def click(client: Client, view: str, pk: int, action: str = "seen", **values: str) -> str:
    response = client.post(reverse(view, args=[pk, action]), values, headers={"X-Page-Query": ""})
    assert response.status_code == 200
    return markup(response)


def test_each_step_tells_how_many_images_came_and_since_when(desk: Client) -> None:
    step = make_today(1)
    assert "image" not in row(shown(desk))
    at = timezone.make_aware(datetime.combine(step.scheduled_date, time(10, 12)))
    arrived(step, first_arrival_at=at)
    assert "212 images since 10:12" in row(shown(desk))
    arrived(step, instance_count=1, first_arrival_at=at - timedelta(days=1))
    assert "213 images since" in row(shown(desk))
    step.transition(StepStatus.COMPLETED)
    assert ">213 images<" in row(shown(desk))


def test_images_of_another_modality_are_called_so(desk: Client) -> None:
    step = make_today(1)
    arrived(step, modalities=["PT"])
    assert "212 images (PT) since" in row(shown(desk))


def test_the_number_of_images_shows_without_reloading(desk: Client) -> None:
    step = make_today(1)
    seen = markup(desk.get(reverse("today_list"))).partition("&amp;seen=")[2].partition('"')[0]
    arrived(step)
    answer = desk.get(reverse("today_list"), {"seen": seen})
    assert answer.status_code == 200
    assert "212 images" in markup(answer)


def test_without_a_receiver_nothing_is_said_of_images(radiographer: Client) -> None:
    started_long_ago()
    page = shown(radiographer)
    assert "g-alarm" not in page
    assert "g-images" not in page


def test_images_of_somebody_else_come_first_and_mark_the_step(radiographer: Client) -> None:
    started_long_ago(2)
    arrived()
    mixed = make_today(1, family_name="Roe")
    study = arrived(mixed, patient_id="P-9", patient_name="Other^Person")
    page = shown(radiographer)
    places = [page.index(words) for words in (MIXED_UP, NO_ENTRY, NO_IMAGES, 'class="g-counts"')]
    assert places == sorted(places)
    assert page.count("g-grave") == 1
    assert "212 images of Other, Person (P-9) arrived for the entry of Roe, Jane (P-1), ACC-1." in page
    assert "212 images of Stray, Cat (STRAY) from CT1." in page
    for name, key in (
        ("admin:mwl_admin_receivedstudy_change", study.pk),
        ("admin:mwl_admin_requestedprocedure_change", mixed.requested_procedure_id),
    ):
        assert reverse(name, args=[key]) in page
        assert radiographer.get(reverse(name, args=[key])).status_code == 200
    assert MIXED_UP in row(page, "ACC-1</td>")
    assert MIXED_UP not in row(page, "ACC-2</td>")


@pytest.mark.parametrize("has_entry", [True, False])
def test_images_of_different_patients_in_one_study_are_a_mix_up_that_can_be_settled(
    radiographer: Client, has_entry: bool
) -> None:
    step = make_today(1) if has_entry else None
    boris = {"id": "P-2", "name": "Roe^Boris"}
    study = arrived(step, several_patients=True, other_patients=[boris])
    first = "Doe, Jane (P-1)" if has_entry else "Stray, Cat (STRAY)"
    page = shown(radiographer)
    assert f"212 images of different patients came as one study: {first}; Roe, Boris (P-2)." in page
    assert page.count("g-grave") == 1
    assert (
        "Roe^Boris (P-2)"
        in radiographer.get(reverse("admin:mwl_admin_receivedstudy_change", args=[study.pk])).content.decode()
    )
    assert MIXED_UP not in click(radiographer, "settle_study", study.pk, announced=study.announced_at.isoformat())


def test_images_that_lie_aside_at_the_receiver_are_told_and_can_be_settled(radiographer: Client) -> None:
    study = arrived(make_today(1), set_aside_count=2)
    page = shown(radiographer)
    assert "Images of 1 study came again with other content" in page
    assert "2 images of Doe, Jane (P-1) from CT1 came again with other content; the first ones are kept." in page
    found = radiographer.get(reverse("admin:mwl_admin_receivedstudy_changelist"), {"fit": "set_aside"})
    assert reverse("admin:mwl_admin_receivedstudy_change", args=[study.pk]) in found.content.decode()
    page = click(radiographer, "settle_study", study.pk, announced=study.announced_at.isoformat())
    assert "came again with other content" not in page


def test_one_click_settles_a_study_and_another_takes_that_back(radiographer: Client) -> None:
    study = arrived()
    assert NO_ENTRY in shown(radiographer)
    page = click(radiographer, "settle_study", study.pk, announced=study.announced_at.isoformat())
    study.refresh_from_db()
    assert study.settled_by is not None
    assert (study.settled_by.get_username(), NO_ENTRY in page) == ("radiographer", False)
    undo = reverse("settle_study", args=[study.pk, "undo"])
    assert f'hx-post="{undo}"' in page
    assert NO_ENTRY in click(radiographer, "settle_study", study.pk, "undo")
    told = LogEntry.objects.filter(object_id=str(study.pk)).order_by("pk").values_list("change_message", flat=True)
    assert list(told) == ["Looked at.", "To be looked at again."]


def test_a_study_that_has_grown_since_it_was_shown_is_not_settled(radiographer: Client) -> None:
    study = arrived()
    before = study.announced_at - timedelta(minutes=1)
    page = click(radiographer, "settle_study", study.pk, announced=before.isoformat())
    assert "More images have come meanwhile" in page
    assert 'role="alert"' in page
    assert NO_ENTRY in page


def test_one_click_settles_a_step_without_images_and_another_takes_that_back(radiographer: Client) -> None:
    step = started_long_ago()
    other = arrived(make_today(2))
    assert NO_IMAGES in shown(radiographer)
    assert NO_IMAGES not in click(radiographer, "settle_step", step.pk)
    click(radiographer, "settle_step", step.pk)
    assert [str(settled.settled_by) for settled in SettledStep.objects.all()] == ["radiographer"]
    assert NO_IMAGES in click(radiographer, "settle_step", step.pk, "undo")
    assert other.settled_at is None
    step.refresh_from_db()
    assert step.status == StepStatus.STARTED


@pytest.mark.parametrize(("role", "sees"), [("Reception", False), ("Radiographer", True), ("Manager", True)])
def test_alarms_are_for_those_who_may_see_images(login: Login, role: str, sees: bool) -> None:
    study, step = arrived(), started_long_ago()
    client = login(role)
    page = shown(client)
    assert (NO_ENTRY in page, NO_IMAGES in page) == (sees, sees)
    for view, pk in (("settle_study", study.pk), ("settle_step", step.pk)):
        assert client.post(reverse(view, args=[pk, "seen"])).status_code == (200 if sees else 403)


def test_who_may_only_look_is_offered_no_button(radiographer: Client) -> None:
    from django.contrib.auth.models import Group, Permission

    study = arrived()
    Group.objects.get(name="Radiographer").permissions.remove(Permission.objects.get(codename="change_receivedstudy"))
    page = shown(radiographer)
    assert NO_ENTRY in page
    assert reverse("settle_study", args=[study.pk, "seen"]) not in page
    assert radiographer.post(reverse("settle_study", args=[study.pk, "seen"])).status_code == 403


def test_settling_needs_a_click_not_a_link(radiographer: Client) -> None:
    assert radiographer.get(reverse("settle_study", args=[arrived().pk, "seen"])).status_code == 405


def test_more_alarms_than_fit_are_counted_and_a_click_away(radiographer: Client) -> None:
    for _ in range(8):
        arrived()
    page = shown(radiographer)
    assert "8 studies have no entry" in page
    assert page.count("Stray, Cat (STRAY) from CT1. <") == 5
    assert "?fit=no_entry" in page
    assert ">3 more</a>" in page


def test_settled_studies_can_be_looked_at_again_from_their_list(radiographer: Client) -> None:
    study = arrived(settled_at=timezone.now())
    address = reverse("admin:mwl_admin_receivedstudy_changelist")
    radiographer.post(address, {"action": "reopen", "_selected_action": [study.pk]})
    study.refresh_from_db()
    assert study.settled_at is None


def test_names_in_images_cannot_become_markup(radiographer: Client) -> None:
    arrived(patient_name="<b>Cat", patient_id="'\"><script>")
    page = shown(radiographer)
    assert "<b>Cat" not in page
    assert "><script>" not in page


def test_alarms_take_the_same_number_of_queries_however_many(
    radiographer: Client, django_assert_max_num_queries: Any
) -> None:
    station = make_station()
    for number in range(12):
        step = started_long_ago(number)
        step.stations.add(station)
        arrived()
        entry = make_requested(make_patient(patient_id=f"Q-{number}"), accession_number=f"Q-{number}")
        mixed = make_step(entry, scheduled_date=timezone.localdate())
        mixed.stations.add(station)
        arrived(mixed, patient_id="ANOTHER")
    shown(radiographer)
    with django_assert_max_num_queries(23):
        page = shown(radiographer)
    for words in ("12 studies have images of another patient", "12 studies have no entry", "12 steps were started"):
        assert words in page


def test_studies_are_compared_once_in_a_while_and_what_fits_again_is_never_told(radiographer: Client) -> None:
    step = make_today(1)
    arrived(step)
    assert MIXED_UP not in shown(radiographer)
    with CaptureQueriesContext(connection) as queries:
        shown(radiographer)
    assert not [query["sql"] for query in queries if "^^" in query["sql"]], "it was compared a moment ago"
    known = ReceivedStudy.objects.get().patient_id
    ReceivedStudy.objects.update(patient_id="ANOTHER")
    cache.clear()  # as the seconds do that pass
    assert MIXED_UP in shown(radiographer)
    ReceivedStudy.objects.update(patient_id=known)
    assert MIXED_UP not in shown(radiographer)
