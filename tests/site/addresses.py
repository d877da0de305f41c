"""The addresses of all pages that the site has, by their names, and why the others are none."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from django.apps import apps
from django.contrib.auth.models import Group, User
from django.urls import URLPattern, URLResolver, get_resolver, reverse
from django.utils import timezone

from mwl_admin import models
from tests.factory import make_code

EDITED = ("patient", "requestedprocedure", "scheduledprocedurestep", "station", "procedure")
"""Models with a history that shows each version."""
PLAIN = ("protocolcode", "apiclient")
RECORDS = ("patientread", "worklistdelivery", "performedprocedurestep", "receivedstudy", "studynotice")
LOGINS = ("accessattempt", "accesslog", "accessfailurelog")
ACTIONS = ("changelist", "add", "change", "history", "delete")


def admin(model: str, *actions: str, application: str = "mwl_admin") -> list[str]:
    return [f"admin:{application}_{model}_{action}" for action in actions]


PAGES: dict[str, list[str]] = {
    "work": [
        "today", "step_delivery", "done_in_downtime", "downtime_list",
        "reschedule", "merge_patients", "stations", "query_as_station", "query_explained",
        *admin("worklistquery", "changelist", "history"), *admin("requestedprocedure", "import", "export"),
        "api:openapi-view",
    ],
    "entries": [name for model in EDITED[:3] for name in admin(model, *ACTIONS, "simple_history")],
    "catalogue": [
        *(name for model in EDITED[3:] for name in admin(model, *ACTIONS, "simple_history")),
        *(name for model in PLAIN for name in admin(model, *ACTIONS)),
    ],
    "records": [name for model in RECORDS for name in admin(model, "changelist", "change", "history")],
    "accounts": [
        *(name for model in ("user", "group") for name in admin(model, *ACTIONS, application="auth")),
        *admin("user", "password_change", application="auth"),
        *(name for model in LOGINS for name in admin(model, "changelist", "change", "history", application="axes")),
        "admin:index", "admin:app_list", "admin:password_change", "admin:password_change_done",
    ],
}  # fmt: skip
"""The pages, by what they are about."""
VARIANTS = {
    "today": ("", "?q=ller", "?day=2030-01-01"),
    "reschedule": ("?step={movable}", "?step={movable}&step={step}"),
    "merge_patients": ("", "?other={other}", "?q=nobody"),
    "query_as_station": ("", "?usual"),
    "admin:mwl_admin_scheduledprocedurestep_changelist": ("", "?day=all"),
}
"""Pages that show several things."""
PARTS = {
    "today_list", "end_dialog", "similar_patients", "free_slots", "echo_station", "change_status", "settle_step",
    "settle_study", "settle_report", "keep_out", "stop_keeping_out", "admin:search", "admin:login", "admin:logout",
}  # fmt: skip
"""What appears on a page, or in its stead, when something is done there."""
REDIRECTS = {
    "admin:view_on_site", "admin:mwl_admin_patient_merge", "admin:mwl_admin_worklistquery_change",
    "admin:mwl_admin_requestedprocedure_process_import",
}  # fmt: skip
DATA = {
    "entry_procedure", "admin:autocomplete", "admin:jsi18n", "texts", "health", "api:openapi-json", "api:api-root",
    "api:search_steps", "api:list_entries", "api:make_entry", "api:read_entry", "api:put_entry", "api:change_entry",
    "api:list_patients", "api:read_patient", "api:put_patient", "api:merge_patient_records", "api:change_patient_id",
    "api:identify_patient", "api:move_order", "api:read_results", "api:follow_changes",
    "api:cancel_entry", "api:study_complete", "api:devices", "api:turned_away",
    *admin("requestedprocedure", "template_csv", "template_xlsx"),
}  # fmt: skip
REFUSED = {
    *(name for model in (*RECORDS, "worklistquery") for name in admin(model, "add", "delete")),
    *(name for model in LOGINS for name in admin(model, "add", "delete", application="axes")),
}
"""Records are neither added nor deleted by people: these answer 403."""


def all_names() -> set[str]:
    """Return the name of whatever the site serves."""
    return set(_names(get_resolver()))


def _names(resolver: URLResolver, *namespaces: str) -> Iterator[str]:
    for pattern in resolver.url_patterns:
        if isinstance(pattern, URLResolver):
            yield from _names(pattern, *namespaces, *([pattern.namespace] if pattern.namespace else []))
        elif isinstance(pattern, URLPattern) and pattern.name:
            yield ":".join([*namespaces, pattern.name])


def make_what_is_shown() -> None:
    """Make one of each that the invented department lacks, so that no page is empty."""
    make_code(coding_scheme_designator="99LOCAL")
    client = models.APIClient(name="Hospital system")
    client.make_token()
    client.save()
    anna, patient = User.objects.get(username="anna"), models.Patient.objects.earliest("pk")
    User.objects.create_user("mistyped")
    Group.objects.create(name="Locum")
    models.PatientRead.objects.create(user=anna, user_name="anna", patient=patient, patient_identifiers="P-1", page="x")
    study = models.ReceivedStudy.objects.earliest("pk")
    models.StudyNotice.objects.create(event_id="0f2c8a44", study=study, announced_at=timezone.now())
    for name in LOGINS:
        values = {"username": "anna", "ip_address": "192.0.2.7", "user_agent": "x", "path_info": "/admin/login/"}
        model = apps.get_model("axes", name)
        model.objects.create(**values, **({"failures_since_start": 1} if name == "accessattempt" else {}))


def addresses(name: str) -> list[str]:
    """Return where a page is: its address, and those of its variants."""
    steps = models.ScheduledProcedureStep.objects
    known = {
        "step": steps.earliest("pk").pk,
        "movable": steps.filter(status="SCHEDULED").earliest("pk").pk,
        "other": models.Patient.objects.get(patient_id="P-1002").pk,
    }
    address = reverse(name, args=_arguments(name))
    return [address + variant.format(**known) for variant in VARIANTS.get(name, ("",))]


def _arguments(name: str) -> list[Any]:
    if name == "admin:app_list":
        return ["mwl_admin"]
    own: dict[str, Any] = {
        "step_delivery": models.ScheduledProcedureStep,
        "done_in_downtime": models.ScheduledProcedureStep,
        "merge_patients": models.Patient,
        "query_as_station": models.Station,
        "query_explained": models.WorklistQuery,
    }
    if name in own:
        return [own[name].objects.earliest("pk").pk]
    application = next((label for label in ("mwl_admin", "auth", "axes") if name.startswith(f"admin:{label}_")), "")
    model, _, action = name.removeprefix(f"admin:{application}_").partition("_")
    if not application or action in {"changelist", "add", "import", "export"}:
        return []
    kind: Any = apps.get_model(application, model)
    # Neither an account that did something nor a role that the product brings can be deleted.
    deletable = {"admin:auth_user_delete": {"username": "mistyped"}, "admin:auth_group_delete": {"name": "Locum"}}
    record = kind.objects.filter(**deletable.get(name, {})).earliest("pk")
    return [record.pk, *([record.history.earliest().pk] if action == "simple_history" else [])]
