"""The forms of an entry: its patient, found or new, its requested procedure and its steps."""

from collections.abc import Iterator
from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.forms import BaseInlineFormSet
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from unfold.widgets import (
    UnfoldAdminDateWidget,
    UnfoldAdminSelectWidget,
    UnfoldAdminTextInputWidget,
    UnfoldBooleanWidget,
)

from mwl_admin.entries import making
from mwl_admin.models import FormerPatientID, Patient, RequestedProcedure
from mwl_admin.patients import identity
from mwl_admin.site.admin.readsteps import ReadOrderForm, ReadStepForm
from mwl_admin.site.similar import probable_duplicates

NEW_PATIENT_FIELDS = (
    "patient_id",
    "issuer_of_patient_id",
    "family_name",
    "given_name",
    "patient_birth_date",
    "patient_sex",
)
_NEW = "new_"


def _patient_form_fields() -> Iterator[tuple[str, forms.Field]]:
    """The fields of a new patient as the patient's own page has them, under names of their own, none required."""
    for name, field in forms.fields_for_model(
        Patient, fields=NEW_PATIENT_FIELDS, formfield_callback=_with_admin_widget
    ).items():
        field.required = False
        yield f"{_NEW}{name}", field


def _with_admin_widget(field: Any, **kwargs: Any) -> Any:
    if field.name == "patient_birth_date":
        kwargs["widget"] = UnfoldAdminDateWidget
    else:
        kwargs["widget"] = UnfoldAdminSelectWidget if field.choices else UnfoldAdminTextInputWidget
    return field.formfield(**kwargs)


class EntryForm(ReadOrderForm):
    """A requested procedure, for a patient who is found or entered anew."""

    locals().update(_patient_form_fields())  # as declared here: their rules are the model's, stated there

    is_another_person = forms.BooleanField(
        label=gettext_lazy("This is another person than those found"), required=False, widget=UnfoldBooleanWidget
    )
    new_patient: Patient | None = None

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if self.instance.pk:
            for name in NEW_PATIENT_FIELDS:
                del self.fields[f"{_NEW}{name}"]
            del self.fields["is_another_person"]
        elif "patient" in self.fields:
            self.fields["patient"].required = False

    def clean(self) -> dict[str, Any] | None:
        cleaned = super().clean()
        if self.instance.pk:
            return cleaned
        given = {name: self.cleaned_data.get(f"{_NEW}{name}") for name in NEW_PATIENT_FIELDS}
        entered = any(self.data.get(self.add_prefix(f"{_NEW}{name}")) for name in NEW_PATIENT_FIELDS)
        if self.cleaned_data.get("patient") and entered:
            self.add_error("patient", _("Either pick a patient here or enter a new one below, not both."))
        elif entered:
            self._check_new_patient(Patient(**{name: value for name, value in given.items() if value}))
        elif not self.cleaned_data.get("patient") and "patient" not in self.errors:
            self.add_error("patient", _("Pick a patient, or enter a new one below."))
        return cleaned

    def _check_new_patient(self, patient: Patient) -> None:
        # Fields that failed on their own have their error already; saying it twice would not help.
        failed = [name for name in NEW_PATIENT_FIELDS if f"{_NEW}{name}" in self.errors]
        try:
            patient.full_clean(exclude=failed)
        except ValidationError as error:
            for name, messages in error.message_dict.items():
                field = f"{_NEW}{name}" if name in NEW_PATIENT_FIELDS else f"{_NEW}patient_id"
                self.add_error(field, [*messages])
        if not self.errors and not self._is_known(patient):
            self._look_for_duplicates(patient)
        self.new_patient = patient

    def _is_known(self, patient: Patient) -> bool:
        """Refuse a patient ID that has a record already: under another spelling of the department's issuer too."""
        known = identity.find(Patient.objects.all(), patient.patient_id, patient.issuer_of_patient_id)
        if known is None:
            former = FormerPatientID.objects.of(patient.patient_id, patient.issuer_of_patient_id)
            if former is None or not former.is_closed_to(identity.of_record(patient)):
                return False
            text = _("This patient ID is no longer in use: pick %(patient)s above.")
            self.add_error(f"{_NEW}patient_id", text % {"patient": former.record})
            return True
        differs = identity.contradictions(identity.of_record(known), identity.of_record(patient), by_id_alone=True)
        if differs:
            self.add_error(f"{_NEW}patient_id", identity.refusal(differs))
        else:
            self.add_error(f"{_NEW}patient_id", _("A patient with this patient ID exists already: pick it above."))
        return True

    def _look_for_duplicates(self, patient: Patient) -> None:
        if self.cleaned_data.get("is_another_person"):
            return
        found = probable_duplicates(patient.family_name, patient.given_name, patient.patient_birth_date)
        if found:
            known = "; ".join(str(other) for other in found)
            text = _(
                "Perhaps known already: %(known)s. Pick the patient above, or say below that this is another person."
            )
            self.add_error(f"{_NEW}family_name", text % {"known": known})


class StepForm(ReadStepForm):
    """A scheduled step on the page of its requested procedure."""

    def __init__(self, *args: Any, parent: RequestedProcedure | None = None, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.parent = parent

    def clean(self) -> dict[str, Any] | None:
        if not self.cleaned_data.get("modality") and "modality" not in self.errors:
            self._find_modality()
        return super().clean()

    def _find_modality(self) -> None:
        procedure = self.parent.procedure if self.parent else None
        stations = self.cleaned_data.get("stations") or ()
        modality = making.usual_modality(procedure, stations)
        if not modality:
            self.add_error("modality", _("Give the modality, e.g. CT, or pick a procedure or a station that has one."))
        self.cleaned_data["modality"] = modality


class StepFormSet(BaseInlineFormSet):  # type: ignore[type-arg]
    """The steps of one requested procedure; each form knows that requested procedure."""

    def get_form_kwargs(self, index: int | None) -> dict[str, Any]:
        return {**super().get_form_kwargs(index), "parent": self.instance}

    def clean(self) -> None:
        # Step IDs that are still to be made are empty, and yet not the same: the check of duplicates skips None.
        for form in self.forms:
            if getattr(form, "cleaned_data", {}).get("scheduled_procedure_step_id") == "":
                form.cleaned_data["scheduled_procedure_step_id"] = None
        super().clean()
