"""Forms that leave the examination of a step as it is once a modality has read it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from mwl_admin.entries import examinations
from mwl_admin.models import ProtocolCode
from mwl_admin.site.admin.editing import EditedForm

_FIELDS = {
    "Modality": "modality",
    "ScheduledProcedureStepDescription": "scheduled_procedure_step_description",
    "ScheduledProtocolCodeSequence": "protocol_codes",
    "RequestedProcedureDescription": "requested_procedure_description",
    "RequestedProcedureCodeSequence": "code_value",
}


class _ExaminationForm(EditedForm):
    """A form that has, perhaps, some of the fields that make an examination."""

    def clean(self) -> dict[str, Any] | None:
        cleaned = super().clean()
        if self.instance.pk and self.has_changed():
            changed = examinations.changes(self._known(), self._told())
            if changed and self._was_read():
                for keyword in changed:
                    name = _FIELDS[keyword]
                    self.add_error(name if name in self.fields else None, examinations.refusal([keyword]))
        return cleaned

    def _known(self) -> dict[str, Any]:
        raise NotImplementedError

    def _told(self) -> dict[str, Any]:
        raise NotImplementedError

    def _was_read(self) -> bool:
        raise NotImplementedError

    def _given(self, name: str) -> Any:
        """Return what a field is to become: what it was where the form does not have it, or where it is wrong."""
        return self.cleaned_data.get(name, getattr(self.instance, name)) if name in self.fields else self._was(name)

    def _was(self, name: str) -> Any:
        return self.initial.get(name, getattr(self.instance, name))


class ReadStepForm(_ExaminationForm):
    """A scheduled step."""

    def _known(self) -> dict[str, Any]:
        return self._step(self._was("modality"), self._was(_DESCRIPTION), self.instance.protocol_codes.all())

    def _told(self) -> dict[str, Any]:
        protocols = self.cleaned_data.get("protocol_codes")
        known = self.instance.protocol_codes.all()
        return self._step(self._given("modality"), self._given(_DESCRIPTION), known if protocols is None else protocols)

    def _was_read(self) -> bool:
        return self.instance.pk in examinations.read_among([self.instance])

    @staticmethod
    def _step(modality: str, description: str, protocols: Iterable[ProtocolCode]) -> dict[str, Any]:
        pairs = ((code.code_value, code.coding_scheme_designator) for code in protocols)
        values = (modality, description, examinations.codes(*pairs))
        return dict(zip((examinations.MODALITY, *examinations.STEP), values, strict=True))


class ReadOrderForm(_ExaminationForm):
    """A requested procedure, whose steps a modality may have read."""

    def _known(self) -> dict[str, Any]:
        return self._order(*map(self._was, _ORDER))

    def _told(self) -> dict[str, Any]:
        return self._order(*map(self._given, _ORDER))

    def _was_read(self) -> bool:
        return bool(examinations.standing(self.instance))

    @staticmethod
    def _order(description: str, value: str, scheme: str) -> dict[str, Any]:
        return dict(zip(examinations.ORDER, (description, examinations.codes((value, scheme))), strict=True))


_DESCRIPTION = "scheduled_procedure_step_description"
_ORDER = ("requested_procedure_description", "code_value", "coding_scheme_designator")
