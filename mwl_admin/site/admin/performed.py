"""What modalities reported by MPPS: to be read; its effect on the worklist may be taken back, itself never."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date, datetime, time
from typing import Any

from django.contrib import admin, messages
from django.db.models import Count, QuerySet
from django.http import HttpRequest
from django.urls import reverse
from django.utils.formats import date_format
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from django.utils.text import Truncator
from django.utils.translation import gettext, ngettext
from django.utils.translation import gettext_lazy as _

from mwl_admin.exceptions import TransitionError
from mwl_admin.images.alarms import images
from mwl_admin.models import PerformedProcedureStep, ScheduledProcedureStep
from mwl_admin.models.performed import Doubt, PerformedStatus
from mwl_admin.models.status import ENDED
from mwl_admin.mpps import report
from mwl_admin.mpps.where import done_elsewhere
from mwl_admin.site import read_log
from mwl_admin.site.admin.readers import PatientDataAdmin
from mwl_admin.site.admin.records import RecordAdmin

SERIES_SHOWN = 200
CHARACTERS_SHOWN = 2000


class UnscheduledFilter(admin.SimpleListFilter):
    title = _("entry")
    parameter_name = "entry"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("none", gettext("Unscheduled")), ("found", gettext("Scheduled"))]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        if self.value() is None:
            return queryset
        return queryset.filter(scheduled_procedure_steps__isnull=self.value() == "none").distinct()


@admin.register(PerformedProcedureStep)
class PerformedProcedureStepAdmin(PatientDataAdmin, RecordAdmin):
    read_as = "examination"
    list_display = (
        "start",
        "end",
        "state",
        "patient_name",
        "patient_id",
        "accession_number",
        "scheduled",
        "modality",
        "performed_station_ae_title",
        "protocol",
        "series_count",
        "instance_count",
    )
    list_filter = ("performed_procedure_step_status", UnscheduledFilter, "doubt", "modality")
    search_fields = ("=sop_instance_uid", "=study_instance_uid", "accession_number", "patient_id", "patient_name")
    actions = ("take_back",)
    fieldsets = (
        (None, {"fields": ("state", "start", "end", "reason", "entries", "comments", "remarks")}),
        (_("Patient"), {"fields": ("patient_name", "patient_id", "accession_number")}),
        (
            _("What was done"),
            {"fields": ("modality", "station", "description", "protocol_names", "codes", "series", "radiation_dose")},
        ),
        (
            _("Message"),
            {
                "classes": ("collapse",),
                "fields": (
                    "performed_procedure_step_id",
                    "study_instance_uid",
                    "sop_instance_uid",
                    "calling_ae_title",
                    "created_at",
                    "updated_at",
                ),
            },
        ),
    )

    def get_queryset(self, request: HttpRequest) -> QuerySet[PerformedProcedureStep]:
        performed: QuerySet[PerformedProcedureStep] = super().get_queryset(request)
        match = request.resolver_match
        if match is not None and (match.url_name or "").endswith("_changelist"):
            # The list needs none of the data sets, which may name thousands of images.
            performed = performed.defer("data_set")
        return performed.annotate(entry_count=Count("scheduled_procedure_steps"))

    def patients_shown(self, record: PerformedProcedureStep) -> Iterable[str]:
        yield read_log.identifier(record)
        # The entries that it is linked to are named on the page too.
        for linked in (record.scheduled_procedure_steps, record.doubted_steps):
            for step in linked.select_related("requested_procedure__patient"):
                yield read_log.identifier(step)

    # -- columns

    @admin.display(description=_("start"), ordering="performed_start_date")
    def start(self, performed: PerformedProcedureStep) -> str:
        return _moment(performed.performed_start_date, performed.performed_start_time)

    @admin.display(description=_("end"), ordering="performed_end_date")
    def end(self, performed: PerformedProcedureStep) -> str:
        return _moment(performed.performed_end_date, performed.performed_end_time)

    @admin.display(description=_("status"), ordering="performed_procedure_step_status")
    def state(self, performed: PerformedProcedureStep) -> str:
        return str(PerformedStatus(performed.performed_procedure_step_status).label)

    @admin.display(description=_("entry"), ordering="entry_count")
    def scheduled(self, performed: Any) -> str:
        return gettext("unscheduled") if not performed.entry_count else f"{performed.entry_count}"

    # -- the page

    @admin.display(description=_("discontinuation reason"))
    def reason(self, performed: PerformedProcedureStep) -> str:
        return _shown(report.codes(performed.data_set, "PerformedProcedureStepDiscontinuationReasonCodeSequence"))

    @admin.display(description=_("worklist entries"))
    def entries(self, performed: PerformedProcedureStep) -> str:
        linked = performed.scheduled_procedure_steps.select_related("requested_procedure__patient").order_by("pk")
        steps = list(linked.prefetch_related("stations"))
        if not steps and performed.doubt:
            return self._doubted(performed)
        if not steps:
            return gettext("Unscheduled: no entry of the worklist matches what the modality reported.")
        disregarded = set(performed.disregarded_for.values_list("pk", flat=True))
        elsewhere = done_elsewhere(steps)
        taken_back = gettext("%(status)s; this report was taken back by staff and no longer counts")
        return format_html_join(
            SafeString("<br>"),
            '<a href="{}">{}</a>, {}',
            (
                (
                    reverse("admin:mwl_admin_scheduledprocedurestep_change", args=[step.pk]),
                    f"{step} · {step.requested_procedure.patient}",
                    taken_back % {_("status"): step.get_status_display()}
                    if step.pk in disregarded
                    else ", ".join(filter(None, (step.get_status_display(), elsewhere.get(step.pk)))),
                )
                for step in steps
            ),
        )

    @staticmethod
    def _doubted(performed: PerformedProcedureStep) -> str:
        """The entries that the report names and is not about."""
        if performed.doubt == Doubt.WRONG_ENTRY:
            text = gettext("Unscheduled: this entry was chosen by mistake.")
        else:
            text = gettext("Unscheduled: the modality names another patient than this entry.")
        steps = performed.doubted_steps.select_related("requested_procedure__patient").order_by("pk")
        return format_html_join(
            SafeString("<br>"),
            '{} <a href="{}">{}</a>',
            (
                (
                    text,
                    reverse("admin:mwl_admin_scheduledprocedurestep_change", args=[step.pk]),
                    f"{step} · {step.requested_procedure.patient}",
                )
                for step in steps
            ),
        )

    @admin.display(description=_("notes"))
    def remarks(self, performed: PerformedProcedureStep) -> str:
        return format_html_join(SafeString("<br>"), "{}", ((line,) for line in performed.notes.splitlines())) or "–"

    @admin.display(description=_("comments"))
    def comments(self, performed: PerformedProcedureStep) -> str:
        return _shown(report.text(performed.data_set, "CommentsOnThePerformedProcedureStep"))

    @admin.display(description=_("station"))
    def station(self, performed: PerformedProcedureStep) -> str:
        ds = performed.data_set
        parts = (performed.performed_station_ae_title, report.text(ds, "PerformedStationName"))
        where = report.text(ds, "PerformedLocation")
        return _shown(", ".join(filter(None, (*parts, where))))

    @admin.display(description=_("description"))
    def description(self, performed: PerformedProcedureStep) -> str:
        ds = performed.data_set
        kinds = (
            report.text(ds, "PerformedProcedureStepDescription"),
            report.text(ds, "PerformedProcedureTypeDescription"),
        )
        return _shown(", ".join(filter(None, kinds)))

    @admin.display(description=_("protocol"))
    def protocol_names(self, performed: PerformedProcedureStep) -> str:
        return _shown(report.protocol(performed.data_set))

    @admin.display(description=_("protocol and procedure codes"))
    def codes(self, performed: PerformedProcedureStep) -> str:
        ds = performed.data_set
        found = (report.codes(ds, "PerformedProtocolCodeSequence"), report.codes(ds, "ProcedureCodeSequence"))
        return _shown(", ".join(filter(None, found)))

    @admin.display(description=_("series and images"))
    def series(self, performed: PerformedProcedureStep) -> str:
        reported = report.series(performed.data_set)
        if not reported:
            return gettext("none reported")
        rows = format_html_join(
            "",
            "<tr><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td></tr>",
            (
                (entry.protocol, entry.description, entry.instances, entry.operators, entry.performing_physician)
                for entry in reported[:SERIES_SHOWN]
            ),
        )
        titles = (
            gettext("Protocol"),
            gettext("Series"),
            gettext("Images"),
            gettext("Operator"),
            gettext("Performing physician"),
        )
        table = format_html(
            '<table class="w-full text-left"><thead><tr>{}</tr></thead><tbody>{}</tbody></table>',
            format_html_join("", "<th>{}</th>", ((title,) for title in titles)),
            rows,
        )
        # Series is one word in English and two in other languages, so both numbers decide on the form.
        counts = (
            ngettext("%(n)d series", "%(n)d series", len(reported)) % {"n": len(reported)},
            images(performed.instance_count),
        )
        rest = len(reported) - SERIES_SHOWN
        more = ngettext("%(n)d more series", "%(n)d more series", rest) % {"n": rest} if rest > 0 else ""
        return format_html("{}, {}{}{}", *counts, table, more)

    @admin.display(description=_("radiation dose"))
    def radiation_dose(self, performed: PerformedProcedureStep) -> str:
        found = list(report.dose(performed.data_set))
        return format_html_join(SafeString("<br>"), "{}: {}", found) if found else gettext("not reported")

    # -- the action

    def has_undo_permission(self, request: HttpRequest) -> bool:
        return bool(request.user.has_perm("mwl_admin.change_scheduledprocedurestep"))

    @admin.action(description=_("Take back the end: put the entries on the worklist again"), permissions=["undo"])
    def take_back(self, request: HttpRequest, queryset: QuerySet[PerformedProcedureStep]) -> None:
        """Put the entries that these reports ended on the list again; the reports stay as they were received."""
        ended = ScheduledProcedureStep.objects.filter(performed_procedure_steps__in=queryset, status__in=sorted(ENDED))
        taken_back = 0
        for step in ended.distinct():
            try:
                step.undo()
            except TransitionError as error:
                self.message_user(request, f"{step.scheduled_procedure_step_id}: {error}", messages.WARNING)
                continue
            taken_back += 1
            note = gettext("Status: %(status)s. A modality's report was taken back.")
            self.log_change(request, step, note % {_("status"): step.get_status_display()})
        if taken_back:
            text = ngettext(
                "%(n)d entry is on the worklist again.", "%(n)d entries are on the worklist again.", taken_back
            )
            self.message_user(request, text % {"n": taken_back}, messages.SUCCESS)
        else:
            text = gettext("None of these reports has ended an entry of the worklist.")
            self.message_user(request, text, messages.WARNING)


def _shown(text: str) -> str:
    """Return a text of a report as far as a page shows it; it may be as long as its sender likes."""
    return Truncator(text).chars(CHARACTERS_SHOWN) or "–"


def _moment(day: date | None, clock: time | None) -> str:
    if day is None:
        return "–"
    if clock:
        return date_format(datetime.combine(day, clock), "WEEKDAY_DATETIME_FORMAT")
    return date_format(day, "WEEKDAY_DATE_FORMAT")
