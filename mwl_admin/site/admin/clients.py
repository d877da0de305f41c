"""Clients of the HTTP API in the admin; a token is shown once, when it is made."""

from typing import Any

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from django.utils.formats import date_format
from django.utils.translation import gettext, ngettext
from django.utils.translation import gettext_lazy as _
from unfold.admin import ModelAdmin
from unfold.decorators import display

from mwl_admin.models import APIClient
from mwl_admin.models.client import WARNED_BEFORE
from mwl_admin.site.admin.lists import LightListAdmin


@admin.register(APIClient)
class APIClientAdmin(LightListAdmin, ModelAdmin):  # type: ignore[misc]
    list_display = ("name", "token_start", "can_read", "can_write", "enabled", "station", "validity", "last_used_at")
    list_filter = ("enabled", "can_write")
    list_select_related = ("station",)
    search_fields = ("name",)
    autocomplete_fields = ("station",)
    readonly_fields = ("token_start", "created_at", "last_used_at")
    fields = (
        "name",
        ("can_read", "can_write", "enabled"),
        "station",
        "expires_on",
        "requests_per_minute",
        ("token_start", "created_at", "last_used_at"),
    )
    actions = ("renew", "revoke")

    @display(description=_("valid until"), ordering="expires_on", label={"expired": "danger", "soon": "warning"})  # type: ignore[untyped-decorator]
    def validity(self, client: APIClient) -> Any:
        if client.expires_on is None:
            return None
        day = date_format(client.expires_on, "SHORT_DATE_FORMAT")
        if client.has_expired:
            return "expired", gettext("expired on %(day)s") % {"day": day}
        return ("soon", gettext("soon: %(day)s") % {"day": day}) if client.expires_soon else day

    def changelist_view(self, request: HttpRequest, extra_context: Any = None) -> HttpResponse:
        today = timezone.localdate()
        ending = APIClient.objects.filter(enabled=True, expires_on__range=(today, today + WARNED_BEFORE)).count()
        if ending and request.method == "GET":
            text = ngettext(
                "%(n)d token ends soon: give its system a new one in time.",
                "%(n)d tokens end soon: give their systems new ones in time.",
                ending,
            )
            self.message_user(request, text % {"n": ending}, messages.WARNING)
        response: HttpResponse = super().changelist_view(request, extra_context)
        return response

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        token = None if change else obj.make_token()
        super().save_model(request, obj, form, change)
        if token:
            self._show(request, obj, token)

    @admin.action(description=_("Give a new token; the old one ends at once"), permissions=["change"])
    def renew(self, request: HttpRequest, queryset: QuerySet[APIClient]) -> None:
        for client in queryset:
            if client.has_expired:
                text = gettext("%(client)s: first set a new last day.") % {"client": client}
                self.message_user(request, text, messages.ERROR)
                continue
            token = client.make_token()
            client.save()
            self.log_change(request, client, gettext("New token."))
            self._show(request, client, token)

    @admin.action(description=_("Revoke: the token ends at once"), permissions=["change"])
    def revoke(self, request: HttpRequest, queryset: QuerySet[APIClient]) -> None:
        for client in queryset.filter(enabled=True):
            client.enabled = False
            client.save()
            self.log_change(request, client, gettext("Revoked."))
            self.message_user(request, gettext("The token of %(client)s has ended.") % {"client": client})

    def _show(self, request: HttpRequest, client: APIClient, token: str) -> None:
        text = gettext("The token of %(client)s, shown only now: %(token)s") % {"client": client, "token": token}
        self.message_user(request, text, messages.WARNING, extra_tags="token")
