"""What the modalities did: to be read, not edited."""

from typing import Any

from django.contrib import admin
from django.http import HttpRequest

from mwl_admin.models import WorklistDelivery, WorklistQuery


class RecordAdmin(admin.ModelAdmin):  # type: ignore[type-arg]
    show_full_result_count = False

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


@admin.register(WorklistQuery)
class WorklistQueryAdmin(RecordAdmin):
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

    @admin.display(description="status", ordering="status")
    def status_in_hex(self, query: WorklistQuery) -> str:
        return f"{query.status:04X}"


@admin.register(WorklistDelivery)
class WorklistDeliveryAdmin(RecordAdmin):
    list_display = ("delivered_at", "station_ae_title", "step", "query")
    list_select_related = ("step", "query")
    search_fields = ("=step__scheduled_procedure_step_id", "=step__requested_procedure__accession_number")
    date_hierarchy = "delivered_at"
