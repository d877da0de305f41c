"""One of each thing that the site shows, where it is found, and what would change it if it were sent there."""

from __future__ import annotations

import json
from typing import Any

from django.apps import apps
from django.contrib.auth.models import Group, User
from django.contrib.contenttypes.models import ContentType
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from mwl_admin import models
from tests.factory import make_code, make_patient, make_procedure, make_requested, make_station, make_step
from tests.mwl_admin.pages import STEP, form_values

PASSWORD = "correct-horse-7-battery"
TABLE = "Accession number,Patient ID,Family name,Date,Time,Modality\nA-77,P-77,Newman,2026-05-04,10:30,CT\n"
_OF_NO_RECORD = {"changelist", "add", "import", "export", "process_import", "template_csv", "template_xlsx"}
IMPORT, PROCESS = ("admin:mwl_admin_requestedprocedure_import", "admin:mwl_admin_requestedprocedure_process_import")

CHANGED: dict[str, dict[str, Any]] = {
    "user": {"first_name": "Changed"},
    "group": {"name": "Changed"},
    "patient": {"family_name": "Changed", "patient_sex": "O"},
    "requestedprocedure": {"requested_procedure_description": "Changed", "study_instance_uid": "2.25.666"},
    "scheduledprocedurestep": {"scheduled_procedure_step_description": "Changed"},
    "station": {"expected_addresses": "203.0.113.66"},
    "procedure": {"description": "Changed"},
    "protocolcode": {"code_meaning": "Changed"},
    "apiclient": {"name": "Changed"},
}
"""What is sent to the page of one, besides what its form holds."""
ADDED: dict[str, dict[str, Any]] = {
    "user": {"username": "newcomer", "password1": PASSWORD, "password2": PASSWORD, "usable_password": "true"},
    "group": {"name": "New"},
    "patient": {"patient_id": "P-99", "family_name": "New"},
    "requestedprocedure": {"new_patient_id": "P-98", "new_family_name": "New", f"{STEP}modality": "CT",
                           f"{STEP}scheduled_date": "04/05/2026", f"{STEP}scheduled_time": "10:00"},
    "station": {"ae_title": "NEW1", "modality": "CT", "station_name": "New"},
    "procedure": {"name": "New", "modality": "CT"},
    "protocolcode": {"code_value": "N", "coding_scheme_designator": "99L", "code_meaning": "New"},
    "apiclient": {"name": "New"},
}  # fmt: skip


