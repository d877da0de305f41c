"""Patients in the admin."""

from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest

from mwl_admin.admin.editing import EditedAdmin
from mwl_admin.admin.search import matching
from mwl_admin.models import Patient


@admin.register(Patient)
class PatientAdmin(EditedAdmin):
    list_display = ("display_name", "patient_id", "issuer_of_patient_id", "patient_birth_date", "patient_sex")
    search_fields = ("name_folded", "patient_id")  # what is searched, see get_search_results
    search_help_text = "Name or patient ID"
    fieldsets = (
        (None, {"fields": ("seen_version", ("patient_id", "issuer_of_patient_id"))}),
        (
            "Name",
            {
                "fields": (
                    ("family_name", "given_name", "middle_name"),
                    ("name_prefix", "name_suffix"),
                    ("ideographic_name", "phonetic_name"),
                )
            },
        ),
        ("Person", {"fields": (("patient_birth_date", "patient_sex"), ("patient_size", "patient_weight"))}),
        (
            "Clinical",
            {
                "fields": (
                    "pregnancy_status",
                    ("allergies", "medical_alerts"),
                    ("special_needs", "patient_state"),
                    "patient_comments",
                    "confidentiality_constraint_on_patient_data_description",
                )
            },
        ),
    )

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        return queryset.filter(matching(search_term, patient="", identifiers=["patient_id"])), False
