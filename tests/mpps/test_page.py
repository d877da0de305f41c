"""What staff see of a report, and what they may do about it."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import User
from django.contrib.messages import get_messages
from django.test import Client
from django.urls import reverse
from django.utils import timezone
from pydicom import Dataset

from dicom_encoding.syntaxes import EXPLICIT_LITTLE
from mwl_admin.models import PerformedProcedureStep, ScheduledProcedureStep
from mwl_admin.mpps import dataset, operations
from mwl_admin.mpps.where import done_elsewhere
from tests.factory import make_station, make_step
from tests.mpps.scu import creation, final, series, unscheduled
from tests.mwl_admin.conftest import anna, browser
from tests.worklist.queries import encoded

__all__ = ["anna", "browser"]

pytestmark = pytest.mark.django_db

LIST = "admin:mwl_admin_performedprocedurestep_changelist"
PAGE = "admin:mwl_admin_performedprocedurestep_change"


def reported(*data_sets: Dataset, calling_ae: str = "CT1") -> PerformedProcedureStep:
    first, *rest = (dataset.read(encoded(ds, EXPLICIT_LITTLE), EXPLICIT_LITTLE) for ds in data_sets)
    performed = operations.create(first, "", calling_ae=calling_ae)
    for ds in rest:
        performed = operations.modify(ds, performed.sop_instance_uid, calling_ae=calling_ae)
    return performed


def page(browser: Client, performed: PerformedProcedureStep) -> str:
    response = browser.get(reverse(PAGE, args=[performed.pk]))
    assert response.status_code == 200
    return response.content.decode()


def act(browser: Client, *performed: PerformedProcedureStep) -> list[str]:
    response: Any = browser.post(
        reverse(LIST), {"action": "take_back", "_selected_action": [row.pk for row in performed]}
    )
    assert response.status_code == 302
    return [str(message) for message in get_messages(response.wsgi_request)]


def test_the_page_tells_what_was_done(browser: Client) -> None:
    step = make_step(patient={"patient_id": "P-7", "family_name": "Müller"})
    shown = page(
        browser,
        reported(
            creation(step),
            final(
                PerformedSeriesSequence=[series(3), series(2, "Scout")],
                TotalNumberOfExposures=7,
                ImageAndFluoroscopyAreaDoseProduct="12.5",
            ),
        ),
    )
    for text in (
        "completed",
        "Mon 4 May 2026, 10:31",
        "Mon 4 May 2026, 10:45",
        "Thorax routine, Scout",
        "2 series, 5 images",
        "Adams^Ann",
        "Dose area product: 12.5 dGy·cm²",
        "Exposures: 7",
        step.scheduled_procedure_step_id,
        reverse("admin:mwl_admin_scheduledprocedurestep_change", args=[step.pk]),
    ):
        assert text in shown, text


def test_the_page_tells_why_it_was_discontinued(browser: Client) -> None:
    code = Dataset()
    code.CodeValue, code.CodingSchemeDesignator, code.CodeMeaning = "110514", "DCM", "Incorrect worklist entry selected"
    ended = final("DISCONTINUED", PerformedProcedureStepDiscontinuationReasonCodeSequence=[code])
    shown = page(browser, reported(creation(make_step()), ended))
    assert "Incorrect worklist entry selected (110514 DCM)" in shown


def test_what_a_modality_sends_is_shown_as_text(browser: Client) -> None:
    evil = "<script>alert(1)</script>"
    performed = reported(creation(make_step(), StudyID=""), final(PerformedSeriesSequence=[series(1, evil)]))
    assert evil not in page(browser, performed)
    assert evil not in browser.get(reverse(LIST)).content.decode()


def test_unscheduled_procedures_are_marked_and_can_be_listed(browser: Client) -> None:
    scheduled, other = reported(creation(make_step())), reported(unscheduled())
    assert "Unscheduled: no entry of the worklist" in page(browser, other)
    response: Any = browser.get(reverse(LIST), {"entry": "none"})
    assert list(response.context_data["cl"].result_list) == [other]
    response = browser.get(reverse(LIST), {"entry": "found"})
    assert list(response.context_data["cl"].result_list) == [scheduled]


def test_a_wrong_end_is_taken_back_and_the_report_stays(browser: Client, anna: User) -> None:
    step = make_step(status="READY")
    performed = reported(creation(step), final())
    before = dict(performed.data_set)
    assert act(browser, performed) == ["1 entry is on the worklist again."]
    step.refresh_from_db()
    performed.refresh_from_db()
    assert step.status == "READY"
    assert (performed.performed_procedure_step_status, performed.data_set) == ("COMPLETED", before)
    entry = LogEntry.objects.get(object_id=str(step.pk))
    assert (entry.user, entry.change_message) == (anna, "Status: ready. A modality's report was taken back.")
    assert "taken back by staff" in page(browser, performed)


def test_only_what_has_ended_can_be_taken_back(browser: Client) -> None:
    step = make_step()
    performed = reported(creation(step))
    assert act(browser, performed, reported(unscheduled())) == [
        "None of these reports has ended an entry of the worklist."
    ]
    step.refresh_from_db()
    assert step.status == "STARTED"


def test_who_may_not_change_entries_may_not_take_back(client: Client) -> None:
    step = make_step()
    performed = reported(creation(step), final())
    viewer = User.objects.create_user("viewer", is_staff=True)
    client.force_login(viewer)
    response = client.post(reverse(LIST), {"action": "take_back", "_selected_action": [performed.pk]})
    assert response.status_code == 403
    assert ScheduledProcedureStep.objects.get(pk=step.pk).status == "COMPLETED"


def test_a_report_cannot_be_changed(browser: Client) -> None:
    performed = reported(creation(make_step()))
    assert browser.post(reverse(PAGE, args=[performed.pk]), {"patient_id": "X"}).status_code == 403


@pytest.mark.parametrize(("ends", "said"), [(True, "done on CT2"), (False, "started on CT2")])
def test_what_another_station_did_than_it_was_planned_on_is_told_wherever_the_step_is_shown(
    anna: User, browser: Client, ends: bool, said: str
) -> None:
    step = make_step(stations=[make_station("CT1")], scheduled_date=timezone.localdate())
    make_station("CT2")
    reports = [creation(step, PerformedStationAETitle="CT2"), final()]
    performed = reported(*reports[: 1 + ends], calling_ae="CT2")
    pages = {
        "today": reverse("today"),
        "entry": reverse("admin:mwl_admin_requestedprocedure_change", args=[step.requested_procedure_id]),
        "step": reverse("admin:mwl_admin_scheduledprocedurestep_change", args=[step.pk]),
        "examination": reverse(PAGE, args=[performed.pk]),
    }
    shown = {name: said in browser.get(address).content.decode() for name, address in pages.items()}
    assert shown == dict.fromkeys(pages, True)


def test_where_a_step_was_done_is_told_only_when_it_was_planned_elsewhere() -> None:
    stations = [make_station("CT1"), make_station("CT2")]
    planned, free, through_a_broker = make_step(stations=stations[:1]), make_step(), make_step(stations=stations[:1])
    reported(creation(planned), final())
    reported(creation(free, PerformedStationAETitle="CT2"), final(), calling_ae="CT2")
    reported(creation(through_a_broker), final(), calling_ae="CT2")
    assert done_elsewhere(ScheduledProcedureStep.objects.all()) == {}


def test_a_report_that_was_taken_back_tells_no_longer_where_a_step_was_done() -> None:
    step = make_step(stations=[make_station("CT1")])
    make_station("CT2")
    reported(creation(step, PerformedStationAETitle="CT2"), final(), calling_ae="CT2")
    step.refresh_from_db()
    assert done_elsewhere([step]) == {step.pk: "done on CT2"}
    step.undo()
    reported(creation(step), final())
    step.refresh_from_db()
    assert step.status == "COMPLETED"
    assert done_elsewhere([step]) == {}
