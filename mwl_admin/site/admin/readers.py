"""Pages of the admin that show patients' data: who opened them is noted, where the department asks for it."""

from collections.abc import Iterable, Iterator
from contextlib import suppress
from typing import Any

from django.contrib import admin
from django.contrib.admin.models import LogEntry
from django.contrib.admin.views.autocomplete import AutocompleteJsonView
from django.core.exceptions import ObjectDoesNotExist
from django.db.models import Model
from django.http import HttpRequest, HttpResponse

from mwl_admin.models import Patient
from mwl_admin.site import read_log

_RECENT = 10


class PatientDataAdmin:
    """Admin of records of patients: to be named before the admin that it extends."""

    read_as: str
    """What the page of one record is called in the log; the list is ``… list``, and so on."""
    get_object: Any

    def patients_shown(self, record: Any) -> Iterable[str]:
        """Yield the IDs of the patients that the page of one record shows."""
        yield read_log.identifier(record)

    def changelist_view(self, request: HttpRequest, extra_context: Any = None) -> HttpResponse:
        response: HttpResponse = super().changelist_view(request, extra_context)  # type: ignore[misc]
        context = getattr(response, "context_data", None) or {}
        shown = context["cl"].result_list if "cl" in context else context.get("queryset", ())  # to be deleted
        read_log.note_all(request, f"{self.read_as} list", (read_log.identifier(record) for record in shown))
        return response

    def changeform_view(self, request: HttpRequest, object_id: str | None = None, *args: Any, **named: Any) -> Any:
        response: HttpResponse = super().changeform_view(request, object_id, *args, **named)  # type: ignore[misc]
        if request.method == "GET":
            self._note_one(request, object_id, response, self.read_as)
        return response

    def history_view(self, request: HttpRequest, object_id: str, *args: Any, **named: Any) -> HttpResponse:
        response: HttpResponse = super().history_view(request, object_id, *args, **named)  # type: ignore[misc]
        self._note_one(request, object_id, response, f"{self.read_as} history")
        return response

    def history_form_view(self, request: HttpRequest, object_id: str, *args: Any, **named: Any) -> HttpResponse:
        response: HttpResponse = super().history_form_view(request, object_id, *args, **named)  # type: ignore[misc]
        self._note_one(request, object_id, response, f"{self.read_as} history")
        return response

    def delete_view(self, request: HttpRequest, object_id: str, *args: Any, **named: Any) -> HttpResponse:
        response: HttpResponse = super().delete_view(request, object_id, *args, **named)  # type: ignore[misc]
        if request.method == "GET":
            self._note_one(request, object_id, response, f"{self.read_as} deletion")
        return response

    def _note_one(self, request: HttpRequest, object_id: str | None, response: HttpResponse, page: str) -> None:
        if object_id is None or response.status_code != 200:
            return
        read_log.note_all(request, page, self._patients(request, object_id))

    def _patients(self, request: HttpRequest, object_id: str) -> Iterable[str]:
        record: Model | None = self.get_object(request, object_id)
        if record is not None:
            yield from self.patients_shown(record)


def index(request: HttpRequest) -> HttpResponse:
    """The admin's first page, which names what this person did last."""
    response: HttpResponse = admin.site.index(request)
    read_log.note_all(request, "recent actions", _last_changed(request), again=True)
    return response


def _last_changed(request: HttpRequest) -> Iterator[str]:
    entries = LogEntry.objects.filter(user=request.user.pk, content_type__app_label="mwl_admin")
    for entry in entries.select_related("content_type")[:_RECENT]:
        with suppress(ObjectDoesNotExist):  # deleted since
            record = entry.get_edited_object()
            if read_log.is_of_patient(record):
                yield read_log.identifier(record)


class NotedAutocomplete(AutocompleteJsonView):
    """What a search field of a form finds as it is typed in."""

    def get(self, request: HttpRequest, *args: Any, **named: Any) -> HttpResponse:
        self.patients: list[str] = []
        response = super().get(request, *args, **named)
        read_log.note_all(request, "search as you type", self.patients, again=True)
        return response

    def serialize_result(self, obj: Any, to_field_name: str) -> dict[str, str]:
        if isinstance(obj, Patient):
            self.patients.append(read_log.identifier(obj))
        result: dict[str, str] = super().serialize_result(obj, to_field_name)
        return result
