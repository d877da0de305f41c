"""What each role may: one table of every address of the site, against which the site is held.

Letters stand for who asks: R reception, X radiographer, M manager, A administrator, S superuser, N a staff account
without a role, P an account that is no staff, ? nobody who has logged in.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

ROLES = {"R": "Reception", "X": "Radiographer", "M": "Manager", "A": "Administrator"}
STAFF, ALL = "RXMANS", "RXMANSP?"


@dataclass(frozen=True, slots=True)
class May:
    """Who is served by GET, and who by POST: whose POST changes the database, or else is merely not refused."""

    get: str = ""
    post: str = ""
    writes: bool = True


def _read(get: str = "", post: str = "") -> May:
    return May(get, post, writes=False)


def _model(
    label: str,
    view: str,
    add: str = "",
    change: str = "",
    delete: str = "",
    *,
    versions: bool = False,
    actions: Mapping[str, str] | None = None,
) -> Iterator[tuple[str, May]]:
    """Yield the pages that the admin makes for a model; ``#`` and a name is an action on the list."""
    name = f"admin:{label.replace('.', '_')}"
    yield f"{name}_changelist", _read(view, view)
    for action, who in {**({"delete_selected": delete} if delete else {}), **(actions or {})}.items():
        yield f"{name}_changelist#{action}", May(view, who)
    yield f"{name}_add", May(add, add)
    yield f"{name}_change", May(view, change)
    yield f"{name}_delete", May(delete, delete)
    yield f"{name}_history", _read(view, view)
    yield f"admin/{label.replace('.', '/')}/<path:object_id>/", _read(STAFF, STAFF)  # leads to the page of the object
    if versions:
        yield f"{name}_simple_history", May(view, "")


_STEP_ACTIONS = dict.fromkeys(("arrived", "ready", "start", "complete", "discontinue", "cancel", "undo"), "RXMAS")

