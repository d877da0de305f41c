"""The worklist itself: scheduled steps by day, modality, station and status, and the actions on them."""

from collections.abc import Callable
from datetime import date, datetime, timedelta
from typing import Any

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import Prefetch, Q, QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils import timezone
from django.utils.formats import date_format
from django.utils.translation import gettext, gettext_noop, ngettext
from django.utils.translation import gettext_lazy as _

from mwl_admin.entries import finding
from mwl_admin.exceptions import TransitionError
from mwl_admin.models import Procedure, ScheduledProcedureStep, Station, StepStatus
from mwl_admin.models.status import OPEN
from mwl_admin.mpps.doubts import doubts
from mwl_admin.mpps.where import done_elsewhere
from mwl_admin.site import preflight
from mwl_admin.site.admin.editing import EditedAdmin
from mwl_admin.site.admin.readers import PatientDataAdmin
from mwl_admin.site.admin.readsteps import ReadStepForm
from mwl_admin.site.pages import reschedule
from mwl_admin.site.pages.day import status_note


def _stations() -> QuerySet[Station]:
    """Return the stations as lists name them."""
    return Station.objects.modalities().only("ae_title", "station_name")


class DayFilter(admin.SimpleListFilter):
    """Today, unless another day is picked or something is searched for."""

    title = _("date")
    parameter_name = "day"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [
            ("today", gettext("Today")),
            ("tomorrow", gettext("Tomorrow")),
            ("week", gettext("Next 7 days")),
            ("yesterday", gettext("Yesterday")),
            ("past", gettext("Past 7 days")),
            ("all", gettext("All days")),
        ]

    def choices(self, changelist: Any) -> Any:
        # Without the "All" that Django puts first: here no choice means today.
        return list(super().choices(changelist))[1:]

    def value(self) -> str | None:
        return super().value() or self._default

    def __init__(self, request: HttpRequest, params: dict[str, Any], model: Any, model_admin: Any) -> None:
        narrowed = request.GET.get("q") or any(name.startswith("scheduled_date") for name in request.GET)
        self._default = "all" if narrowed else "today"
        super().__init__(request, params, model, model_admin)

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        today = timezone.localdate()
        spans: dict[str | None, tuple[date, date]] = {
            "today": (today, today),
            "tomorrow": (today + timedelta(days=1), today + timedelta(days=1)),
            "week": (today, today + timedelta(days=6)),
            "yesterday": (today - timedelta(days=1), today - timedelta(days=1)),
            "past": (today - timedelta(days=7), today - timedelta(days=1)),
        }
        span = spans.get(self.value())
        return queryset.filter(scheduled_date__range=span) if span else queryset


class ModalityFilter(admin.SimpleListFilter):
    """The modalities that the department has, rather than a search through all steps for those in use."""

    title = _("modality")
    parameter_name = "modality"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        stations = Station.objects.modalities().order_by().values_list("modality")
        procedures = Procedure.objects.order_by().values_list("modality")
        return [(modality, modality) for (modality,) in sorted(stations.union(procedures))]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        return queryset.filter(modality=self.value()) if self.value() else queryset


class StationFilter(admin.SimpleListFilter):
    """What one station is meant to see: its own steps, and unassigned ones of its modality."""

    title = _("station")
    parameter_name = "station"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(station.ae_title, str(station)) for station in _stations()]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        station = Station.objects.filter(ae_title=self.value()).first() if self.value() else None
        if station is None:
            return queryset
        assigned = station.scheduled_procedure_steps.values("pk")
        return queryset.filter(Q(pk__in=assigned) | Q(stations=None, modality=station.modality))


class StatusFilter(admin.SimpleListFilter):
    """By status; all that is still on the worklist in one go."""

    title = _("status")
    parameter_name = "status"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        statuses = ((str(value), str(label)) for value, label in StepStatus.choices)
        return [("open", gettext("On the worklist")), *statuses]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        if self.value() == "open":
            return queryset.filter(status__in=OPEN)
        return queryset.filter(status=self.value()) if self.value() else queryset


def state(step: ScheduledProcedureStep) -> str:
    """Return the step's status and the reason, where it was done when not where it was planned, and any doubt."""
    told = (
        step.get_status_display(),
        step.reason_shown,
        done_elsewhere([step]).get(step.pk),
        doubts([step]).get(step.pk),
    )
    return ", ".join(filter(None, told))


Action = Callable[["ScheduledProcedureStepAdmin", HttpRequest, "QuerySet[ScheduledProcedureStep]"], None]


def _action(description: str, name: str, change: Callable[[ScheduledProcedureStep], None]) -> Action:
    @admin.action(description=_(description), permissions=["change"])
    def act(
        modeladmin: "ScheduledProcedureStepAdmin", request: HttpRequest, queryset: QuerySet[ScheduledProcedureStep]
    ) -> None:
        modeladmin.change_status(request, queryset, change)

    act.__name__ = name
    return act


def _to(target: StepStatus) -> Callable[[ScheduledProcedureStep], None]:
    return lambda step: step.transition(target)


