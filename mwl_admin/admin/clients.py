"""Clients of the HTTP API in the admin; a token is shown once, when it is made."""

from typing import Any

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from unfold.admin import ModelAdmin

from mwl_admin.models import APIClient


@admin.register(APIClient)
class APIClientAdmin(ModelAdmin):  # type: ignore[misc]
    list_display = ("name", "token_start", "can_read", "can_write", "enabled", "station", "last_used_at")
    list_filter = ("enabled", "can_write")
    list_select_related = ("station",)
    search_fields = ("name",)
    autocomplete_fields = ("station",)
    readonly_fields = ("token_start", "created_at", "last_used_at")
    fields = (
        "name",
        ("can_read", "can_write", "enabled"),
        "station",
        "requests_per_minute",
        ("token_start", "created_at", "last_used_at"),
    )
    actions = ("renew",)

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        token = None if change else obj.make_token()
        super().save_model(request, obj, form, change)
        if token:
            self._show(request, obj, token)

    @admin.action(description=_("Give a new token; the old one ends at once"), permissions=["change"])
    def renew(self, request: HttpRequest, queryset: QuerySet[APIClient]) -> None:
        for client in queryset:
            token = client.make_token()
            client.save()
            self.log_change(request, client, gettext("New token."))
            self._show(request, client, token)

    def _show(self, request: HttpRequest, client: APIClient, token: str) -> None:
        text = gettext("The token of %(client)s, shown only now: %(token)s") % {"client": client, "token": token}
        self.message_user(request, text, messages.WARNING, extra_tags="token")