TABLE: dict[str, May] = {
    "": _read(ALL, ALL),
    "health": _read(ALL),
    "texts": _read(ALL),
    # -- the day's work
    "today": _read("RXMAS"),
    "today_list": _read("RXMAS"),
    "change_status": May("", "RXMAS"),
    "end_dialog": _read("RXMAS"),
    "step_delivery": _read("RXMAS"),
    "settle_step": May("", "XMAS"),
    "settle_study": May("", "XMAS"),
    "settle_report": May("", "XMAS"),
    "downtime_list": _read("RXMAS"),
    "done_in_downtime": May("RXMAS", "RXMAS"),
    "reschedule": May("RXMAS", "RXMAS"),
    "similar_patients": _read("RXMAS"),
    "entry_procedure": _read("RXMAS"),
    "free_slots": _read("RXMAS"),
    "merge_patients": May("MAS", "MAS"),
    "stations": _read("RXMAS"),
    "query_as_station": _read("RXMAS"),
    "echo_station": _read("", "RXMAS"),
    "keep_out": May("", "MAS"),
    "stop_keeping_out": May("", "MAS"),
    "query_explained": _read("XMAS"),
    # -- the admin
    "admin/": _read(STAFF, STAFF),
    "admin:index": _read(STAFF, STAFF),
    "admin:app_list": _read("RXMAS", "RXMAS"),
    "admin:search": _read(STAFF, STAFF),
    "admin/autocomplete/": _read("RXMAS"),
    "admin:autocomplete": _read("RXMAS"),
    "admin:jsi18n": _read(STAFF),
    "admin:view_on_site": _read(),
    "admin/(?P<url>.*)$": _read(),
    "admin:login": May(ALL, ALL),
    "admin:logout": May("P?", STAFF),
    "admin:password_change": May(STAFF, STAFF),
    "admin:password_change_done": _read(STAFF),
    # -- people
    **dict(_model("auth.user", "AS", "AS", "AS", "AS")),
    "admin:auth_user_password_change": May("AS", "AS"),
    **dict(_model("auth.group", "AS", "AS", "AS", "AS")),
    **dict(_model("axes.accessattempt", "S")),
    **dict(_model("axes.accesslog", "S")),
    **dict(_model("axes.accessfailurelog", "S")),
    **dict(_model("mwl_admin.patientread", "MAS")),
    # -- entries
    **dict(_model("mwl_admin.patient", "RXMAS", "RMAS", "RMAS", "AS", versions=True)),
    "admin:mwl_admin_patient_merge": _read("MAS", "MAS"),
    **dict(_model("mwl_admin.requestedprocedure", "RXMAS", "RMAS", "RMAS", "MAS", versions=True)),
    "admin:mwl_admin_requestedprocedure_template_csv": _read("RMAS", "RMAS"),
    "admin:mwl_admin_requestedprocedure_template_xlsx": _read("RMAS", "RMAS"),
    "admin:mwl_admin_requestedprocedure_import": _read("RMAS", "RMAS"),
    "admin:mwl_admin_requestedprocedure_process_import": May("", "RMAS"),
    "admin:mwl_admin_requestedprocedure_export": _read("RXMAS", "RXMAS"),
    **dict(
        _model(
            "mwl_admin.scheduledprocedurestep",
            "RXMAS", "RMAS", "RXMAS", "MAS",
            versions=True,
            actions=_STEP_ACTIONS,
        )
    ),
    "admin:mwl_admin_scheduledprocedurestep_add": _read("RMAS", "RMAS"),  # leads to the page of a new entry
    "admin:mwl_admin_scheduledprocedurestep_changelist#reschedule": _read("RXMAS", "RXMAS"),
    # -- devices and the catalogue
    **dict(_model("mwl_admin.station", "RXMAS", "AS", "MAS", "AS", versions=True)),
    **dict(_model("mwl_admin.procedure", "RXMAS", "MAS", "MAS", "MAS", versions=True)),
    **dict(_model("mwl_admin.protocolcode", "RXMAS", "MAS", "MAS", "MAS")),
    **dict(_model("mwl_admin.apiclient", "AS", "AS", "AS", "AS", actions={"renew": "AS", "revoke": "AS"})),
    # -- what was recorded
    **dict(_model("mwl_admin.worklistquery", "XMAS")),
    **dict(_model("mwl_admin.worklistdelivery", "XMAS")),
    **dict(_model("mwl_admin.performedprocedurestep", "XMAS", actions={"take_back": "XMAS"})),
    **dict(_model("mwl_admin.receivedstudy", "XMAS", actions={"settle": "XMAS", "reopen": "XMAS"})),
    **dict(_model("mwl_admin.studynotice", "S")),
    # -- the API: whoever is logged in to the site is nobody to it
    "api:api-root": _read(ALL, ALL),
    "api:openapi-json": _read(STAFF, STAFF),
    "api:openapi-view": _read(STAFF, STAFF),
    "api:search_steps": _read(),
    "api:list_entries": _read(),
    "api:follow_changes": _read(),
    "api:make_entry": _read(),
    "api:read_entry": _read(),
    "api:put_entry": _read(),
    "api:change_entry": _read(),
    "api:cancel_entry": _read(),
    "api:read_results": _read(),
    "api:list_patients": _read(),
    "api:read_patient": _read(),
    "api:put_patient": _read(),
    "api:merge_patient_records": _read(),
    "api:change_patient_id": _read(),
    "api:identify_patient": _read(),
    "api:move_order": _read(),
    "api:study_complete": _read(),
    "api:devices": _read(),
    "api:turned_away": _read(),
}  # fmt: skip
"""Every address by its name, or by its route when it has none."""

API: dict[str, dict[str, str]] = {
    "api:search_steps": {"GET": "rb"},
    "api:list_entries": {"GET": "rb"},
    "api:follow_changes": {"GET": "rb"},
    "api:make_entry": {"POST": "wb"},
    "api:read_entry": {"GET": "rb"},
    "api:put_entry": {"PUT": "wb"},
    "api:change_entry": {"PATCH": "wb"},
    "api:cancel_entry": {"DELETE": "wb"},
    "api:list_patients": {"GET": "rb"},
    "api:read_patient": {"GET": "rb"},
    "api:put_patient": {"PUT": "wb"},
    "api:merge_patient_records": {"POST": "wb"},
    "api:change_patient_id": {"POST": "wb"},
    "api:identify_patient": {"POST": "wb"},
    "api:move_order": {"POST": "wb"},
    "api:read_results": {"GET": "rb"},
}
"""What a token may: r reads, w writes, b both. A method that is not named is refused to all."""
