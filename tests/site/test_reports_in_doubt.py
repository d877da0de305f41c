"""Reports that are not about the entry they name, and why examinations were discontinued, as staff see it."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.test import Client
from django.urls import reverse
from pydicom import Dataset

from dicom_encoding.syntaxes import EXPLICIT_LITTLE
from mwl_admin.models import PerformedProcedureStep, ScheduledProcedureStep
from mwl_admin.mpps import dataset, operations
from tests.mpps.scu import creation, final
from tests.site.conftest import Login
from tests.site.markup import markup
from tests.site.test_today import make_today, shown
from tests.worklist.queries import encoded

pytestmark = pytest.mark.django_db

OTHER_PATIENT, WRONG_ENTRY = "names another patient than its entry", "The wrong entry was chosen for 1 examination"


@pytest.fixture
def radiographer(login: Login) -> Client:
    return login("Radiographer")


def reported(*data_sets: Dataset) -> PerformedProcedureStep:
    first, *rest = (dataset.read(encoded(ds, EXPLICIT_LITTLE), EXPLICIT_LITTLE) for ds in data_sets)
    performed = operations.create(first, "", calling_ae="")
    for ds in rest:
        performed = operations.modify(ds, performed.sop_instance_uid, calling_ae="")
    return performed


def because(code: str, meaning: str = "") -> Dataset:
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = code, "DCM", meaning
    return final("DISCONTINUED", PerformedProcedureStepDiscontinuationReasonCodeSequence=[item])


@pytest.fixture(autouse=True)
def _as_a_station(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(operations, "_is_station", lambda calling_ae: True)


def row(page: str, name: str = "Doe, Jane") -> str:
    return next(part for part in page.split("<tr class=")[1:] if name in part)


def click(client: Client, performed: PerformedProcedureStep, action: str) -> str:
    response = client.post(reverse("settle_report", args=[performed.pk, action]), {}, headers={"X-Page-Query": ""})
    assert response.status_code == 200
    return markup(response)


def test_another_patient_in_a_report_is_on_the_day_page_until_somebody_settles_it(radiographer: Client) -> None:
    step = make_today(1)
    performed = reported(creation(step, PatientID="P-9", PatientName="Roe^Mary"))
    page = shown(radiographer)
    assert OTHER_PATIENT in page
    assert "CT1 reports an examination of Roe, Mary (P-9) under the entry of Doe, Jane" in page
    assert "g-grave" in page
    assert "examination without an entry" not in page  # told once
    assert "reported for another patient by CT1" in row(page)
    settled = click(radiographer, performed, "seen")
    assert OTHER_PATIENT not in settled
    assert "reported for another patient" not in settled
    assert LogEntry.objects.get(object_id=str(performed.pk)).change_message == "Looked at."
    assert OTHER_PATIENT in click(radiographer, performed, "undo")


def test_a_wrongly_chosen_entry_is_on_the_day_page(radiographer: Client, login: Login) -> None:
    step = make_today(1)
    performed = reported(creation(step), because("110514"))
    page = shown(radiographer)
    assert WRONG_ENTRY in page
    assert "CT1 had chosen the entry of Doe, Jane" in page
    assert "It is on the worklist again." in page
    assert "scheduled" in row(page)
    assert "chosen by mistake on CT1" in row(page)
    # Reception sees no reports, and is told beside the status what happened.
    desk = shown(login("Reception"))
    assert WRONG_ENTRY not in desk
    assert "chosen by mistake on CT1" in row(desk)
    assert WRONG_ENTRY not in click(radiographer, performed, "seen")


def test_only_who_may_look_at_reports_settles_them(login: Login) -> None:
    performed = reported(creation(make_today(1)), because("110514"))
    response = login("Reception").post(reverse("settle_report", args=[performed.pk, "seen"]))
    assert response.status_code == 403
    assert PerformedProcedureStep.objects.to_be_looked_at().count() == 1


@pytest.mark.parametrize(("code", "meaning"), [("110505", ""), ("110505", "Patient refused to continue procedure")])
def test_the_reason_stands_beside_the_status_wherever_that_is_shown(manager: Client, code: str, meaning: str) -> None:
    step = make_today(1)
    reported(creation(step), because(code, meaning))
    pages = {
        "today": reverse("today"),
        "entry": reverse("admin:mwl_admin_requestedprocedure_change", args=[step.requested_procedure_id]),
        "step": reverse("admin:mwl_admin_scheduledprocedurestep_change", args=[step.pk]),
        "history": reverse("admin:mwl_admin_scheduledprocedurestep_history", args=[step.pk]),
    }
    shown_on = {
        name: "Patient refused to continue" in manager.get(address).content.decode() for name, address in pages.items()
    }
    assert shown_on == dict.fromkeys(pages, True)


@pytest.mark.parametrize(
    ("reports", "said"),
    [
        ([because("110514")], "Unscheduled: this entry was chosen by mistake."),
        ([], "Unscheduled: the modality names another patient than this entry."),
    ],
)
def test_the_examinations_page_names_the_entry_it_is_not_about(
    manager: Client, reports: list[Dataset], said: str
) -> None:
    step = make_today(1)
    performed = reported(creation(step, **({} if reports else {"PatientName": "Roe^Mary"})), *reports)
    page = manager.get(reverse("admin:mwl_admin_performedprocedurestep_change", args=[performed.pk])).content.decode()
    assert said in page
    assert reverse("admin:mwl_admin_scheduledprocedurestep_change", args=[step.pk]) in page


def test_the_examinations_page_has_the_notes(manager: Client) -> None:
    performed = reported(creation(make_today(1)), final("DISCONTINUED", PerformedProcedureStepEndTime=None))
    page = manager.get(reverse("admin:mwl_admin_performedprocedurestep_change", args=[performed.pk])).content.decode()
    assert "The modality did not say when it was discontinued." in page


def test_examinations_in_doubt_can_be_listed(manager: Client) -> None:
    step = make_today(1)
    reported(creation(step))
    performed = reported(creation(step), because("110514"))
    address = reverse("admin:mwl_admin_performedprocedurestep_changelist")
    response: Any = manager.get(address, {"doubt__exact": "WRONG_ENTRY"})
    assert list(response.context_data["cl"].result_list) == [performed]
    assert ScheduledProcedureStep.objects.get(pk=step.pk).status == "STARTED"
