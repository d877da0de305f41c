"""Requested procedures: what was ordered."""

from collections.abc import Collection, Iterable, Sequence
from typing import Any, Self

from django.db import models, transaction
from django.utils.translation import gettext_lazy as _

from gateway_link import names
from mwl_admin.fields import CodeStringField, LongStringField, PersonNameField, ShortStringField, UIDField
from mwl_admin.models import identifiers
from mwl_admin.models.base import EditedModel, PreparedQuerySet, history
from mwl_admin.models.catalogue import Procedure
from mwl_admin.models.codes import CodedEntry, require_whole_code
from mwl_admin.models.patient import Patient
from mwl_admin.patients import change_signal, identity

NAME_HELP = _("E.g. Adams^John^^Dr: family^given^middle^prefix^suffix.")


class Priority(models.TextChoices):
    """Defined terms of Requested Procedure Priority (0040,1003)."""

    STAT = "STAT", _("stat")
    HIGH = "HIGH", _("high")
    ROUTINE = "ROUTINE", _("routine")
    MEDIUM = "MEDIUM", _("medium")
    LOW = "LOW", _("low")


class RequestedProcedureQuerySet(PreparedQuerySet["RequestedProcedure"]):
    """Requested procedures."""


class RequestedProcedure(CodedEntry, EditedModel):
    """An order for one examination of one patient; its steps are what modalities see."""

    patient = models.ForeignKey(Patient, models.PROTECT, verbose_name=_("patient"), related_name="requested_procedures")
    procedure = models.ForeignKey(
        Procedure,
        models.SET_NULL,
        verbose_name=_("procedure"),
        related_name="requested_procedures",
        null=True,
        blank=True,
        help_text=_("From the catalogue; fills what is left empty below."),
    )
    accession_number = ShortStringField(_("accession number"), blank=True, help_text=_("Made when left empty."))
    requested_procedure_id = ShortStringField(
        _("requested procedure ID"), blank=True, db_index=True, help_text=_("Made when left empty.")
    )
    study_instance_uid = UIDField(
        _("Study Instance UID"), blank=True, unique=True, help_text=_("Made when left empty.")
    )
    requested_procedure_description = LongStringField(_("description"), blank=True)
    requested_procedure_priority = CodeStringField(
        _("priority"), choices=Priority, default=Priority.ROUTINE, blank=True
    )
    reason_for_the_requested_procedure = LongStringField(_("reason"), blank=True)
    reason_code_value = ShortStringField(_("reason code value"), blank=True)
    reason_coding_scheme_designator = ShortStringField(_("reason coding scheme"), blank=True)
    reason_code_meaning = LongStringField(_("reason code meaning"), blank=True)
    referring_physician_name = PersonNameField(_("referring physician"), blank=True, help_text=NAME_HELP)
    requesting_physician = PersonNameField(_("requesting physician"), blank=True, help_text=NAME_HELP)
    admission_id = LongStringField(_("admission ID"), blank=True)
    current_patient_location = LongStringField(_("current patient location"), blank=True)
    patient_transport_arrangements = LongStringField(_("patient transport arrangements"), blank=True)

    referring_physician_name_key = models.CharField(max_length=512, editable=False, blank=True)
    referring_physician_name_folded = models.CharField(max_length=512, editable=False, blank=True)
    requesting_physician_key = models.CharField(max_length=512, editable=False, blank=True)
    requesting_physician_folded = models.CharField(max_length=512, editable=False, blank=True)

    objects = RequestedProcedureQuerySet.as_manager()

    _owner_as_read: int | None = None

    derived_fields = (
        "referring_physician_name_key",
        "referring_physician_name_folded",
        "requesting_physician_key",
        "requesting_physician_folded",
    )
    generated_fields = ("accession_number", "requested_procedure_id", "study_instance_uid")
    history = history(*derived_fields)

    class Meta:
        ordering = ["-id"]
        constraints = [
            models.UniqueConstraint(
                fields=["accession_number"],
                condition=~models.Q(accession_number=""),
                name="accession_number_unique",
                violation_error_message=_("Another requested procedure has this accession number."),
            ),
            models.CheckConstraint(condition=~models.Q(study_instance_uid=""), name="study_instance_uid_given"),
            models.CheckConstraint(condition=~models.Q(requested_procedure_id=""), name="requested_procedure_id_given"),
        ]
        indexes = [
            models.Index(fields=["accession_number"], name="accession_number"),
        ]
        verbose_name = _("requested procedure")
        verbose_name_plural = _("requested procedures")

    def __str__(self) -> str:
        return " ".join(filter(None, (self.accession_number, self.requested_procedure_description)))

    @classmethod
    def prepare(cls, entries: Sequence[Self]) -> None:
        for entry in entries:
            entry.study_instance_uid = entry.study_instance_uid or identifiers.study_instance_uid()
            entry.referring_physician_name_key = names.key(entry.referring_physician_name)
            entry.referring_physician_name_folded = names.folded(entry.referring_physician_name)
            entry.requesting_physician_key = names.key(entry.requesting_physician)
            entry.requesting_physician_folded = names.folded(entry.requesting_physician)
        identifiers.fill(entries, "accession_number", "A")
        identifiers.fill(entries, "requested_procedure_id", "R")

    @classmethod
    def from_db(cls, db: str | None, field_names: Collection[str], values: Collection[Any], **options: Any) -> Self:
        entry = super().from_db(db, field_names, values, **options)
        entry._owner_as_read = entry.__dict__.get("patient_id")
        return entry

    def save(self, *args: Any, update_fields: Iterable[str] | None = None, **kwargs: Any) -> None:
        """Save the entry, and tell who has to follow when it is another patient's now."""
        before = self._owner_as_read
        if before in {None, self.patient_id}:
            super().save(*args, update_fields=update_fields, **kwargs)
        else:
            with transaction.atomic():
                owner = identity.of_record(Patient.objects.get(pk=before))
                super().save(*args, update_fields=update_fields, **kwargs)
                self._tell_moved(owner)
        self._owner_as_read = self.patient_id

    def _tell_moved(self, owner: identity.Demographics) -> None:
        kind, after = change_signal.ChangeKind.MOVED, identity.of_record(self.patient)
        change = change_signal.PatientChange(kind, owner, after, self.patient_id, (self.study_instance_uid,))
        change_signal.tell(change)

    def merge_into(self, patient: Patient) -> None:
        """Become an entry of the record that the entry's own is merged into; the merge is told as a whole."""
        self.patient = patient
        self._owner_as_read = patient.pk
        self.save()

    def clean(self) -> None:
        super().clean()
        require_whole_code(self, "reason_")
