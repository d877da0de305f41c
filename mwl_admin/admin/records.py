"""What the modalities did: to be read, not edited."""

from typing import Any

from django.contrib import admin
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from unfold.admin import ModelAdmin

from mwl_admin.admin.readers import PatientDataAdmin
from mwl_admin.models import PatientRead, WorklistDelivery, WorklistQuery
from mwl_admin.models.reading import SEPARATOR

_IDENTIFIERS_SHOWN = 5


class RecordAdmin(ModelAdmin):  # type: ignore[misc]
    show_full_result_count = False

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


@admin.register(PatientRead)
class PatientReadAdmin(RecordAdmin):
    list_display = ("read_at", "user_name", "page", "identifiers", "records")
    search_fields = ("=user_name", "patient_identifiers")
    search_help_text = "A user's name, or a part of a patient ID"
    date_hierarchy = "read_at"
    exclude = ("patient",)

    @admin.display(description="patient IDs")
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
        if object_id.isdecimal() and request.method == "GET":
            return redirect("query_explained", object_id)
        response: HttpResponse = super().change_view(request, object_id, *args, **kwargs)
        return response

    @admin.display(description="status", ordering="status")
    def status_in_hex(self, query: WorklistQuery) -> str:
        return f"{query.status:04X}"


@admin.register(WorklistDelivery)
class WorklistDeliveryAdmin(PatientDataAdmin, RecordAdmin):
    read_as = "delivery"
    list_display = ("delivered_at", "station_ae_title", "step", "query")
    list_select_related = ("step__requested_procedure__patient", "query")
    search_fields = ("=step__scheduled_procedure_step_id", "=step__requested_procedure__accession_number")
    date_hierarchy = "delivered_at"