class Scene:
    """What there is. ``boss`` is the site as a superuser sees it, who opens the forms that others then send."""

    def __init__(self, boss: Client) -> None:
        self._boss = boss
        station = make_station()
        self.spare: dict[str, Any] = {
            "station": make_station("CT9"),
            "procedure": make_procedure(name="Spare", code_value="1"),
            "patient": make_patient(patient_id="P-9", family_name="Spare"),
        }
        self.patient = make_patient()
        self.step = make_step(make_requested(self.patient, procedure=make_procedure()))
        self.spare["requestedprocedure"] = make_requested(self.spare["patient"])
        self.spare["patient"] = make_patient(patient_id="P-8", family_name="Spare")
        self.started = make_step(make_requested(self.patient))
        self.started.transition(models.StepStatus.STARTED)
        self.spare["scheduledprocedurestep"] = self.ended = make_step(make_requested(self.patient))
        self.ended.transition(models.StepStatus.STARTED)
        self.ended.transition(models.StepStatus.COMPLETED)
        self._record(station)
        self.api_client = models.APIClient(name="Hospital system", can_write=True)
        self.api_client.make_token()
        self.api_client.save()
        self.colleague = User.objects.create_user("colleague", is_staff=True, password=PASSWORD)
        self.colleague.groups.add(Group.objects.get(name="Reception"))
        self.group = Group.objects.create(name="Locum")
        make_code(coding_scheme_designator="99L")

    def _record(self, station: models.Station) -> None:
        now = timezone.now()
        models.KeptOut.objects.create(ae_title="KEPT_OUT")
        self.query = models.WorklistQuery.objects.create(
            received_at=now, calling_ae_title="CT1", called_ae_title="MWL_SCP", status=0, address="192.0.2.9"
        )
        models.WorklistDelivery.objects.create(
            query=self.query, step=self.step, station_ae_title=station.ae_title, delivered_at=now
        )
        performed = models.PerformedProcedureStep.objects.create(
            sop_instance_uid="1.2.3", performed_procedure_step_status="COMPLETED"
        )
        performed.scheduled_procedure_steps.add(self.ended)
        self.report = models.PerformedProcedureStep.objects.create(
            sop_instance_uid="1.2.4", performed_procedure_step_status="DISCONTINUED", doubt="WRONG_ENTRY"
        )
        arrived = {"first_arrival_at": now, "last_arrival_at": now, "announced_at": now}
        self.study = models.ReceivedStudy.objects.create(study_instance_uid="2.25.7", **arrived)
        settled = models.ReceivedStudy.objects.create(study_instance_uid="2.25.8", settled_at=now, **arrived)
        models.StudyNotice.objects.create(event_id="1", study=settled, announced_at=now)
        models.PatientRead.objects.create(user_name="anna", patient_identifiers="P-1001", page="patient")
        for name in ("accessattempt", "accesslog", "accessfailurelog"):
            values = {"username": "anna", "ip_address": "192.0.2.7", "user_agent": "x", "path_info": "/admin/login/"}
            more = {"failures_since_start": 1} if name == "accessattempt" else {}
            apps.get_model("axes", name).objects.create(**values, **more)

    # -- where it is

    def address(self, name: str, route: str) -> str:
        """Return the address of a row of the table."""
        name = name.partition("#")[0]
        if "/" in name or not name:
            address = "/" + route.replace("<path:object_id>", "1").replace("(?P<url>.*)$", "nothing-here")
            return address + self._query(name.rstrip("/"))
        return reverse(name, args=self._arguments(name)) + self._query(name)

    def _arguments(self, name: str) -> list[Any]:
        own: dict[str, list[Any]] = {
            "change_status": [self.step.pk, "ARRIVED"],
            "end_dialog": [self.step.pk, "CANCELLED"],
            "step_delivery": [self.step.pk],
            "done_in_downtime": [self.step.pk],
            "settle_step": [self.step.pk, "seen"],
            "settle_study": [self.study.pk, "seen"],
            "settle_report": [self.report.pk, "seen"],
            "entry_procedure": [self.step.requested_procedure.procedure_id],
            "merge_patients": [self.patient.pk],
            "query_as_station": [models.Station.objects.get(ae_title="CT1").pk],
            "echo_station": [models.Station.objects.get(ae_title="CT1").pk],
            "query_explained": [self.query.pk],
            "admin:view_on_site": [ContentType.objects.get_for_model(models.Patient).pk, self.patient.pk],
            "admin:app_list": ["mwl_admin"],
        }
        if name in own:
            return own[name]
        if name.startswith("api:"):
            with_number = (
                "api:read_entry",
                "api:put_entry",
                "api:change_entry",
                "api:cancel_entry",
                "api:read_results",
            )
            if name in {"api:read_patient", "api:put_patient"}:
                return [self.patient.patient_id]
            return [self.step.requested_procedure.accession_number] if name in with_number else []
        record = self.record(name)
        versions = [record.history.earliest().pk] if name.endswith("_simple_history") else []
        return [record.pk, *versions] if record is not None else []

    def record(self, name: str) -> Any:
        """Return the record that a page of the admin is about, or None."""
        application, model, action = _parts(name)
        if not application or action in _OF_NO_RECORD:
            return None
        if action == "delete" and model in self.spare:
            return self.spare[model]
        own = {
            "user": self.colleague,
            "group": self.group,
            "patient": self.patient,
            "requestedprocedure": self.step.requested_procedure,
            "scheduledprocedurestep": self.step,
        }
        return own.get(model) or apps.get_model(application, model).objects.earliest("pk")

    def _query(self, name: str) -> str:
        if name == "reschedule":
            return f"?step={self.step.pk}"
        if name.endswith("autocomplete"):
            return "?app_label=mwl_admin&model_name=requestedprocedure&field_name=patient&term=m"
        return "?day=all" if name == "admin:mwl_admin_scheduledprocedurestep_changelist" else ""

    # -- what would change it

    def body(self, name: str) -> dict[str, Any]:
        """Return what is sent to an address: as complete as if it were filled in by somebody who may."""
        name, _, action = name.partition("#")
        own: dict[str, dict[str, Any]] = {
            "reschedule": {"step": self.step.pk, f"version-{self.step.pk}": self.step.version, "date": "2030-01-01"},
            "done_in_downtime": {"start": "2026-05-04T10:00", "end": "2026-05-04T10:30"},
            "merge_patients": {"other": self.spare["patient"].pk, "kept_version": self.patient.version,
                               "other_version": self.spare["patient"].version, "entries": 0},
            "keep_out": {"ae_title": "STRANGER"},
            "stop_keeping_out": {"ae_title": "KEPT_OUT"},
            "admin:login": {"username": "nobody", "password": "wrong"},
            "admin:password_change": {"old_password": PASSWORD, "new_password1": f"{PASSWORD}!",
                                      "new_password2": f"{PASSWORD}!"},
            "admin:auth_user_password_change": {"password1": f"{PASSWORD}!", "password2": f"{PASSWORD}!",
                                                "usable_password": "true"},
        }  # fmt: skip
        if name in own:
            return own[name]
        if name in {IMPORT, PROCESS}:
            return self._import(confirmed=name == PROCESS)
        _application, model, page = _parts(name)
        if page == "changelist":
            return self._action(model, action)
        if page == "add" and model in ADDED:
            return {**form_values(self._boss.get(reverse(name))), **ADDED[model]}
        if page in {"change", "history", "simple_history"} and model in CHANGED:
            return self.changed(model, self.record(name))
        return {"post": "yes"}

    def changed(self, model: str, record: Any, **values: Any) -> dict[str, Any]:
        """Return the filled form of a record with something changed."""
        page = self._boss.get(reverse(f"admin:{record._meta.app_label}_{model}_change", args=[record.pk]))
        return {**form_values(page), **CHANGED[model], **values}

    def _action(self, model: str, action: str) -> dict[str, Any]:
        if not action:
            return {}
        if action == "delete_selected" and model in self.spare:
            keys = [self.spare[model].pk]
        elif model in {"user", "group"}:
            keys = [(self.colleague if model == "user" else self.group).pk]
        else:
            application = "axes" if model.startswith("access") else "mwl_admin"
            keys = [*apps.get_model(application, model).objects.values_list("pk", flat=True)]
        return {"action": action, "_selected_action": keys, "post": "yes"}

    def _import(self, *, confirmed: bool) -> dict[str, Any]:
        upload = {"import_file": SimpleUploadedFile("orders.csv", TABLE.encode()), "format": "0", "resource": "0"}
        if not confirmed:
            return upload
        preview: Any = self._boss.post(reverse(IMPORT), upload)
        values: dict[str, Any] = preview.context_data["confirm_form"].initial
        return values


def entry(accession_number: str) -> str:
    """Return an entry as a client of the API sends it."""
    step = {
        "Modality": "CT",
        "ScheduledProcedureStepStartDate": "20260504",
        "ScheduledProcedureStepStartTime": "103000",
        "ScheduledProcedureStepDescription": "Changed",
    }
    return json.dumps(
        {
            "AccessionNumber": accession_number,
            "PatientID": "P-1001",
            "PatientName": "Müller^Änne",
            "ScheduledProcedureStepSequence": [step],
        }
    )


def _parts(name: str) -> tuple[str, str, str]:
    """Return application, model and page of a name of the admin."""
    for application in ("mwl_admin", "auth", "axes"):
        if name.startswith(f"admin:{application}_"):
            model, _, page = name.removeprefix(f"admin:{application}_").partition("_")
            return application, model, page
    return "", "", ""
