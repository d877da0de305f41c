"""Who read whose record: a line for each page that shows patients, with their IDs and never their names."""

import csv
import io
from datetime import timedelta
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from mwl_admin.entries.tables import export
from mwl_admin.models import (
    Patient,
    PatientRead,
    PerformedProcedureStep,
    ReceivedStudy,
    ScheduledProcedureStep,
    StudyNotice,
    WorklistDelivery,
    WorklistQuery,
)
from mwl_admin.site import read_log
from mwl_admin.site.pages.stations import usual_keys
from tests.factory import make_patient, make_requested, make_station, make_step
from tests.site.conftest import Login

pytestmark = pytest.mark.django_db


@pytest.fixture
def step(settings: Any) -> ScheduledProcedureStep:
    """An entry of today that a modality has reported, queried, and sent images of; reads are noted."""
    settings.RECORD_PATIENT_READS = True
    station = make_station()
    made = make_step(make_requested(make_patient(), accession_number="A-1"), scheduled_date=timezone.localdate())
    made.stations.add(station)
    performed = PerformedProcedureStep.objects.create(
        sop_instance_uid="1.2.3", performed_procedure_step_status="COMPLETED", patient_id="P-1001"
    )
    performed.scheduled_procedure_steps.add(made)
    now = timezone.now()
    query = WorklistQuery.objects.create(
        received_at=now,
        calling_ae_title="CT1",
        called_ae_title="MWL_SCP",
        status=0,
        keys=usual_keys(station, timezone.localdate()),
    )
    WorklistDelivery.objects.create(query=query, step=made, station_ae_title="CT1", delivered_at=now)
    study = ReceivedStudy.objects.create(
        study_instance_uid="1.2.4",
        requested_procedure=made.requested_procedure,
        patient_id="P-1001",
        **dict.fromkeys(("first_arrival_at", "last_arrival_at", "announced_at"), now),
    )
    StudyNotice.objects.create(event_id="12345678", study=study, announced_at=now)
    return made


@pytest.fixture
def boss(admin_client: Client) -> Client:
    return admin_client


def addresses(step: ScheduledProcedureStep) -> dict[str, str]:
    """Each page that shows a patient, and what the log calls it."""
    make_patient(patient_id="P-2", family_name="Muller", given_name="Anne")
    entry, patient = step.requested_procedure_id, step.requested_procedure.patient_id
    (query,) = WorklistQuery.objects.all()
    (station,) = step.stations.all()

    def admin(model: str, view: str, *keys: object) -> str:
        return reverse(f"admin:mwl_admin_{model}_{view}", args=keys)

    found = {
        reverse("today"): "today",
        reverse("today") + "?q=mull&day=2020-01-01": "today",
        reverse("today_list"): "today",
        reverse("end_dialog", args=[step.pk, "CANCELLED"]): "today",
        reverse("step_delivery", args=[step.pk]): "delivery",
        reverse("reschedule") + f"?step={step.pk}": "reschedule",
        reverse("similar_patients") + "?family_name=Muller&given_name=Anne": "probable duplicates",
        reverse("merge_patients", args=[patient]): "merge",
        reverse("merge_patients", args=[patient]) + "?q=mull": "merge",
        reverse("merge_patients", args=[patient]) + f"?other={Patient.objects.get(patient_id='P-2').pk}": "merge",
        reverse("query_as_station", args=[station.pk]): "query as station",
        reverse("query_explained", args=[query.pk]): "query explained",
        reverse("admin:autocomplete")
        + "?app_label=mwl_admin&model_name=requestedprocedure&field_name=patient&term=mull": "search as you type",
        admin("requestedprocedure", "simple_history", entry, step.requested_procedure.history.first().pk): (
            "entry history"
        ),
    }
    one = {
        "patient": ("patient", patient),
        "entry": ("requestedprocedure", entry),
        "step": ("scheduledprocedurestep", step.pk),
        "examination": ("performedprocedurestep", PerformedProcedureStep.objects.get().pk),
        "received study": ("receivedstudy", ReceivedStudy.objects.get().pk),
        "notice": ("studynotice", StudyNotice.objects.get().pk),
        "delivery": ("worklistdelivery", WorklistDelivery.objects.get().pk),
    }
    for called, (model, key) in one.items():
        found |= {admin(model, "changelist"): f"{called} list", admin(model, "change", key): called}
        if called in {"patient", "entry", "step"}:
            found[admin(model, "history", key)] = f"{called} history"
            if called != "patient":
                found[admin(model, "delete", key)] = f"{called} deletion"
    for model, called in (
        ("patient", "patient"),
        ("requestedprocedure", "entry"),
        ("scheduledprocedurestep", "step"),
    ):
        found[admin(model, "changelist") + "?q=mull"] = f"{called} list"
    return found


def test_each_page_that_shows_a_patient_leaves_one_line(boss: Client, step: ScheduledProcedureStep) -> None:
    for address, called in addresses(step).items():
        PatientRead.objects.all().delete()
        assert boss.get(address).status_code == 200, address
        lines = PatientRead.objects.values_list("user_name", "page", "patient_identifiers")
        assert [line[:2] for line in lines] == [("admin", called)], address
        assert "P-1001" in lines[0][2].split("\n"), address
        assert "ller" not in lines[0][2]


def test_nothing_is_noted_unless_it_is_asked_for(boss: Client, step: ScheduledProcedureStep, settings: Any) -> None:
    settings.RECORD_PATIENT_READS = False
    for address in addresses(step):
        boss.get(address)
    assert not PatientRead.objects.exists()


