"""An administrator manages accounts up to his own rights; what tells of people's deeds is nobody's to take away."""

from __future__ import annotations

from typing import Any

import pytest
from django.apps import apps
from django.contrib import admin
from django.contrib.admin.models import CHANGE, LogEntry
from django.contrib.auth.models import Group, Permission, User
from django.contrib.contenttypes.models import ContentType
from django.test import Client, RequestFactory
from django.urls import reverse

from mwl_admin.models import Patient, PatientRead
from mwl_admin.roles import ROLES
from tests.factory import make_patient
from tests.mwl_admin.pages import form_values
from tests.security.asking import Person

pytestmark = pytest.mark.django_db

PASSWORD = "correct-horse-7-battery"
NEW = {"password1": "staple-9-elephant-moon", "password2": "staple-9-elephant-moon", "usable_password": "true"}


def account(name: str, *roles: str, **values: Any) -> User:
    made = User.objects.create_user(name, is_staff=True, password=PASSWORD, **values)
    made.groups.set(Group.objects.filter(name__in=roles))
    return made


@pytest.fixture
def administrator(roles: None) -> User:
    return account("administrator", "Administrator")


@pytest.fixture
def boss(administrator: User) -> User:
    return User.objects.create_superuser("boss", password=PASSWORD)


def site_of(user: User) -> Client:
    client = Client()
    client.force_login(user)
    return client


def page(name: str, *keys: Any) -> str:
    return reverse(f"admin:auth_{name}", args=keys)


def as_filled(record: Any, **values: Any) -> dict[str, Any]:
    """Return the form of an account or a role as a superuser would send it."""
    client = site_of(User.objects.create_superuser(f"form filler {User.objects.count()}"))
    return {**form_values(client.get(page(f"{record._meta.model_name}_change", record.pk))), **values}


def beyond() -> User:
    """Return an account that is no superuser, and may what no administrator may."""
    made = account("deputy")
    made.user_permissions.set(Permission.objects.filter(codename="view_logentry"))
    return made


@pytest.mark.parametrize("whose", ["colleague", "own", "new"])
def test_an_administrator_makes_nobody_superuser(administrator: User, whose: str) -> None:
    client = site_of(administrator)
    target = administrator if whose == "own" else account("colleague", "Reception")
    form = as_filled(target, is_superuser="on", first_name="Changed")
    if whose == "new":
        added = {"username": "newcomer", "is_superuser": "on", "is_staff": "on", **NEW}
        assert client.post(page("user_add"), added).status_code == 302
        target = User.objects.get(username="newcomer")
        form = as_filled(target, is_superuser="on", first_name="Changed")
    assert client.post(page("user_change", target.pk), form).status_code == 302
    target.refresh_from_db()
    assert (target.first_name, target.is_superuser) == ("Changed", False)


@pytest.mark.parametrize("what", ["permission", "role"])
def test_an_administrator_gives_nothing_that_he_has_not(administrator: User, what: str) -> None:
    higher = Permission.objects.get(codename="delete_logentry")
    role = Group.objects.create(name="Auditor")
    role.permissions.add(higher)
    colleague = account("colleague", "Reception")
    values = {"user_permissions": [higher.pk]} if what == "permission" else {"groups": [role.pk]}
    for target in (colleague, administrator):
        answer = site_of(administrator).post(page("user_change", target.pk), as_filled(target, **values))
        assert answer.status_code == 200
        assert not target.has_perm("admin.delete_logentry")


def test_an_administrator_puts_no_higher_right_into_a_role(administrator: User) -> None:
    higher = Permission.objects.get(codename="delete_logentry")
    client, own = site_of(administrator), Group.objects.get(name="Administrator")
    for role in (own, Group.objects.get(name="Reception")):
        held = [*role.permissions.values_list("pk", flat=True)]
        form = {"name": role.name, "permissions": [*held, higher.pk]}
        assert client.post(page("group_change", role.pk), form).status_code == 200
    assert client.post(page("group_add"), {"name": "New", "permissions": [higher.pk]}).status_code == 200
    assert not Group.objects.filter(permissions=higher).exists()


@pytest.mark.parametrize("action", ["change", "delete"])
def test_a_role_with_higher_rights_is_left_alone(administrator: User, action: str) -> None:
    role = Group.objects.create(name="Auditor")
    role.permissions.add(Permission.objects.get(codename="delete_logentry"))
    answered = Person(site_of(administrator)).ask(
        "POST", page(f"group_{action}", role.pk), {"name": "x", "post": "yes"}
    )
    assert (answered.response.status_code, answered.wrote) == (403, False)


def test_what_an_administrator_may_give_arrives(administrator: User) -> None:
    colleague = account("colleague")
    role = Group.objects.get(name="Manager")
    answer = site_of(administrator).post(page("user_change", colleague.pk), as_filled(colleague, groups=[role.pk]))
    assert answer.status_code == 302
    assert colleague.has_perm("mwl_admin.merge_patient")


