"""What a modality has read under a step ID never becomes another examination, whichever way the change comes in."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth import get_user_model
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from dicom_encoding.syntaxes import EXPLICIT_LITTLE
from mwl_admin.entries.tables.files import read
from mwl_admin.entries.tables.rows import import_table
from mwl_admin.models import (
    RequestedProcedure,
    ScheduledProcedureStep,
    StepStatus,
    WorklistDelivery,
    WorklistQuery,
)
from mwl_admin.wlfiles.importing import import_files
from tests.api.bodies import ENTRY, STEPS, WORKLIST, entry, problems, step
from tests.api.conftest import Caller, full_buckets, ris
from tests.factory import make_code
from tests.mwl_admin.pages import open_form
from tests.worklist.queries import encoded, identifier

__all__ = ["full_buckets", "ris"]

SKULL = {"CodeValue": "T1", "CodingSchemeDesignator": "99X", "CodeMeaning": "Skull"}
KNEE = {"CodeValue": "T2", "CodingSchemeDesignator": "99X", "CodeMeaning": "Knee"}
PROTOCOLS, DESCRIPTION = "ScheduledProtocolCodeSequence", "ScheduledProcedureStepDescription"
CODE, ORDERED = "RequestedProcedureCodeSequence", "RequestedProcedureDescription"
COLUMNS = ("modality", "scheduled_procedure_step_description", "protocol_codes__code_value")
ORDER_COLUMNS = ("requested_procedure_description", "code_value")


def whole(**values: Any) -> dict[str, Any]:
    """Return an entry of which all that makes an examination is told."""
    told = {"Modality": "CT", DESCRIPTION: "CT skull", PROTOCOLS: [SKULL], "ScheduledProcedureStepID": "S-1"}
    order = {ORDERED: "CT skull", CODE: [SKULL], "StudyInstanceUID": "2.25.7"}
    return entry(
        step(**told | {name: value for name, value in values.items() if name in told}),
        **order | {name: value for name, value in values.items() if name not in told},
    )


def examination() -> tuple[Any, ...]:
    only = ScheduledProcedureStep.objects.values_list(*COLUMNS).get()
    return (*only, *RequestedProcedure.objects.values_list(*ORDER_COLUMNS).get())


@pytest.fixture
def made(ris: Caller) -> tuple[Any, ...]:
    assert ris.put(ENTRY, whole()).status_code == 201
    return examination()


@pytest.fixture(params=["recorded", "not recorded"])
def was_read(request: pytest.FixtureRequest, settings: Any, made: object) -> None:
    settings.RECORD_QUERIES = request.param == "recorded"
    if settings.RECORD_QUERIES:
        deliver()


@pytest.fixture
def delivered(made: object) -> None:
    deliver()


def deliver() -> None:
    query = WorklistQuery.objects.create(received_at=timezone.now(), status=0, calling_ae_title="CT1")
    for only in ScheduledProcedureStep.objects.all():
        WorklistDelivery.objects.create(query=query, step=only, station_ae_title="CT1", delivered_at=timezone.now())


OTHERS: list[tuple[dict[str, Any], str]] = [
    ({PROTOCOLS: [KNEE]}, f"{STEPS}[1].{PROTOCOLS}"),
    ({PROTOCOLS: [SKULL, KNEE]}, f"{STEPS}[1].{PROTOCOLS}"),
    ({DESCRIPTION: "CT knee"}, f"{STEPS}[1].{DESCRIPTION}"),
    ({"Modality": "MR"}, f"{STEPS}[1].Modality"),
    ({CODE: [KNEE]}, CODE),
    ({ORDERED: "CT knee"}, ORDERED),
]


@pytest.mark.parametrize(("change", "named"), OTHERS)
def test_by_the_api_it_is_a_conflict(
    ris: Caller, made: tuple[Any, ...], was_read: None, change: dict[str, Any], named: str
) -> None:
    in_step = {name: value for name, value in change.items() if named.startswith(STEPS)}
    partly = {STEPS: [{"ScheduledProcedureStepID": "S-1", **in_step}]} if in_step else change
    for refused in (ris.put(ENTRY, whole(**change)), ris.patch(ENTRY, partly), ris.post(WORKLIST, whole(**change))):
        assert refused.status_code == 409, refused.content
        assert problems(refused)[named] == "read"
    assert examination() == made


@pytest.mark.parametrize("change", [{PROTOCOLS: []}, {DESCRIPTION: ""}, {CODE: []}, {ORDERED: ""}])
def test_nor_can_it_be_emptied_first(
    ris: Caller, made: tuple[Any, ...], was_read: None, change: dict[str, Any]
) -> None:
    in_step = {name: value for name, value in change.items() if name in {PROTOCOLS, DESCRIPTION}}
    partly = {STEPS: [{"ScheduledProcedureStepID": "S-1", **in_step}]} if in_step else change
    assert ris.patch(ENTRY, partly).status_code == 409
    without = whole(**change)
    for level in (without, without[STEPS][0]):
        for name in change:
            level.pop(name, None)
    assert ris.put(ENTRY, without).status_code == 200
    assert examination() == made


def test_what_is_no_other_examination_is_taken(ris: Caller, made: tuple[Any, ...], was_read: None) -> None:
    other_words = {**SKULL, "CodeMeaning": "The skull"}
    later = whole(**{PROTOCOLS: [other_words], CODE: [other_words], DESCRIPTION: "ct  SKULL"})
    later[STEPS][0]["ScheduledProcedureStepStartTime"] = "1500"
    assert ris.put(ENTRY, later).status_code == 200
    assert ScheduledProcedureStep.objects.get().scheduled_time.hour == 15


def test_what_said_nothing_of_the_examination_may_be_told_it(ris: Caller) -> None:
    ris.put(ENTRY, entry(step(ScheduledProcedureStepID="S-1"), **{ORDERED: ""}))
    deliver()
    uid = RequestedProcedure.objects.get().study_instance_uid
    assert ris.put(ENTRY, whole(StudyInstanceUID=uid)).status_code == 200
    assert ris.put(ENTRY, whole(StudyInstanceUID=uid, **{PROTOCOLS: [KNEE]})).status_code == 409


def test_before_anybody_has_read_it_all_may_change(ris: Caller, made: object) -> None:
    for change, _ in OTHERS:
        assert ris.put(ENTRY, whole(**change)).status_code == 200


def test_a_cancelled_step_does_not_come_back_as_another_examination(ris: Caller, made: object) -> None:
    deliver()
    ris.delete(ENTRY)
    other = whole(**{ORDERED: "CT knee", CODE: [KNEE], DESCRIPTION: "CT knee", PROTOCOLS: [KNEE]})
    other[STEPS][0]["ScheduledProcedureStepID"] = "S-2"
    assert ris.put(ENTRY, other).status_code == 200
    cancelled = ScheduledProcedureStep.objects.get(scheduled_procedure_step_id="S-1")
    assert ScheduledProcedureStep.objects.filter(pk=cancelled.pk).undo() == 0
    assert cancelled.status == StepStatus.CANCELLED


@pytest.mark.parametrize(
    ("column", "value"), [("Modality", "MR"), ("Description", "CT knee"), ("Step description", "CT knee")]
)
def test_by_a_table_the_row_is_wrong(made: tuple[Any, ...], delivered: None, column: str, value: str) -> None:
    text = f"Accession number,Step ID,{column}\nA-5001,S-1,{value}\n"
    report = import_table(read(text.encode()))
    assert not report.applied
    assert [heading for heading, _ in report.rows[0].problems] == [column]
    assert examination() == made


def test_by_a_worklist_file_it_is_refused(made: tuple[Any, ...], delivered: None, tmp_path: Path) -> None:
    ds = identifier(
        {
            "Modality": "CT",
            "ScheduledProcedureStepStartDate": "20260504",
            "ScheduledProcedureStepStartTime": "1030",
            "ScheduledProcedureStepID": "S-1",
            "ScheduledProcedureStepDescription": "CT knee",
        },
        AccessionNumber="A-5001",
        StudyInstanceUID="2.25.7",
        PatientID="P-1001",
        PatientName="Müller^Änne",
        SpecificCharacterSet="ISO_IR 192",
        RequestedProcedureID=RequestedProcedure.objects.get().requested_procedure_id,
    )
    path = tmp_path / "entry.wl"
    path.write_bytes(encoded(ds, EXPLICIT_LITTLE))
    assert import_files([path]).refused
    assert examination() == made


@pytest.mark.parametrize(
    ("page", "name", "value"),
    [
        ("requestedprocedure", "requested_procedure_description", "CT knee"),
        ("requestedprocedure", "code_value", "T2"),
        ("requestedprocedure", "scheduled_procedure_steps-0-modality", "MR"),
        ("requestedprocedure", "scheduled_procedure_steps-0-protocol_codes", "knee"),
        ("scheduledprocedurestep", "modality", "MR"),
        ("scheduledprocedurestep", "scheduled_procedure_step_description", "CT knee"),
        ("scheduledprocedurestep", "protocol_codes", "knee"),
    ],
)
def test_by_a_form_the_field_says_so(  # noqa: PLR0917 - fixtures and parameters
    client: Client, made: tuple[Any, ...], delivered: None, page: str, name: str, value: str
) -> None:
    knee = make_code("T2", code_meaning="Knee")
    client.force_login(get_user_model().objects.create_superuser("anna"))
    only = (RequestedProcedure if page == "requestedprocedure" else ScheduledProcedureStep).objects.get()
    view = f"admin:mwl_admin_{page}_change"
    filled = open_form(client, view, only.pk)
    address = reverse(view, args=[only.pk])
    response = client.post(address, {**filled, name: [str(knee.pk)] if value == "knee" else value})
    assert response.status_code == 200
    assert "A modality has this" in response.content.decode()
    assert examination() == made
    harmless = next(field for field in filled if field.endswith("pre_medication"))
    assert client.post(address, {**filled, harmless: "none"}).status_code == 302
    assert ScheduledProcedureStep.objects.get().pre_medication == "none"