def test_a_list_tells_all_whom_it_shows_and_a_long_one_how_many(
    boss: Client, step: ScheduledProcedureStep, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(4):
        make_patient(patient_id=f"Q-{number}")
    address = reverse("admin:mwl_admin_patient_changelist")
    boss.get(address)
    (line,) = PatientRead.objects.all()
    assert set(line.patient_identifiers.split("\n")) == {"P-1001", "Q-0", "Q-1", "Q-2", "Q-3"}
    assert line.records == 5
    monkeypatch.setattr(read_log, "LONGEST", 2)
    boss.get(address)
    line = PatientRead.objects.order_by("-pk")[0]
    assert (len(line.patient_identifiers.split("\n")), line.records) == (2, 5)


def test_a_page_that_refreshes_itself_is_read_again_only_when_it_shows_somebody_new(
    boss: Client, step: ScheduledProcedureStep
) -> None:
    boss.get(reverse("today"))
    live = {"X-Refresh": "1", "HX-Request": "true"}
    boss.get(reverse("today_list"), headers=live)
    boss.post(reverse("change_status", args=[step.pk, "ARRIVED"]), headers={"X-Page-Query": ""})
    assert PatientRead.objects.count() == 1
    another = make_requested(make_patient(patient_id="P-2"), accession_number="A-2")
    make_step(another, scheduled_date=timezone.localdate())
    boss.get(reverse("today_list"), headers=live)
    assert PatientRead.objects.count() == 2
    PatientRead.objects.update(read_at=timezone.now() - timedelta(hours=2))
    boss.get(reverse("today_list"), headers=live)
    assert PatientRead.objects.count() == 3


def test_a_page_without_patients_leaves_no_line(boss: Client, step: ScheduledProcedureStep) -> None:
    boss.get(reverse("today"), {"day": "2020-01-01"})
    boss.get(reverse("stations"))
    boss.get(reverse("admin:mwl_admin_station_changelist"))
    boss.get(reverse("admin:mwl_admin_worklistquery_changelist"))
    assert not PatientRead.objects.exists()


def test_who_is_refused_has_read_nothing(login: Login, step: ScheduledProcedureStep) -> None:
    nobody = login("")
    for address in addresses(step):
        assert nobody.get(address).status_code != 200
    assert not PatientRead.objects.exists()


def test_alarms_are_reads_of_the_images_patient_too(boss: Client, step: ScheduledProcedureStep) -> None:
    ReceivedStudy.objects.update(patient_id="P-777")
    boss.get(reverse("today"), {"day": "2020-01-01"})
    assert set(PatientRead.objects.get().patient_identifiers.split("\n")) == {"P-1001", "P-777"}


def test_exports_and_previews_of_imports_are_reads(boss: Client, step: ScheduledProcedureStep) -> None:
    address = reverse("admin:mwl_admin_requestedprocedure_export")
    fields = {f"entryresource_{name}": "on" for name in export.headings()}
    answer = boss.post(address, {"format": "0", "resource": "0", **fields})
    assert b"P-1001" in answer.content
    assert [line.page for line in PatientRead.objects.all()] == ["export"]
    PatientRead.objects.all().delete()
    text = io.StringIO()
    csv.writer(text).writerows([export.headings(), *export.rows(ScheduledProcedureStep.objects.all())])
    upload = SimpleUploadedFile("entries.csv", text.getvalue().encode())
    preview = {"import_file": upload, "format": "0", "resource": "0"}
    assert boss.post(reverse("admin:mwl_admin_requestedprocedure_import"), preview).status_code == 200
    assert [(line.page, line.patient_identifiers) for line in PatientRead.objects.all()] == [
        ("import preview", "P-1001")
    ]


def test_the_log_is_searched_by_patient_and_person(boss: Client, step: ScheduledProcedureStep) -> None:
    boss.get(reverse("admin:mwl_admin_patient_changelist"))
    log = reverse("admin:mwl_admin_patientread_changelist")
    assert "patient list" in boss.get(log, {"q": "P-1001"}).content.decode()
    assert "patient list" in boss.get(log, {"q": "admin"}).content.decode()
    assert "patient list" not in boss.get(log, {"q": "P-1002"}).content.decode()


def test_a_confirmation_of_deleting_many_is_a_read(boss: Client, step: ScheduledProcedureStep) -> None:
    address = reverse("admin:mwl_admin_scheduledprocedurestep_changelist")
    boss.post(address, {"action": "delete_selected", "_selected_action": [step.pk]})
    assert [line.page for line in PatientRead.objects.all()] == ["step list"]


def test_the_overview_names_what_one_did_last_and_is_a_read_of_that(boss: Client, step: ScheduledProcedureStep) -> None:
    assert boss.get(reverse("admin:index")).status_code == 200
    assert not PatientRead.objects.exists()
    boss.post(reverse("change_status", args=[step.pk, "ARRIVED"]))
    station = step.stations.get()
    boss.post(
        reverse("admin:mwl_admin_station_changelist"), {"action": "delete_selected", "_selected_action": [station.pk]}
    )
    PatientRead.objects.all().delete()
    assert boss.get(reverse("admin:index")).status_code == 200
    assert [(line.page, line.patient_identifiers) for line in PatientRead.objects.all()] == [
        ("recent actions", "P-1001")
    ]
    step.delete()
    PatientRead.objects.all().delete()
    boss.get(reverse("admin:index"))
    assert not PatientRead.objects.exists()
