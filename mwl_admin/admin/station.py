"""Stations in the admin."""

from django.contrib import admin
from django.utils.translation import gettext_lazy as _

from mwl_admin.admin.editing import EditedAdmin
from mwl_admin.models import Station


@admin.register(Station)
class StationAdmin(EditedAdmin):
    list_display = ("ae_title", "station_name", "modality", "location", "enabled", "last_query_at", "last_echo_at")
    list_filter = ("modality", "enabled")
    search_fields = ("ae_title", "station_name", "location")
    readonly_fields = ("last_echo_at", "last_query_at", "last_mpps_at")
    fieldsets = (
        (
            None,
            {
                "fields": (
                    "seen_version",
                    ("ae_title", "modality"),
                    ("station_name", "location"),
                    ("expected_addresses", "port"),
                    "enabled",
                )
            },
        ),
        (
            _("Profile"),
            {
                "description": _("What this station needs done differently. Changes count from its next query on."),
                "fields": (
                    "response_character_set",
                    "transliterate_names",
                    "station_ae_key",
                    ("days_back", "days_ahead"),
                    ("hours_back", "hours_ahead"),
                    "maximum_matches",
                    "omitted_when_empty",
                    "completes_with_images",
                ),
            },
        ),
        (_("Last seen"), {"fields": (("last_echo_at", "last_query_at", "last_mpps_at"),)}),
    )
