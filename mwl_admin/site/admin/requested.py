"""A new entry on one page: patient, requested procedure, scheduled steps."""

from typing import Any

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from unfold.admin import StackedInline

from mwl_admin.entries import finding, making
from mwl_admin.models import RequestedProcedure, ScheduledProcedureStep
from mwl_admin.site import preflight
from mwl_admin.site.admin.editing import EditedAdmin
from mwl_admin.site.admin.entry_form import EntryForm, StepForm, StepFormSet
from mwl_admin.site.admin.readers import PatientDataAdmin
from mwl_admin.site.admin.scheduled import state
from mwl_admin.site.admin.tables import EntryExchange

_COPIED_OF_ENTRY = (
    "requested_procedure_description",
    "requested_procedure_priority",
    "reason_for_the_requested_procedure",
    "referring_physician_name",
    "requesting_physician",
    "code_value",
    "coding_scheme_designator",
    "coding_scheme_version",
    "code_meaning",
    "reason_code_value",
    "reason_coding_scheme_designator",
    "reason_code_meaning",
    "admission_id",
    "current_patient_location",
    "patient_transport_arrangements",
)
_COPIED_OF_STEP = (
    "modality",
    "scheduled_procedure_step_description",
    "scheduled_procedure_step_location",
    "scheduled_performing_physician_name",
    "pre_medication",
    "requested_contrast_agent",
    "comments_on_the_scheduled_procedure_step",
)


class StepInline(StackedInline):  # type: ignore[misc]
    model = ScheduledProcedureStep
    form = StepForm
    formset = StepFormSet
    extra = 0
    min_num = 1
    formfield_overrides = EditedAdmin.formfield_overrides
    verbose_name = gettext_lazy("step")
    verbose_name_plural = gettext_lazy("scheduled steps")
    autocomplete_fields = ("stations", "protocol_codes")
    readonly_fields = ("state",)
    fieldsets = (
        (
            None,
            {
                "fields": (
                    "seen_version",
                    ("scheduled_date", "scheduled_time"),
                    ("modality", "stations"),
                    ("scheduled_performing_physician_name", "scheduled_procedure_step_description"),
                    "state",
                )
            },
        ),
        (
            gettext_lazy("More"),
            {
                "classes": ("collapse",),
                "fields": (
                    "scheduled_procedure_step_id",
                    "scheduled_procedure_step_location",
                    "protocol_codes",
                    ("pre_medication", "requested_contrast_agent"),
                    "comments_on_the_scheduled_procedure_step",
                ),
            },
        ),
    )

    @admin.display(description=gettext_lazy("status"))
    def state(self, step: ScheduledProcedureStep) -> str:
        return state(step)

    def get_extra(self, request: HttpRequest, obj: Any = None, **kwargs: Any) -> int:
        pk = request.GET.get("copy", "")
        if obj is not None or not pk.isdecimal():
            return 0
        return max(ScheduledProcedureStep.objects.filter(requested_procedure=int(pk)).count() - 1, 0)

    def get_formset(self, request: HttpRequest, obj: Any = None, **kwargs: Any) -> Any:
        formset = super().get_formset(request, obj, **kwargs)
        formset.validate_min = True
        formset.form.base_fields["scheduled_date"].initial = timezone.localdate
        return formset


