"""Two people editing the same entry: the second is told, not overwritten."""

from typing import Any

from django import forms
from django.contrib.admin.models import LogEntry
from django.contrib.admin.utils import flatten_fieldsets
from django.contrib.contenttypes.models import ContentType
from django.core.exceptions import ValidationError
from django.db import models
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseNotAllowed
from django.shortcuts import get_object_or_404
from django.utils import timezone
from django.utils.translation import gettext as _
from simple_history.admin import SimpleHistoryAdmin
from unfold.admin import ModelAdmin
from unfold.widgets import UnfoldAdminTextareaWidget

from mwl_admin.models.base import EditedModel
from mwl_admin.site.admin.lists import LightListAdmin


class VersionField(forms.IntegerField):
    """The version that the form was made from; no change in itself."""

    widget = forms.HiddenInput

    def has_changed(self, initial: Any, data: Any) -> bool:
        return False


class EditedForm(forms.ModelForm):  # type: ignore[type-arg]
    """A form that knows which version of the entry it shows, and refuses to overwrite a newer one."""

    seen_version = VersionField(required=False, label="")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.initial["seen_version"] = self.instance.version

    def clean(self) -> dict[str, Any] | None:
        cleaned = super().clean()
        if self.instance.pk and self.has_changed():
            self._refuse_stale(self.cleaned_data.get("seen_version"))
        return cleaned

    def _refuse_stale(self, seen: int | None) -> None:
        # A form that does not say which version it was made from counts as made from an old one.
        # The lock holds until the admin's transaction ends, so nobody gets in between this look and the save.
        rows = type(self.instance)._base_manager.select_for_update().filter(pk=self.instance.pk)
        current = rows.values_list("version", flat=True).first()
        if current == seen and self.instance.version == seen:
            return
        raise ValidationError(_told_stale(self.instance), code="stale")


def _told_stale(entry: EditedModel) -> str:
    last = (
        LogEntry.objects.filter(content_type=ContentType.objects.get_for_model(entry), object_id=str(entry.pk))
        .select_related("user")
        .first()
    )
    if last is None:
        return _(
            "This entry was changed while you were editing it. Nothing of yours has been saved. "
            "Open the entry again and repeat what is still needed."
        )
    text = _(
        "This entry was changed by %(user)s at %(time)s while you were editing it. Nothing of yours has been saved. "
        "Open the entry again and repeat what is still needed."
    )
    return text % {"user": last.user.get_username(), "time": f"{timezone.localtime(last.action_time):%H:%M}"}


class EditedAdmin(LightListAdmin, SimpleHistoryAdmin, ModelAdmin):  # type: ignore[misc]
    """Admin of a model that people edit."""

    form = EditedForm
    object_history_list_template = "mwl_admin/history_list.html"
    object_history_form_template = "mwl_admin/history_version.html"
    formfield_overrides = {models.TextField: {"widget": UnfoldAdminTextareaWidget(attrs={"rows": 3})}}
    show_full_result_count = False
    list_per_page = 50

    def history_form_view(
        self, request: HttpRequest, object_id: str, version_id: str, extra_context: Any = None
    ) -> HttpResponse:
        """Show an old version. The page of simple_history also saves, for whoever may view: here nothing is saved."""
        if request.method not in {"GET", "HEAD"}:
            return HttpResponseNotAllowed(["GET", "HEAD"])
        if not (object_id.isdecimal() and version_id.isdecimal()):
            raise Http404
        shown = {"version": get_object_or_404(self.model.history, history_id=version_id), **(extra_context or {})}
        response: HttpResponse = super().history_form_view(request, object_id, version_id, shown)
        return response

    def history_view_title(self, request: HttpRequest, obj: Any) -> str:
        return _("History: %(entry)s") % {"entry": obj}

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        names = super().get_readonly_fields(request, obj)
        match = request.resolver_match
        if match is None or not (match.url_name or "").endswith("_simple_history"):
            return names
        shown = flatten_fieldsets(self.get_fieldsets(request, obj))
        return [name for name in shown if name not in self.form.declared_fields]

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        # Only a form with changes has looked at the version, so only such a form may write.
        if not change or form.has_changed():
            super().save_model(request, obj, form, change)