@pytest.mark.parametrize("whose", ["superuser", "superuser switched off", "higher", "higher switched off"])
@pytest.mark.parametrize("door", ["change", "delete", "history", "password", "bulk"])
def test_an_administrator_does_not_touch_a_higher_account(administrator: User, whose: str, door: str) -> None:
    target = beyond() if whose.startswith("higher") else User.objects.create_superuser("boss", password=PASSWORD)
    User.objects.filter(pk=target.pk).update(is_active="switched off" not in whose)
    doors = {
        "change": (page("user_change", target.pk), as_filled(target, username="mine", is_active="", is_superuser="")),
        "delete": (page("user_delete", target.pk), {"post": "yes"}),
        "history": (page("user_history", target.pk), as_filled(target, username="mine")),
        "password": (page("user_password_change", target.pk), NEW),
        "bulk": (page("user_changelist"), {"action": "delete_selected", "_selected_action": target.pk, "post": "yes"}),
    }
    address, body = doors[door]
    answered = Person(site_of(administrator)).ask("POST", address, body)
    assert (answered.response.status_code, answered.wrote) == (200 if door == "history" else 403, False)


def test_an_administrator_sees_of_a_superuser_no_form_and_no_password(administrator: User, boss: User) -> None:
    client = site_of(administrator)
    shown = client.get(page("user_change", boss.pk)).content.decode()
    assert 'name="username"' not in shown
    assert boss.password not in shown
    assert boss.password.split("$")[-1] not in shown
    assert client.get(page("user_password_change", boss.pk)).status_code == 403


def test_a_superuser_may_all_of_it(boss: User) -> None:
    other = User.objects.create_superuser("other", password=PASSWORD)
    client = site_of(boss)
    assert client.post(page("user_change", other.pk), as_filled(other, is_superuser="")).status_code == 302
    assert client.post(page("user_password_change", other.pk), NEW).status_code == 302
    assert client.post(page("user_delete", other.pk), {"post": "yes"}).status_code == 302
    assert not User.objects.filter(pk=other.pk).exists()


# --- what was recorded


def traces(user: User) -> list[Any]:
    """What tells of a person, each in its own way."""
    kind = ContentType.objects.get_for_model(Patient)
    patient = make_patient(patient_id=f"P-{user.pk}")
    return [
        LogEntry.objects.create(user=user, action_flag=CHANGE, content_type=kind, object_id="1", object_repr="x"),
        PatientRead.objects.create(user=user, user_name=user.username, patient_identifiers="P-1", page="patient"),
        Patient.history.create(
            history_user=user, history_date="2026-05-04T00:00Z", history_type="~", id=patient.pk, patient_id="P-1"
        ),
    ]


@pytest.mark.parametrize("number", [0, 1, 2])
@pytest.mark.parametrize("bulk", [False, True])
def test_an_account_is_not_deleted_with_what_tells_of_it(boss: User, number: int, bulk: bool) -> None:
    colleague = account("colleague", "Reception")
    kept = traces(colleague)
    for trace in [trace for trace in kept if trace is not kept[number]]:
        type(trace).objects.filter(pk=trace.pk).delete()
    listed = {"action": "delete_selected", "_selected_action": colleague.pk, "post": "yes"}
    address = page("user_changelist") if bulk else page("user_delete", colleague.pk)
    answered = Person(site_of(boss)).ask("POST", address, listed if bulk else {"post": "yes"})
    assert (answered.response.status_code, answered.wrote) == (403, False)


def test_an_account_that_did_nothing_can_be_deleted(boss: User) -> None:
    mistyped = account("mistyped", "Reception")
    assert site_of(boss).post(page("user_delete", mistyped.pk), {"post": "yes"}).status_code == 302
    assert not User.objects.filter(pk=mistyped.pk).exists()


def test_no_page_of_any_model_changes_or_deletes_a_record(boss: User) -> None:
    history = [model for model in apps.get_models() if model.__name__.startswith("Historical")]
    logins = [apps.get_model("axes", name) for name in ("accessattempt", "accesslog", "accessfailurelog")]
    records: list[Any] = [LogEntry, PatientRead, *logins, *history]
    request = RequestFactory().get("/")
    request.user = boss
    assert len(records) > 8
    for model in records:
        if (shown := admin.site._registry.get(model)) is not None:
            rights = (shown.has_add_permission, shown.has_change_permission, shown.has_delete_permission)
            assert [right(request) for right in rights] == [False] * 3
            assert not shown.get_actions(request)


def test_nobody_says_when_somebody_logged_in(boss: User) -> None:
    colleague = account("colleague", "Reception")
    form = as_filled(colleague, last_login_0="01/01/2020", last_login_1="10:00", date_joined_0="01/01/2020")
    site_of(boss).post(page("user_change", colleague.pk), {**form, "date_joined_1": "10:00"})
    colleague.refresh_from_db()
    assert colleague.last_login is None
    assert colleague.date_joined.year > 2020


@pytest.mark.parametrize("role", sorted(ROLES))
@pytest.mark.parametrize("bulk", [False, True])
def test_nobody_deletes_a_role_that_the_product_brings(boss: User, role: str, bulk: bool) -> None:
    group = Group.objects.get(name=role)
    client = site_of(boss)
    if bulk:
        form = {"action": "delete_selected", "_selected_action": [group.pk], "post": "yes"}
        client.post(page("group_changelist"), form)
    else:
        client.post(page("group_delete", group.pk), {"post": "yes"})
    assert Group.objects.filter(name=role).exists()
