"""What the modalities did: to be read, not edited."""

from typing import Any

from django.contrib import admin
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils.translation import gettext, gettext_noop
from django.utils.translation import gettext_lazy as _
from unfold.admin import ModelAdmin

from mwl_admin.models import PatientRead, WorklistDelivery, WorklistQuery
from mwl_admin.models.reading import SEPARATOR
from mwl_admin.site.admin.lists import LightListAdmin
from mwl_admin.site.admin.readers import PatientDataAdmin

_IDENTIFIERS_SHOWN = 5

# What pages are called in the log (`read_as`, and what `mwl_admin.site.read_log` is told). It is kept in English.
PAGES = (
    gettext_noop("patient"),
    gettext_noop("patient list"),
    gettext_noop("patient history"),
    gettext_noop("patient deletion"),
    gettext_noop("entry"),
    gettext_noop("entry list"),
    gettext_noop("entry history"),
    gettext_noop("entry deletion"),
    gettext_noop("step"),
    gettext_noop("step list"),
    gettext_noop("step history"),
    gettext_noop("step deletion"),
    gettext_noop("examination"),
    gettext_noop("examination list"),
    gettext_noop("examination history"),
    gettext_noop("examination deletion"),
    gettext_noop("received study"),
    gettext_noop("received study list"),
    gettext_noop("received study history"),
    gettext_noop("received study deletion"),
    gettext_noop("notice"),
    gettext_noop("notice list"),
    gettext_noop("downtime list"),
    gettext_noop("done in a downtime"),
    gettext_noop("notice history"),
    gettext_noop("notice deletion"),
    gettext_noop("delivery"),
    gettext_noop("delivery list"),
    gettext_noop("delivery history"),
    gettext_noop("delivery deletion"),
    gettext_noop("today"),
    gettext_noop("merge"),
    gettext_noop("reschedule"),
    gettext_noop("probable duplicates"),
    gettext_noop("search as you type"),
    gettext_noop("recent actions"),
    gettext_noop("import preview"),
    gettext_noop("export"),
    gettext_noop("query explained"),
    gettext_noop("query as station"),
)


class RecordAdmin(LightListAdmin, ModelAdmin):  # type: ignore[misc]
    show_full_result_count = False

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


@admin.register(PatientRead)
class PatientReadAdmin(RecordAdmin):
    list_display = ("read_at", "user_name", "page_name", "identifiers", "records")
    search_fields = ("=user_name", "patient_identifiers")
    search_help_text = _("A user's name, or a part of a patient ID")
    date_hierarchy = "read_at"
    exclude = ("patient", "page")
    list_needs = ("patient_identifiers",)
    readonly_fields = ("page_name",)

    @admin.display(description=_("page"), ordering="page")
    def page_name(self, read: PatientRead) -> str:
        return gettext(read.page)

    @admin.display(description=_("patient IDs"))
    def identifiers(self, read: PatientRead) -> str:
        shown = read.patient_identifiers.split(SEPARATOR)
        return ", ".join(shown[:_IDENTIFIERS_SHOWN]) + (" …" if len(shown) > _IDENTIFIERS_SHOWN else "")


@admin.register(WorklistQuery)
class WorklistQueryAdmin(RecordAdmin):
    list_filter = ("truncated",)
    list_display = (
        "received_at",
        "calling_ae_title",
        "address",
        "matches",
        "truncated",
        "milliseconds",
        "status_in_hex",
        "error_comment",
    )
    search_fields = ("calling_ae_title", "address")
    date_hierarchy = "received_at"

    def change_view(self, request: HttpRequest, object_id: str, *args: Any, **kwargs: Any) -> HttpResponse:
        """The page that explains the query says more than its columns do."""
        if object_id.isdecimal() and request.method == "GET" and self.has_view_permission(request):
            return redirect("query_explained", object_id)
        response: HttpResponse = super().change_view(request, object_id, *args, **kwargs)
        return response

    @admin.display(description=_("status"), ordering="status")
    def status_in_hex(self, query: WorklistQuery) -> str:
        return f"{query.status:04X}"


@admin.register(WorklistDelivery)
class WorklistDeliveryAdmin(PatientDataAdmin, RecordAdmin):
    read_as = "delivery"
    list_display = ("delivered_at", "station_ae_title", "step", "query")
    list_select_related = ("step__requested_procedure__patient", "query")
    search_fields = ("=step__scheduled_procedure_step_id", "=step__requested_procedure__accession_number")
    date_hierarchy = "delivered_at"
