"""The department's catalogue: what can be ordered, and what it means for an entry."""

from django.core.validators import MinValueValidator
from django.db import models
from django.utils.translation import gettext_lazy as _

from mwl_admin.fields import CodeStringField, LongStringField, ShortStringField
from mwl_admin.models.base import EditedModel, history
from mwl_admin.models.codes import CodedEntry


class ProtocolCode(CodedEntry):
    """How a step is to be performed: an item of the Scheduled Protocol Code Sequence (0040,0008)."""

    code_value = ShortStringField(_("code value"), db_index=True)
    coding_scheme_designator = ShortStringField(
        _("coding scheme"), help_text=_("Who defines the code, e.g. SCT, LN, or 99LOCAL for your own codes.")
    )
    code_meaning = LongStringField(_("code meaning"))

    class Meta:
        ordering = ["code_meaning", "code_value"]
        constraints = [
            models.UniqueConstraint(
                fields=["code_value", "coding_scheme_designator", "coding_scheme_version"],
                name="protocol_code_unique",
                violation_error_message=_("This protocol code is already in the catalogue."),
            )
        ]
        verbose_name = _("protocol code")
        verbose_name_plural = _("protocol codes")

    def __str__(self) -> str:
        return f"{self.code_meaning} ({self.code_value}, {self.coding_scheme_designator})"


class Procedure(CodedEntry, EditedModel):
    """A kind of examination. Picking one fills the empty fields of an entry."""

    name = LongStringField(_("name"), unique=True, help_text=_("What staff pick from the catalogue."))
    description = LongStringField(
        _("description"),
        blank=True,
        help_text=_("Shown on the modality as procedure and step description. Left empty: the name."),
    )
    modality = CodeStringField(_("modality"), help_text=_("E.g. CT, MR, US, DX, MG."))
    protocol_codes = models.ManyToManyField(
        ProtocolCode, verbose_name=_("protocol codes"), related_name="procedures", blank=True
    )
    usual_minutes = models.PositiveSmallIntegerField(
        _("usual duration"), default=15, validators=[MinValueValidator(1)], help_text=_("In minutes.")
    )
    usual_station = models.ForeignKey(
        "Station",
        models.SET_NULL,
        verbose_name=_("usual station"),
        limit_choices_to={"kind": "modality"},
        related_name="usual_procedures",
        null=True,
        blank=True,
    )
    enabled = models.BooleanField(_("enabled"), default=True, help_text=_("Offered for new entries."))

    history = history()

    class Meta:
        ordering = ["name"]
        verbose_name = _("procedure")
        verbose_name_plural = _("procedures")

    def __str__(self) -> str:
        return str(self.name)
