"""Nobody does more than the table says: each role at each address of the site, viewing and sending."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib import admin
from django.contrib.auth.models import Group, Permission, User
from django.test import Client, RequestFactory
from django.urls import reverse
from django.utils import timezone

from mwl_admin.models import Patient, RequestedProcedure, Station
from tests.security.asking import Person, all_addresses
from tests.security.may import API, ROLES, TABLE, May
from tests.security.scene import IMPORT, PASSWORD, PROCESS, Scene, entry

pytestmark = pytest.mark.django_db

EVERYBODY = [*"RXMANSP?"]


def client_of(letter: str) -> Client:
    """Return the site as one of the table's people sees it."""
    client = Client()
    if letter == "?":
        return client
    user = User.objects.create_user(f"person-{letter}", is_staff=letter != "P", is_superuser=letter == "S")
    user.set_password(PASSWORD)
    user.save()
    if letter in ROLES:
        user.groups.add(Group.objects.get(name=ROLES[letter]))
    client.force_login(user)
    return client


@pytest.fixture
def scene(roles: None) -> Scene:
    boss = Client()
    boss.force_login(User.objects.create_superuser("boss", password=PASSWORD))
    return Scene(boss)


@pytest.fixture
def routes(scene: Scene) -> dict[str, str]:
    """The address of each row of the table."""
    found = dict(all_addresses())
    return {name: scene.address(name, found[name.partition("#")[0]]) for name in TABLE}


def test_each_address_has_its_row() -> None:
    assert {name for name, _route in all_addresses()} == {name.partition("#")[0] for name in TABLE}


def test_each_action_on_a_list_has_its_row(scene: Scene) -> None:
    request = RequestFactory().get("/")
    request.user = User.objects.get(username="boss")
    actions = {
        f"admin:{model._meta.app_label}_{model._meta.model_name}_changelist#{action}"
        for model, page in admin.site._registry.items()
        for action in page.get_actions(request)
    }
    assert actions == {name for name in TABLE if "#" in name}


@pytest.mark.parametrize("who", EVERYBODY)
def test_viewing(scene: Scene, routes: dict[str, str], who: str) -> None:
    person = Person(client_of(who))
    answers = {name: person.ask("GET", address) for name, address in routes.items() if "#" not in name}
    assert [name for name, answered in answers.items() if answered.wrote] == []
    served = {name for name, answered in answers.items() if answered.served}
    assert beyond(served, {name for name in answers if who in TABLE[name].get}) == NOTHING


@pytest.mark.parametrize("who", EVERYBODY)
def test_sending(scene: Scene, routes: dict[str, str], who: str) -> None:
    person = Person(client_of(who))
    answers = {name: person.ask("POST", address, scene.body(name)) for name, address in routes.items()}
    wrote = {name for name, answered in answers.items() if answered.wrote}
    assert beyond(wrote, {name for name, may in TABLE.items() if may.writes and who in may.post}) == NOTHING
    counted = {name: may for name, may in TABLE.items() if not _is_answered_by_a_page(may, who)}
    served = {name for name in counted if answers[name].served}
    assert beyond(served, {name for name, may in counted.items() if who in may.post}) == NOTHING


NOTHING: tuple[list[str], list[str]] = ([], [])


def beyond(found: set[str], said: set[str]) -> tuple[list[str], list[str]]:
    """Return what goes beyond the table, and what the table says in vain."""
    return sorted(found - said), sorted(said - found)


def _is_answered_by_a_page(may: May, who: str) -> bool:
    """Whether the same address shows something to those who may not send: a refusal shows it again."""
    return may.writes and who in may.get and who not in may.post


@pytest.mark.parametrize("method", ["PUT", "PATCH", "DELETE", "OPTIONS", "HEAD"])
def test_no_other_method_writes_either(scene: Scene, routes: dict[str, str], method: str) -> None:
    person = Person(client_of("S"))
    assert [name for name, address in routes.items() if person.ask(method, address).wrote] == []


def test_head_is_answered_wherever_get_is(scene: Scene, routes: dict[str, str]) -> None:
    client = client_of("S")
    for name, address in routes.items():
        if "S" in TABLE[name].get:
            head = client.head(address)
            assert (head.status_code < 400, head.content) == (True, b""), name


def test_nothing_is_taken_from_another_site(scene: Scene, routes: dict[str, str]) -> None:
    client = client_of("S")
    careful = Client(enforce_csrf_checks=True)
    careful.cookies = client.cookies
    by_token = {name for name in TABLE if name.startswith("api:")}
    answers = {name: careful.post(address, {}).status_code for name, address in routes.items() if name not in by_token}
    assert set(answers.values()) <= {403, 405}


# --- the API


@pytest.mark.parametrize("rights", ["r", "w", "b", "switched off", "none"])
def test_tokens_do_what_they_may_and_nothing_else(scene: Scene, routes: dict[str, str], rights: str) -> None:
    headers = {} if rights == "none" else {"Authorization": f"Bearer {_token(scene, rights)}"}
    person = Person(Client())
    rows: dict[str, dict[str, str]] = {}
    for name, methods in API.items():
        rows.setdefault(routes[name], {}).update(methods)  # several operations share an address
    for address, may in rows.items():
        known = scene.step.requested_procedure.accession_number
        number = known if address.endswith(known) else "A-NEW"
        for method in ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"):
            query, sent = PATIENTS.get(address, ("", entry(number)))
            if isinstance(sent, dict) and "from" in sent:
                sent = {**sent, "AccessionNumber": known}
            body = {} if method in {"GET", "HEAD"} else {"data": sent, "content_type": "application/json"}
            answered = person.ask(method, address + (query if body else ""), headers=headers, **body)
            allowed = rights in [*may.get("GET" if method == "HEAD" else method, "")]
            assert answered.served == allowed, (address, method, answered.response.content)
            assert answered.wrote == (allowed and bool(body)), (address, method)


