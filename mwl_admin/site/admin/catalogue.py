"""The catalogue in the admin."""

from django.contrib import admin
from django.utils.translation import gettext_lazy as _
from unfold.admin import ModelAdmin

from mwl_admin.models import Procedure, ProtocolCode
from mwl_admin.site.admin.editing import EditedAdmin
from mwl_admin.site.admin.lists import LightListAdmin

CODE_FIELDS = (("code_value", "coding_scheme_designator", "coding_scheme_version"), "code_meaning")


@admin.register(ProtocolCode)
class ProtocolCodeAdmin(LightListAdmin, ModelAdmin):  # type: ignore[misc]
    list_display = ("code_meaning", "code_value", "coding_scheme_designator", "coding_scheme_version")
    search_fields = ("code_meaning", "code_value")
    fields = CODE_FIELDS


@admin.register(Procedure)
class ProcedureAdmin(EditedAdmin):
    list_display = ("name", "modality", "usual_minutes", "usual_station", "enabled")
    list_filter = ("modality", "enabled")
    list_select_related = ("usual_station",)
    search_fields = ("name", "description", "code_value", "code_meaning")
    autocomplete_fields = ("usual_station", "protocol_codes")
    fieldsets = (
        (None, {"fields": ("seen_version", "name", "description", "modality", "enabled")}),
        (_("Code"), {"fields": CODE_FIELDS}),
        (_("Steps"), {"fields": ("protocol_codes", ("usual_station", "usual_minutes"))}),
    )
