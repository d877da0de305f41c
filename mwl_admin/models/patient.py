"""Patients."""

from collections.abc import Collection, Iterable, Sequence
from typing import Any, Self

from django.core.exceptions import ValidationError
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models, transaction
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from gateway_link import names
from mwl_admin import validators
from mwl_admin.fields import LongStringField, LongStringsField, LongTextField, NameComponentField, NameGroupField
from mwl_admin.models.base import EditedModel, PreparedQuerySet, history
from mwl_admin.patients import change_signal, identity


class Sex(models.TextChoices):
    """Patient's Sex (0010,0040)."""

    MALE = "M", _("male")
    FEMALE = "F", _("female")
    OTHER = "O", _("other")


class PregnancyStatus(models.IntegerChoices):
    """Pregnancy Status (0010,21C0)."""

    NOT_PREGNANT = 1, _("not pregnant")
    POSSIBLY_PREGNANT = 2, _("possibly pregnant")
    DEFINITELY_PREGNANT = 3, _("definitely pregnant")
    UNKNOWN = 4, _("unknown")


class PatientQuerySet(PreparedQuerySet["Patient"]):
    """Patients."""


class Patient(EditedModel):
    """A person, or an animal or phantom, that is examined."""

    patient_id = LongStringField(_("patient ID"))
    issuer_of_patient_id = LongStringField(
        _("issuer"), blank=True, help_text=_("Who gave the patient ID, if not this hospital.")
    )

    family_name = NameComponentField(_("family name"))
    given_name = NameComponentField(_("given name"), blank=True)
    middle_name = NameComponentField(_("middle name"), blank=True)
    name_prefix = NameComponentField(_("prefix"), blank=True, help_text=_("E.g. Dr."))
    name_suffix = NameComponentField(_("suffix"), blank=True, help_text=_("E.g. Jr."))
    ideographic_name = NameGroupField(
        _("ideographic name"), blank=True, help_text=_("E.g. 山田^太郎: family and given name separated by ^.")
    )
    phonetic_name = NameGroupField(_("phonetic name"), blank=True, help_text=_("E.g. やまだ^たろう."))

    name_key = models.CharField(max_length=256, editable=False, db_index=True)
    name_folded = models.CharField(max_length=256, editable=False, db_index=True)
    ideographic_name_key = models.CharField(max_length=256, editable=False, blank=True, db_index=True)
    phonetic_name_key = models.CharField(max_length=256, editable=False, blank=True, db_index=True)

    patient_birth_date = models.DateField(_("birth date"), null=True, blank=True)
    patient_sex = models.CharField(_("sex"), max_length=1, choices=Sex, blank=True)
    patient_size = models.DecimalField(
        _("size"),
        max_digits=4,
        decimal_places=3,
        null=True,
        blank=True,
        validators=[MinValueValidator(0), MaxValueValidator(3, _("The size is in metres, e.g. 1.75."))],
        help_text=_("In metres."),
    )
    patient_weight = models.DecimalField(
        _("weight"),
        max_digits=7,
        decimal_places=3,
        null=True,
        blank=True,
        validators=[MinValueValidator(0), MaxValueValidator(1000, _("The weight is in kilograms."))],
        help_text=_("In kilograms."),
    )
    pregnancy_status = models.PositiveSmallIntegerField(
        _("pregnancy status"), choices=PregnancyStatus, null=True, blank=True
    )
    allergies = LongStringsField(_("allergies"), blank=True, help_text=_("One a line."))
    medical_alerts = LongStringsField(_("medical alerts"), blank=True, help_text=_("One a line."))
    special_needs = LongStringField(_("special needs"), blank=True)
    patient_state = LongStringField(_("patient state"), blank=True)
    patient_comments = LongTextField(_("comments"), blank=True)
    confidentiality_constraint_on_patient_data_description = LongStringField(
        _("confidentiality constraint"), blank=True
    )

    objects = PatientQuerySet.as_manager()

    _as_read: identity.Demographics | None = None

    derived_fields = ("name_key", "name_folded", "ideographic_name_key", "phonetic_name_key")
    history = history(*derived_fields)

    class Meta:
        ordering = ["family_name", "given_name", "patient_id"]
        permissions = [("merge_patient", "Can merge two patient records")]
        constraints = [
            models.UniqueConstraint(
                fields=["patient_id", "issuer_of_patient_id"],
                name="patient_id_unique",
                violation_error_message=_("A patient with this patient ID and issuer exists already."),
            ),
            models.CheckConstraint(condition=~models.Q(patient_id=""), name="patient_id_given"),
            models.CheckConstraint(condition=models.Q(patient_sex__in=["", *Sex.values]), name="patient_sex_known"),
        ]
        # Who was born on the same day may be the same person, entered twice.
        indexes = [models.Index(fields=["patient_birth_date"], name="patient_birth_date")]
        verbose_name = _("patient")
        verbose_name_plural = _("patients")

    def __str__(self) -> str:
        return f"{self.display_name} ({self.patient_id})"

    @property
    def alphabetic_name(self) -> str:
        """The alphabetic component group, e.g. ``Doe^Jane``."""
        return names.join((self.family_name, self.given_name, self.middle_name, self.name_prefix, self.name_suffix))

    @property
    def patient_name(self) -> str:
        """Patient's Name (0010,0010) with all component groups, e.g. ``Yamada^Tarou=山田^太郎=やまだ^たろう``."""
        return names.join((self.alphabetic_name, self.ideographic_name, self.phonetic_name), "=")

    @property
    def display_name(self) -> str:
        """The name as people read it, e.g. ``Doe, Jane``."""
        given = " ".join(filter(None, (self.name_prefix, self.given_name, self.middle_name, self.name_suffix)))
        return ", ".join(filter(None, (self.family_name, given)))

    @classmethod
    def prepare(cls, entries: Sequence[Self]) -> None:
        for patient in entries:
            patient.name_key = names.key(patient.alphabetic_name)
            patient.name_folded = names.folded(patient.alphabetic_name)
            patient.ideographic_name_key = names.key(patient.ideographic_name)
            patient.phonetic_name_key = names.key(patient.phonetic_name)

    @classmethod
    def from_db(cls, db: str | None, field_names: Collection[str], values: Collection[Any], **options: Any) -> Self:
        patient = super().from_db(db, field_names, values, **options)
        if not patient.get_deferred_fields():
            patient._as_read = identity.of_record(patient)
        return patient

    def save(self, *args: Any, update_fields: Iterable[str] | None = None, **kwargs: Any) -> None:
        """Save the record, and tell who has to follow when it is another person's now, or the person's otherwise."""
        before = self._as_read
        with transaction.atomic(savepoint=False):  # as Django's own save: it fails as a whole with what it is part of
            super().save(*args, update_fields=update_fields, **kwargs)
            after = identity.of_record(self)
            if before is not None and before != after:
                change = change_signal.PatientChange(change_signal.ChangeKind.UPDATED, before, after, self.pk)
                change_signal.tell(change)
        self._as_read = after

    def clean(self) -> None:
        super().clean()
        try:
            validators.validate_name_group(self.alphabetic_name)
        except ValidationError as error:
            raise ValidationError({"family_name": error}) from error
        if self.patient_birth_date and self.patient_birth_date > timezone.localdate():
            raise ValidationError({"patient_birth_date": _("The birth date lies in the future.")})
        self._refuse_other_spelling()

    def _refuse_other_spelling(self) -> None:
        """The department's own issuer may be left out: with and without it, one ID is one record."""
        others = {*identity.issuers(self.issuer_of_patient_id)} - {self.issuer_of_patient_id}
        if not others:
            return
        same = Patient.objects.filter(patient_id=self.patient_id, issuer_of_patient_id__in=others).exclude(pk=self.pk)
        if same.exists():
            raise ValidationError({"patient_id": _("A patient with this patient ID and issuer exists already.")})


class MergedPatient(models.Model):
    """A record that was merged into another and is no more; its history tells under which IDs it was known."""

    record_id = models.BigIntegerField(unique=True, help_text=_("The primary key that the deleted record had."))
    patient = models.ForeignKey(
        Patient, models.CASCADE, verbose_name=_("patient"), related_name="merged_records", help_text=_("Who it became.")
    )

    class Meta:
        default_permissions = ()
        verbose_name = _("merged record")
        verbose_name_plural = _("merged records")

    def __str__(self) -> str:
        return str(self.record_id)