_ONE, _OTHER = {"PatientID": "P-1001"}, {"PatientID": "P-8"}
PATIENTS: dict[str, tuple[str, dict[str, Any]]] = {
    "/api/patients/P-1001": ("", {"PatientComments": "new"}),
    "/api/patient-merges": ("?update_patient=1", {"kept": _ONE, "merged": _OTHER}),
    "/api/patient-id-changes": ("", {"patient": _OTHER, "to": {"PatientID": "P-NEW"}}),
    "/api/patient-identifications": ("", {"temporary": _OTHER, "patient": _ONE}),
    "/api/order-moves": ("", {"from": _ONE, "to": _OTHER}),
}
"""What is sent to the addresses that take no entry."""


def _token(scene: Scene, rights: str) -> str:
    client = scene.api_client
    client.can_read, client.can_write, client.enabled = rights != "w", rights != "r", rights != "switched off"
    client.last_used_at = timezone.now()  # so that its use writes nothing
    token: str = client.make_token()
    client.save()
    return token


# --- the attacks that were seen


def test_a_radiographer_does_not_rewrite_a_patient_by_the_history(scene: Scene) -> None:
    patient = scene.patient
    address = reverse("admin:mwl_admin_patient_simple_history", args=[patient.pk, patient.history.earliest().pk])
    answered = Person(client_of("X")).ask("POST", address, scene.changed("patient", patient, family_name="Forged"))
    assert (answered.response.status_code, answered.wrote) == (405, False)


@pytest.mark.parametrize("who", ["X", "R", "S"])
def test_nobody_moves_an_order_or_replaces_its_study_by_the_history(scene: Scene, who: str) -> None:
    order = scene.step.requested_procedure
    address = reverse("admin:mwl_admin_requestedprocedure_simple_history", args=[order.pk, order.history.latest().pk])
    forged = {"patient": scene.spare["patient"].pk, "study_instance_uid": "2.25.666", "_save": "1"}
    answered = Person(client_of(who)).ask("POST", address, forged)
    assert (answered.response.status_code, answered.wrote) == (405, False)
    assert RequestedProcedure.objects.get(pk=order.pk).patient_id == scene.patient.pk


def test_reception_does_not_change_where_a_station_is(scene: Scene) -> None:
    station = Station.objects.get(ae_title="CT1")
    form = scene.changed("station", station)
    desk = Person(client_of("R"))
    for name, keys in (("simple_history", [station.pk, station.history.latest().pk]), ("change", [station.pk])):
        answered = desk.ask("POST", reverse(f"admin:mwl_admin_station_{name}", args=keys), form)
        assert (answered.served, answered.wrote) == (False, False)


@pytest.mark.parametrize("model", ["patient", "requestedprocedure", "scheduledprocedurestep", "station", "procedure"])
@pytest.mark.parametrize("seen", [None, "", "0", "999"])
def test_a_form_that_does_not_say_what_it_saw_is_stale(scene: Scene, model: str, seen: str | None) -> None:
    record = scene.record(f"admin:mwl_admin_{model}_change")
    form = scene.changed(model, record)
    assert form.pop("seen_version") == str(record.version)
    if seen is not None:
        form["seen_version"] = seen
    answered = Person(client_of("S")).ask("POST", reverse(f"admin:mwl_admin_{model}_change", args=[record.pk]), form)
    assert (answered.response.status_code, answered.wrote) == (200, False)
    assert "was changed" in answered.response.content.decode()


def test_an_old_version_is_shown_and_offers_no_field(scene: Scene) -> None:
    patient = scene.patient
    patient.family_name = "Later"
    patient.save()
    address = reverse("admin:mwl_admin_patient_simple_history", args=[patient.pk, patient.history.earliest().pk])
    page = Person(client_of("S")).ask("GET", address).response.content.decode()
    assert "Müller" in page
    assert "An old version, as saved on" in page
    assert 'name="family_name"' not in page
    assert "Revert" not in page


@pytest.mark.parametrize("keys", [("1", "x"), ("x", "1"), ("1", "99999999999999999999999"), ("99", "1")])
def test_a_version_that_is_none_is_not_found(scene: Scene, keys: tuple[str, str]) -> None:
    address = reverse("admin:mwl_admin_patient_simple_history", args=keys)
    assert Person(client_of("S")).ask("GET", address).response.status_code == 404


def test_a_role_that_makes_entries_but_no_patients_makes_none_on_the_way(scene: Scene) -> None:
    client = client_of("N")
    user = User.objects.get(username="person-N")
    order = "requestedprocedure"
    user.user_permissions.set(
        _permissions(f"add_{order}", f"view_{order}", "view_patient", "add_scheduledprocedurestep")
    )
    form = scene.body(f"admin:mwl_admin_{order}_add")
    answered = Person(client).ask("POST", reverse(f"admin:mwl_admin_{order}_add"), form)
    assert not answered.wrote
    assert not Patient.objects.filter(patient_id="P-98").exists()


def test_who_may_only_add_entries_changes_none_by_an_import(scene: Scene) -> None:
    client = client_of("N")
    user = User.objects.get(username="person-N")
    user.user_permissions.set(_permissions("add_requestedprocedure", "view_requestedprocedure"))
    for name in (IMPORT, PROCESS):
        answered = Person(client).ask("POST", reverse(name), scene.body(name))
        assert (answered.served, answered.wrote) == (False, False)


def _permissions(*codenames: str) -> Any:
    found = Permission.objects.filter(codename__in=codenames)
    assert len(found) == len(codenames)
    return found
