"""What the modalities did: to be read, not edited."""

from typing import Any

from django.contrib import admin
from django.http import HttpRequest

from mwl_admin.models import PerformedProcedureStep, WorklistDelivery, WorklistQuery


class RecordAdmin(admin.ModelAdmin):  # type: ignore[type-arg]
    show_full_result_count = False

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


class UnscheduledFilter(admin.SimpleListFilter):
    title = "entry"
    parameter_name = "entry"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("none", "Unscheduled"), ("found", "Scheduled")]

    def queryset(self, request: HttpRequest, queryset: Any) -> Any:
        if self.value() is None:
            return queryset
        return queryset.filter(scheduled_procedure_steps__isnull=self.value() == "none").distinct()


@admin.register(PerformedProcedureStep)
class PerformedProcedureStepAdmin(RecordAdmin):
    list_display = (
        "created_at",
        "performed_procedure_step_status",
        "patient_name",
        "patient_id",
        "accession_number",
        "modality",
        "performed_station_ae_title",
        "series_count",
        "instance_count",
    )
    list_filter = ("performed_procedure_step_status", UnscheduledFilter, "modality")
    search_fields = ("=sop_instance_uid", "=study_instance_uid", "accession_number", "patient_id", "patient_name")


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
