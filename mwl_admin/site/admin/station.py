"""Stations in the admin."""

from django.contrib import admin
from django.utils.translation import gettext_lazy as _

from mwl_admin.models import Station
from mwl_admin.site.admin.editing import EditedAdmin


@admin.register(Station)
class StationAdmin(EditedAdmin):
    list_display = (
        "ae_title",
        "station_name",
        "kind",
        "modality",
        "location",
        "enabled",
        "last_query_at",
        "last_echo_at",
    )
    list_filter = ("kind", "modality", "enabled")
    search_fields = ("ae_title", "station_name", "location")
    readonly_fields = ("last_echo_at", "last_query_at", "last_mpps_at")
    fieldsets = (
        (
            None,
            {
                "fields": (
                    "seen_version",
                    ("ae_title", "enabled"),
                    ("kind", "modality"),
                    ("station_name", "location"),
                    ("host", "port"),
                )
            },
        ),
        (
            _("Identity and rights"),
            {
                "description": _(
                    "A device is known by AE title, address and certificate; others with its AE title are turned away."
                ),
                "fields": ("expected_addresses", "certificates", "may_store", "may_query", "may_retrieve"),
            },
        ),
        (
            _("Worklist profile"),
            {
                "description": _("What this modality needs done differently. Changes count from its next query on."),
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
