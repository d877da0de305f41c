"""What each role may open: each role, each page."""

from typing import Any

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from mwl_admin.models import PerformedProcedureStep, WorklistQuery
from tests.factory import make_patient, make_procedure, make_requested, make_station, make_step
from tests.site.conftest import Login

pytestmark = pytest.mark.django_db

R, X, M, A = "Reception", "Radiographer", "Manager", "Administrator"
EVERYONE = {R, X, M, A}
PAGES: dict[str, set[str]] = {
    "today": EVERYONE,
    "today_list": EVERYONE,
    "stations": EVERYONE,
    "query_as_station": EVERYONE,
    "step_delivery": EVERYONE,
    "reschedule": EVERYONE,
    "end_dialog": EVERYONE,
    "similar_patients": EVERYONE,
    "entry_procedure": EVERYONE,
    "free_slots": EVERYONE,
    "query_explained": {X, M, A},
    "merge_patients": {M, A},
    "admin:mwl_admin_scheduledprocedurestep_changelist": EVERYONE,
    "admin:mwl_admin_scheduledprocedurestep_change": EVERYONE,
    "admin:mwl_admin_requestedprocedure_changelist": EVERYONE,
    "admin:mwl_admin_requestedprocedure_add": {R, M, A},
    "admin:mwl_admin_requestedprocedure_change": EVERYONE,
    "admin:mwl_admin_requestedprocedure_delete": {M, A},
    "admin:mwl_admin_patient_changelist": EVERYONE,
    "admin:mwl_admin_patient_add": {R, M, A},
    "admin:mwl_admin_patient_change": EVERYONE,
    "admin:mwl_admin_patient_delete": {A},
    "admin:mwl_admin_procedure_changelist": EVERYONE,
    "admin:mwl_admin_procedure_add": {M, A},
    "admin:mwl_admin_protocolcode_add": {M, A},
    "admin:mwl_admin_station_change": EVERYONE,
    "admin:mwl_admin_station_add": {A},
    "admin:mwl_admin_worklistquery_changelist": {X, M, A},
    "admin:mwl_admin_performedprocedurestep_changelist": {X, M, A},
    "admin:mwl_admin_performedprocedurestep_change": {X, M, A},
    "admin:mwl_admin_patientread_changelist": {M, A},
    "admin:auth_user_changelist": {A},
    "admin:auth_user_add": {A},
    "admin:auth_group_changelist": {A},
}


@pytest.fixture
def addresses(db: None) -> dict[str, str]:
    """The address of each page, with something to be seen on it."""
    station = make_station()
    step = make_step(make_requested(make_patient(), procedure=make_procedure()))
    query = WorklistQuery.objects.create(
        received_at=timezone.now(), calling_ae_title="CT1", called_ae_title="MWL_SCP", status=0
    )
    performed = PerformedProcedureStep.objects.create(
        sop_instance_uid="1.2.3", performed_procedure_step_status="COMPLETED"
    )
    keys: dict[str, list[Any]] = {
        "query_as_station": [station.pk],
        "step_delivery": [step.pk],
        "end_dialog": [step.pk, "CANCELLED"],
        "entry_procedure": [step.requested_procedure.procedure_id],
        "query_explained": [query.pk],
        "merge_patients": [step.requested_procedure.patient_id],
        "admin:mwl_admin_scheduledprocedurestep_change": [step.pk],
        "admin:mwl_admin_requestedprocedure_change": [step.requested_procedure_id],
        "admin:mwl_admin_requestedprocedure_delete": [step.requested_procedure_id],
        "admin:mwl_admin_patient_change": [step.requested_procedure.patient_id],
        "admin:mwl_admin_patient_delete": [step.requested_procedure.patient_id],
        "admin:mwl_admin_station_change": [station.pk],
        "admin:mwl_admin_performedprocedurestep_change": [performed.pk],
    }
    found = {name: reverse(name, args=keys.get(name, [])) for name in PAGES}
    found["reschedule"] += f"?step={step.pk}"
    return found


@pytest.mark.parametrize("role", [R, X, M, A, ""])
def test_each_role_opens_what_it_needs_and_nothing_else(login: Login, addresses: dict[str, str], role: str) -> None:
    client = login(role)
    opened = {name for name, address in addresses.items() if client.get(address).status_code == 200}
    assert opened == {name for name, roles in PAGES.items() if role in roles}


def test_strangers_are_led_to_the_login_everywhere(client: Client, addresses: dict[str, str]) -> None:
    for address in addresses.values():
        response = client.get(address)
        assert response.status_code == 302
        assert response["Location"].startswith(reverse("admin:login"))


def test_what_refreshes_itself_leads_the_whole_page_to_the_login(client: Client) -> None:
    response = client.get(reverse("today_list"), headers={"HX-Request": "true"})
    assert (response.status_code, response["HX-Redirect"]) == (204, "/admin/login/?next=/today/")


@pytest.mark.parametrize(("role", "allowed"), [(R, True), (X, True), ("", False)])
def test_changes_of_status_need_the_permission(login: Login, role: str, allowed: bool) -> None:
    step = make_step()
    response = login(role).post(reverse("change_status", args=[step.pk, "ARRIVED"]))
    step.refresh_from_db()
    assert (response.status_code == 200, step.status == "ARRIVED") == (allowed, allowed)


def test_the_menu_offers_only_what_opens(login: Login, addresses: dict[str, str]) -> None:
    desk, boss = login(R).get("/today/").content.decode(), login(A).get("/today/").content.decode()
    assert addresses["admin:auth_user_changelist"] not in desk
    assert addresses["admin:mwl_admin_worklistquery_changelist"] not in desk
    assert addresses["admin:mwl_admin_requestedprocedure_add"] in desk
    assert addresses["admin:auth_user_changelist"] in boss