@admin.register(RequestedProcedure)
class RequestedProcedureAdmin(PatientDataAdmin, EntryExchange, EditedAdmin):
    read_as = "entry"
    form = EntryForm
    inlines = (StepInline,)
    list_display = (
        "accession_number",
        "patient",
        "requested_procedure_description",
        "requested_procedure_id",
        "requested_procedure_priority",
        "created_at",
    )
    list_select_related = ("patient",)
    list_filter = ("requested_procedure_priority",)
    search_fields = ("accession_number", "requested_procedure_id", "study_instance_uid", "patient__name_folded")
    search_help_text = gettext_lazy(
        "Any part of name, patient ID, accession number or procedure ID; or a Study Instance UID"
    )
    change_form_outer_before_template = "mwl_admin/entry_aids.html"

    class Media:
        js = ("mwl_admin/entry.js",)

    autocomplete_fields = ("patient", "procedure")

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        return queryset.filter(finding.requested_procedures(search_term)), False

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> Any:
        new_patient = (
            _("New patient"),
            {
                "description": _("Only when the patient was not found above."),
                "fields": (
                    ("new_family_name", "new_given_name"),
                    ("new_patient_id", "new_issuer_of_patient_id"),
                    ("new_patient_birth_date", "new_patient_sex"),
                    "is_another_person",
                ),
            },
        )
        return (
            (_("Patient"), {"fields": ("seen_version", "patient")}),
            *([] if obj or not request.user.has_perm("mwl_admin.add_patient") else [new_patient]),
            (
                _("Requested procedure"),
                {
                    "fields": (
                        "procedure",
                        ("requested_procedure_description", "requested_procedure_priority"),
                        ("accession_number", "requested_procedure_id"),
                        ("referring_physician_name", "requesting_physician"),
                        "reason_for_the_requested_procedure",
                    )
                },
            ),
            (
                _("More"),
                {
                    "classes": ("collapse",),
                    "fields": (
                        "study_instance_uid",
                        ("code_value", "coding_scheme_designator", "coding_scheme_version"),
                        "code_meaning",
                        ("reason_code_value", "reason_coding_scheme_designator"),
                        "reason_code_meaning",
                        ("admission_id", "current_patient_location"),
                        "patient_transport_arrangements",
                    ),
                },
            ),
        )

    def add_view(self, request: HttpRequest, form_url: str = "", extra_context: Any = None) -> HttpResponse:
        context = {"title": _("New entry"), **(extra_context or {})}
        response: HttpResponse = super().add_view(request, form_url, context)
        return response

    def get_changeform_initial_data(self, request: HttpRequest) -> dict[str, Any]:
        """Start as a copy (``?copy=``): all but identifiers, dates of steps and what became of them."""
        source = self._copied(request)
        if source is None:
            plain: dict[str, Any] = super().get_changeform_initial_data(request)
            return plain
        return {name: getattr(source, name) for name in _COPIED_OF_ENTRY} | {
            "patient": source.patient_id,
            "procedure": source.procedure_id,
        }

    def get_formset_kwargs(self, request: HttpRequest, obj: Any, inline: Any, prefix: str) -> dict[str, Any]:
        values: dict[str, Any] = super().get_formset_kwargs(request, obj, inline, prefix)
        source = self._copied(request) if not obj.pk and request.method == "GET" else None
        if source is not None:
            values["initial"] = [
                {name: getattr(step, name) for name in _COPIED_OF_STEP}
                | {"stations": [*step.stations.all()], "protocol_codes": [*step.protocol_codes.all()]}
                for step in source.scheduled_procedure_steps.all()
            ]
        return values

    def _copied(self, request: HttpRequest) -> RequestedProcedure | None:
        pk = request.GET.get("copy", "")
        if not pk.isdecimal() or not self.has_view_permission(request):
            return None
        return RequestedProcedure.objects.filter(pk=pk).first()

    def save_related(self, request: HttpRequest, form: Any, formsets: Any, change: bool) -> None:
        super().save_related(request, form, formsets, change)
        if form.has_changed() or any(formset.has_changed() for formset in formsets):
            for step in form.instance.scheduled_procedure_steps.all():
                preflight.warn(request, step)

    def save_model(self, request: HttpRequest, obj: RequestedProcedure, form: Any, change: bool) -> None:
        if not change and form.new_patient is not None:
            if not request.user.has_perm("mwl_admin.add_patient"):
                raise PermissionDenied
            form.new_patient.save()
            obj.patient = form.new_patient
            self.log_addition(request, form.new_patient, [{"added": {}}])
        making.fill_order(obj)
        super().save_model(request, obj, form, change)

    def save_formset(self, request: HttpRequest, form: Any, formset: Any, change: bool) -> None:
        fresh = [step for step in formset.save(commit=False) if step.pk is None]
        for step in formset.new_objects:
            step.requested_procedure = form.instance
            making.fill_step(step)
        for step in [*formset.new_objects, *(step for step, _changes in formset.changed_objects)]:
            step.save()
        for step in formset.deleted_objects:
            step.delete()
        formset.save_m2m()
        for step in fresh:
            making.equip_step(step)
