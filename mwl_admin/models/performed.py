"""Performed procedure steps: what modalities report through MPPS (PS3.4 Annex F)."""

from datetime import timedelta
from typing import Any, Self

from django.conf import settings
from django.core.serializers.json import DjangoJSONEncoder
from django.db import models
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from mwl_admin.fields import (
    AETitleField,
    CodeStringField,
    DeviceUIDField,
    LongStringField,
    PersonNameField,
    ShortStringField,
)
from mwl_admin.models.scheduled import ScheduledProcedureStep


class PerformedStatus(models.TextChoices):
    """Defined terms of Performed Procedure Step Status (0040,0252)."""

    IN_PROGRESS = "IN PROGRESS", _("in progress")
    COMPLETED = "COMPLETED", _("completed")
    DISCONTINUED = "DISCONTINUED", _("discontinued")


class Doubt(models.TextChoices):
    """Why staff are to look at a report: the images made under it may be filed under another person."""

    OTHER_PATIENT = "OTHER_PATIENT", _("names another patient than the entry")
    WRONG_ENTRY = "WRONG_ENTRY", _("the entry was chosen by mistake")


DOUBT_DAYS = 30
"""How long a doubt is shown, unless somebody settles it before."""


class PerformedProcedureStepQuerySet(models.QuerySet["PerformedProcedureStep"]):
    """Performed procedure steps."""

    def unscheduled(self) -> Self:
        """Those that no entry of the worklist was found for."""
        return self.filter(scheduled_procedure_steps=None)

    def final(self) -> Self:
        """Those that are completed or discontinued, which nothing changes any more."""
        return self.exclude(performed_procedure_step_status=PerformedStatus.IN_PROGRESS)

    def counted_for(self, step: ScheduledProcedureStep) -> Self:
        """Those that a scheduled step's status depends on: reported for it, and not taken back by staff."""
        return self.filter(scheduled_procedure_steps=step).exclude(disregarded_for=step)

    def to_be_looked_at(self) -> Self:
        """Those of late that are in doubt and nobody has settled."""
        since = timezone.now() - timedelta(days=DOUBT_DAYS)
        return self.exclude(doubt="").filter(settled_at=None, created_at__gte=since)

    def settle(self, user: object) -> int:
        """Note that somebody has looked at these; return how many."""
        return self.exclude(doubt="").filter(settled_at=None).update(settled_at=timezone.now(), settled_by=user)

    def reopen(self) -> int:
        """Have these looked at again; return how many were settled."""
        return self.exclude(settled_at=None).update(settled_at=None, settled_by=None)

    def update_in_progress(self, **values: Any) -> int:
        """Change those that are in progress, and no others; return how many changed."""
        in_progress = self.filter(performed_procedure_step_status=PerformedStatus.IN_PROGRESS)
        return in_progress.update(updated_at=timezone.now(), **values)


class PerformedProcedureStepManager(models.Manager["PerformedProcedureStep"]):
    """Reports without their data sets, which are read when they are looked at: many at once would fill the memory."""

    def get_queryset(self) -> PerformedProcedureStepQuerySet:
        found: PerformedProcedureStepQuerySet = super().get_queryset()  # type: ignore[assignment]
        return found.defer("data_set")


class PerformedProcedureStep(models.Model):
    """An MPPS instance."""

    sop_instance_uid = DeviceUIDField(_("SOP Instance UID"), unique=True)
    performed_procedure_step_status = models.CharField(_("status"), max_length=16, choices=PerformedStatus)
    performed_procedure_step_id = ShortStringField(_("performed step ID"), blank=True)
    scheduled_procedure_steps = models.ManyToManyField(
        ScheduledProcedureStep,
        verbose_name=_("scheduled procedure steps"),
        related_name="performed_procedure_steps",
        blank=True,
    )
    disregarded_for = models.ManyToManyField(
        ScheduledProcedureStep,
        verbose_name=_("disregarded for"),
        related_name="disregarded_performed_procedure_steps",
        blank=True,
        help_text=_("Steps whose end, reported by this, staff have taken back."),
    )
    doubt = models.CharField(_("doubt"), max_length=16, choices=Doubt, blank=True, editable=False)
    doubted_steps = models.ManyToManyField(
        ScheduledProcedureStep,
        verbose_name=_("doubted for"),
        related_name="doubted_performed_procedure_steps",
        blank=True,
        help_text=_("Steps that this names and was not performed for."),
    )
    differs = models.CharField(
        _("differs in"),
        max_length=100,
        blank=True,
        editable=False,
        help_text=_("Keywords in which a doubted step's patient is another."),
    )
    settled_at = models.DateTimeField(_("settled at"), null=True, blank=True, editable=False)
    settled_by = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        models.SET_NULL,
        verbose_name=_("settled by"),
        related_name="+",
        null=True,
        blank=True,
        editable=False,
    )
    notes = models.TextField(
        _("notes"), blank=True, editable=False, help_text=_("What was taken although it is not as it should be.")
    )
    calling_ae_title = AETitleField(_("calling AE title"), blank=True)
    performed_station_ae_title = AETitleField(_("station AE title"), blank=True)
    modality = CodeStringField(_("modality"), blank=True)
    study_instance_uid = DeviceUIDField(_("Study Instance UID"), blank=True, db_index=True)
    accession_number = ShortStringField(_("accession number"), blank=True, db_index=True)
    patient_id = LongStringField(_("patient ID"), blank=True, db_index=True)
    patient_name = PersonNameField(_("patient name"), blank=True)
    performed_start_date = models.DateField(_("start date"), null=True, blank=True)
    performed_start_time = models.TimeField(_("start time"), null=True, blank=True)
    performed_end_date = models.DateField(_("end date"), null=True, blank=True)
    performed_end_time = models.TimeField(_("end time"), null=True, blank=True)
    protocol = models.CharField(_("protocol"), max_length=255, blank=True)
    discontinuation_reason = LongStringField(_("discontinuation reason"), blank=True)
    series_count = models.PositiveIntegerField(_("series"), default=0)
    instance_count = models.PositiveIntegerField(_("images"), default=0)
    data_set = models.JSONField(
        _("data set"),
        default=dict,
        encoder=DjangoJSONEncoder,
        help_text=_("All that the modality sent, as DICOM JSON (PS3.18 Annex F)."),
    )
    size = models.PositiveIntegerField(default=0, editable=False, help_text=_("Bytes that this takes, estimated."))
    created_at = models.DateTimeField(_("created at"), auto_now_add=True)
    updated_at = models.DateTimeField(_("updated at"), auto_now=True)

    objects = PerformedProcedureStepManager.from_queryset(PerformedProcedureStepQuerySet)()

    class Meta:
        ordering = ["-created_at", "-id"]
        constraints = [
            models.CheckConstraint(
                condition=models.Q(performed_procedure_step_status__in=PerformedStatus.values),
                name="performed_status_known",
            ),
            models.CheckConstraint(condition=~models.Q(sop_instance_uid=""), name="sop_instance_uid_given"),
            models.CheckConstraint(condition=models.Q(doubt__in=["", *Doubt.values]), name="performed_doubt_known"),
        ]
        indexes = [
            models.Index(fields=["-created_at"], name="performed_created"),
            # The day page asks every few seconds, and there are few.
            models.Index(fields=["created_at"], condition=~models.Q(doubt=""), name="performed_in_doubt"),
        ]
        verbose_name = _("performed procedure step")
        verbose_name_plural = _("performed procedure steps")

    def __str__(self) -> str:
        return f"{self.performed_procedure_step_id or self.sop_instance_uid} ({self.performed_procedure_step_status})"
