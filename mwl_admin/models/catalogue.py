"""The department's catalogue: what can be ordered, and what it means for an entry."""

from django.core.validators import MinValueValidator
from django.db import models

from mwl_admin.fields import CodeStringField, LongStringField, ShortStringField
from mwl_admin.models.base import EditedModel, history
from mwl_admin.models.codes import CodedEntry


class ProtocolCode(CodedEntry):
    """How a step is to be performed: an item of the Scheduled Protocol Code Sequence (0040,0008)."""

    code_value = ShortStringField(db_index=True)
    coding_scheme_designator = ShortStringField(
        "coding scheme", help_text="Who defines the code, e.g. SCT, LN, or 99LOCAL for your own codes."
    )
    code_meaning = LongStringField()

    class Meta:
        ordering = ["code_meaning", "code_value"]
        constraints = [
            models.UniqueConstraint(
                fields=["code_value", "coding_scheme_designator", "coding_scheme_version"],
                name="protocol_code_unique",
                violation_error_message="This protocol code is already in the catalogue.",
            )
        ]

    def __str__(self) -> str:
        return f"{self.code_meaning} ({self.code_value}, {self.coding_scheme_designator})"


class Procedure(CodedEntry, EditedModel):
    """A kind of examination. Picking one fills the empty fields of an entry."""

    name = LongStringField(unique=True, help_text="What staff pick from the catalogue.")
    description = LongStringField(
        blank=True, help_text="Shown on the modality as procedure and step description. Left empty: the name."
    )
    modality = CodeStringField(help_text="E.g. CT, MR, US, DX, MG.")
    protocol_codes = models.ManyToManyField(ProtocolCode, related_name="procedures", blank=True)
    usual_minutes = models.PositiveSmallIntegerField(
        "usual duration", default=15, validators=[MinValueValidator(1)], help_text="In minutes."
    )
    usual_station = models.ForeignKey(
        "Station", models.SET_NULL, related_name="usual_procedures", null=True, blank=True
    )
    enabled = models.BooleanField(default=True, help_text="Offered for new entries.")

    history = history()

    class Meta:
        ordering = ["name"]

    def __str__(self) -> str:
        return str(self.name)
