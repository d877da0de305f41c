"""Patients in the admin."""

from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils.translation import gettext_lazy as _
from unfold.decorators import action

from mwl_admin.entries import finding
from mwl_admin.models import Patient
from mwl_admin.site.admin.editing import EditedAdmin
from mwl_admin.site.admin.readers import PatientDataAdmin


@admin.register(Patient)
class PatientAdmin(PatientDataAdmin, EditedAdmin):
    read_as = "patient"
    list_display = ("display_name", "patient_id", "issuer_of_patient_id", "patient_birth_date", "patient_sex")
    search_fields = ("name_folded", "patient_id")  # what is searched, see get_search_results
    search_help_text = _("Any part of name or patient ID")
    actions_detail = ("merge",)
    fieldsets = (
        (None, {"fields": ("seen_version", ("patient_id", "issuer_of_patient_id"))}),
        (
            _("Name"),
            {
                "fields": (
                    ("family_name", "given_name", "middle_name"),
                    ("name_prefix", "name_suffix"),
                    ("ideographic_name", "phonetic_name"),
                )
            },
        ),
        (_("Person"), {"fields": (("patient_birth_date", "patient_sex"), ("patient_size", "patient_weight"))}),
        (
            _("Clinical"),
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

    @action(description=_("Merge with another record"), permissions=["merge"])  # type: ignore[untyped-decorator]
    def merge(self, request: HttpRequest, object_id: str) -> HttpResponse:
        return redirect("merge_patients", object_id)

    def has_merge_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        return request.user.has_perm("mwl_admin.merge_patient")

    @admin.display(description=_("name"), ordering="name_key")
    def display_name(self, patient: Patient) -> str:
        return patient.display_name

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        return queryset.filter(finding.patients(search_term)), False