ACTIONS = (
    _action(gettext_noop("Patient has arrived"), "arrived", _to(StepStatus.ARRIVED)),
    _action(gettext_noop("Ready for examination"), "ready", _to(StepStatus.READY)),
    _action(gettext_noop("Examination has started"), "start", _to(StepStatus.STARTED)),
    _action(gettext_noop("Examination is complete"), "complete", _to(StepStatus.COMPLETED)),
    _action(gettext_noop("Examination was discontinued"), "discontinue", _to(StepStatus.DISCONTINUED)),
    _action(gettext_noop("Cancel"), "cancel", _to(StepStatus.CANCELLED)),
    "reschedule",
    _action(gettext_noop("Take back the last change of status"), "undo", ScheduledProcedureStep.undo),
)


@admin.register(ScheduledProcedureStep)
class ScheduledProcedureStepAdmin(PatientDataAdmin, EditedAdmin):
    form = ReadStepForm
    read_as = "step"
    list_display = (
        "start",
        "patient",
        "patient_id",
        "description",
        "modality",
        "station_names",
        "status",
        "accession_number",
    )
    list_display_links = ("start", "patient")
    list_select_related = ("requested_procedure__patient",)
    list_filter = (DayFilter, StationFilter, ModalityFilter, StatusFilter)
    date_hierarchy = "scheduled_date"
    search_fields = ("scheduled_procedure_step_id", "requested_procedure__accession_number")
    search_help_text = _("Patient's name or ID, accession number, step ID or requested procedure ID")
    autocomplete_fields = ("stations", "protocol_codes")
    readonly_fields = ("patient", "patient_id", "requested_procedure", "state")
    actions = ACTIONS
    fieldsets = (
        (
            None,
            {
                "fields": (
                    "seen_version",
                    ("patient", "patient_id"),
                    ("requested_procedure", "state"),
                    ("scheduled_date", "scheduled_time"),
                    ("modality", "stations"),
                    ("scheduled_procedure_step_id", "scheduled_procedure_step_location"),
                    ("scheduled_performing_physician_name", "scheduled_procedure_step_description"),
                    "protocol_codes",
                    ("pre_medication", "requested_contrast_agent"),
                    "comments_on_the_scheduled_procedure_step",
                )
            },
        ),
    )

    @admin.display(description=_("start"), ordering="scheduled_date")
    def start(self, step: ScheduledProcedureStep) -> str:
        if step.scheduled_date == timezone.localdate():
            return f"{step.scheduled_time:%H:%M}"
        return date_format(datetime.combine(step.scheduled_date, step.scheduled_time), "WEEKDAY_DATETIME_FORMAT")

    @admin.display(description=_("patient"), ordering="requested_procedure__patient__name_key")
    def patient(self, step: ScheduledProcedureStep) -> str:
        return step.requested_procedure.patient.display_name

    @admin.display(description=_("patient ID"), ordering="requested_procedure__patient__patient_id")
    def patient_id(self, step: ScheduledProcedureStep) -> str:
        return str(step.requested_procedure.patient.patient_id)

    @admin.display(description=_("description"), ordering="scheduled_procedure_step_description")
    def description(self, step: ScheduledProcedureStep) -> str:
        return str(step.scheduled_procedure_step_description)

    @admin.display(description=_("accession number"), ordering="requested_procedure__accession_number")
    def accession_number(self, step: ScheduledProcedureStep) -> str:
        return str(step.requested_procedure.accession_number)

    @admin.display(description=_("stations"))
    def station_names(self, step: ScheduledProcedureStep) -> str:
        return ", ".join(station.ae_title for station in step.stations.all()) or gettext("any")

    @admin.display(description=_("status"))
    def state(self, step: ScheduledProcedureStep) -> str:
        return state(step)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        steps: QuerySet[Any] = super().get_queryset(request)
        return steps.prefetch_related(Prefetch("stations", _stations()))

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        return queryset.filter(finding.steps(search_term)), False

    def add_view(self, request: HttpRequest, form_url: str = "", extra_context: Any = None) -> HttpResponse:
        """A step is nothing without patient and requested procedure: the page that has all three."""
        if not self.has_add_permission(request):
            raise PermissionDenied
        return redirect("admin:mwl_admin_requestedprocedure_add")

    @admin.action(description=_("Reschedule…"), permissions=["change"])
    def reschedule(self, request: HttpRequest, queryset: "QuerySet[ScheduledProcedureStep]") -> HttpResponse:
        return redirect(reschedule.address([step.pk for step in queryset]))

    def save_related(self, request: HttpRequest, form: Any, formsets: Any, change: bool) -> None:
        super().save_related(request, form, formsets, change)
        if form.has_changed():
            preflight.warn(request, form.instance)

    def change_status(
        self,
        request: HttpRequest,
        queryset: "QuerySet[ScheduledProcedureStep]",
        change: Callable[[ScheduledProcedureStep], None],
    ) -> None:
        """Change each step, tell what could not be changed and why, and keep a history of the rest."""
        changed = 0
        for step in queryset:
            try:
                change(step)
            except TransitionError as error:
                self.message_user(request, f"{step.scheduled_procedure_step_id}: {error}", messages.WARNING)
                continue
            changed += 1
            self.log_change(request, step, status_note(step))
        if changed:
            text = ngettext("%(n)d step changed.", "%(n)d steps changed.", changed)
            self.message_user(request, text % {"n": changed}, messages.SUCCESS)
