"""What staff see of a report, and what they may do about it."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import User
from django.contrib.messages import get_messages
from django.test import Client
from django.urls import reverse
from pydicom import Dataset

from mwl_admin.models import PerformedProcedureStep, ScheduledProcedureStep
from mwl_admin.mpps import dataset, operations
from mwl_admin.worklist.syntax import EXPLICIT_LITTLE
from tests.mpps.scu import creation, final, series, unscheduled
from tests.mwl_admin.conftest import anna, browser
from tests.worklist.cast import encoded, make_step

__all__ = ["anna", "browser"]

pytestmark = pytest.mark.django_db

LIST = "admin:mwl_admin_performedprocedurestep_changelist"
PAGE = "admin:mwl_admin_performedprocedurestep_change"


def reported(*data_sets: Dataset) -> PerformedProcedureStep:
    first, *rest = (dataset.read(encoded(ds, EXPLICIT_LITTLE), EXPLICIT_LITTLE) for ds in data_sets)
    performed = operations.create(first, "", calling_ae="CT1")
    for ds in rest:
        performed = operations.modify(ds, performed.sop_instance_uid, calling_ae="CT1")
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
