"""Scheduled procedure steps: the rows of the worklist."""

from collections.abc import Sequence
from typing import Self

from django.db import models, transaction
from django.db.models import Case, F, Q, Value, When
from django.utils import timezone
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from gateway_link import names
from mwl_admin.exceptions import TransitionError
from mwl_admin.fields import CodeStringField, LongStringField, LongTextField, PersonNameField, ShortStringField
from mwl_admin.models import identifiers
from mwl_admin.models.base import EditedModel, RecordedQuerySet, history
from mwl_admin.models.catalogue import ProtocolCode
from mwl_admin.models.requested import NAME_HELP, RequestedProcedure
from mwl_admin.models.station import Station
from mwl_admin.models.status import ENDED, OPEN, SOURCES, WAITING, StepStatus, unlawful


class ScheduledProcedureStepQuerySet(RecordedQuerySet["ScheduledProcedureStep"]):
    """Scheduled procedure steps, and what may be done to many at once."""

    def open(self) -> Self:
        """Steps that are on the worklist: neither finished nor cancelled."""
        return self.filter(status__in=OPEN)

    def ended(self) -> Self:
        """Steps that are completed, discontinued or cancelled."""
        return self.filter(status__in=ENDED)

    def for_station(self, station: Station) -> Self:
        """Steps that are meant for this station: assigned to it, or to none and of its modality."""
        return self.filter(Q(stations=station) | Q(stations=None, modality=station.modality))

    def transition(self, target: StepStatus) -> int:
        """Move those steps to ``target`` from which it can lawfully be reached; return how many moved."""
        return self.filter(status__in=SOURCES.get(target, ())).update(
            previous_status=F("status"), status=target, **_touched()
        )

    def undo(self) -> int:
        """Take back the last change of status, where there is one; return how many steps changed.

        When a step's end is taken back, what modalities reported as final no longer counts for it.
        """
        with transaction.atomic():
            steps = self.exclude(previous_status="").order_by("pk").select_for_update(no_key=True)
            undone = {step.pk: step for step in steps}
            changed = type(self)(self.model, using=self.db).filter(pk__in=undone)
            count = changed.update(status=F("previous_status"), previous_status="", **_touched())
            for step in undone.values():
                if step.status in ENDED:
                    step.disregard_reports()
        return count

    def report_started(self, performed: models.Model) -> int:
        """Note that a modality performs these steps, whatever they were held to be; return how many changed.

        ``performed`` is the performed procedure step that the modality reports.
        The first to start a step is the station that it is kept for. A step that had ended is open again: it is
        complete when all that is performed for it is.
        """
        self.filter(status=StepStatus.STARTED, started_by=None).update(started_by=performed)
        return self.exclude(status=StepStatus.STARTED).update(
            previous_status=F("status"), status=StepStatus.STARTED, started_by=performed, **_touched()
        )

    def report_ended(self, target: StepStatus, reason: str = "") -> int:
        """Note that all that modalities performed for these steps has ended, and why; return how many changed.

        Taking that back leads to where the step was before it started. What staff have ended by hand stays.
        """
        before = Case(
            When(status=StepStatus.STARTED, previous_status__in=sorted(WAITING), then=F("previous_status")),
            default=F("status"),
        )
        return self.filter(status__in=SOURCES[target]).update(
            previous_status=before, status=target, status_reason=reason, **_touched()
        )

    def report_withdrawn(self) -> int:
        """Note that nothing was performed for these steps after all; return how many changed.

        They are where they were before a modality started them. What staff have ended by hand stays.
        """
        before = Case(When(previous_status="", then=Value(StepStatus.SCHEDULED)), default=F("previous_status"))
        self.exclude(started_by=None).update(started_by=None)
        return self.filter(status=StepStatus.STARTED).update(status=before, previous_status="", **_touched())


def _touched() -> dict[str, object]:
    return {"version": F("version") + 1, "updated_at": timezone.now()}


class ScheduledProcedureStep(EditedModel):
    """What one modality is to do, and when: a row of the worklist. Date and time are the department's own."""

    requested_procedure = models.ForeignKey(
        RequestedProcedure,
        models.CASCADE,
        verbose_name=_("requested procedure"),
        related_name="scheduled_procedure_steps",
    )
    scheduled_procedure_step_id = ShortStringField(
        _("step ID"), blank=True, db_index=True, help_text=_("Made when left empty.")
    )
    status = models.CharField(_("status"), max_length=16, choices=StepStatus, default=StepStatus.SCHEDULED)
    previous_status = models.CharField(
        _("previous status"), max_length=16, choices=StepStatus, blank=True, editable=False
    )
    status_reason = LongStringField(
        _("reason"), blank=True, editable=False, help_text=_("Why it was cancelled or discontinued.")
    )
    started_by = models.ForeignKey(
        "PerformedProcedureStep",
        models.SET_NULL,
        verbose_name=_("started by"),
        related_name="started_scheduled_procedure_steps",
        null=True,
        blank=True,
        editable=False,
        help_text=_("What a modality reported first; empty when staff started the step by hand."),
    )
    modality = CodeStringField(
        _("modality"), blank=True, help_text=_("Left empty: as in the catalogue, or the station's.")
    )
    stations = models.ManyToManyField(
        Station,
        verbose_name=_("stations"),
        related_name="scheduled_procedure_steps",
        limit_choices_to={"kind": "modality"},
        blank=True,
        help_text=_("None: any station of the modality. A new step of a procedure that has a usual station gets that."),
    )
    scheduled_date = models.DateField(_("date"))
    scheduled_time = models.TimeField(_("time"))
    scheduled_performing_physician_name = PersonNameField(_("performing physician"), blank=True, help_text=NAME_HELP)
    scheduled_procedure_step_description = LongStringField(_("description"), blank=True)
    protocol_codes = models.ManyToManyField(
        ProtocolCode, verbose_name=_("protocol codes"), related_name="scheduled_procedure_steps", blank=True
    )
    scheduled_procedure_step_location = ShortStringField(_("location"), blank=True)
    pre_medication = LongStringField(_("pre-medication"), blank=True)
    requested_contrast_agent = LongStringField(_("contrast agent"), blank=True)
    comments_on_the_scheduled_procedure_step = LongTextField(_("comments"), blank=True)

    scheduled_performing_physician_name_key = models.CharField(max_length=512, editable=False, blank=True)
    scheduled_performing_physician_name_folded = models.CharField(max_length=512, editable=False, blank=True)

    objects = ScheduledProcedureStepQuerySet.as_manager()

    derived_fields = ("scheduled_performing_physician_name_key", "scheduled_performing_physician_name_folded")
    generated_fields = ("scheduled_procedure_step_id",)
    recorded_fields = ("status",)
    history = history(*derived_fields, "started_by", m2m_fields=["stations"])

    class Meta:
        ordering = ["scheduled_date", "scheduled_time", "id"]
        constraints = [
            models.CheckConstraint(condition=Q(status__in=StepStatus.values), name="step_status_known"),
            models.CheckConstraint(
                condition=Q(previous_status__in=["", *StepStatus.values]), name="step_previous_status_known"
            ),
            models.CheckConstraint(
                condition=~Q(modality=""),
                name="step_modality_given",
                violation_error_message=_("A step needs a modality, e.g. CT."),
            ),
            models.CheckConstraint(condition=~Q(scheduled_procedure_step_id=""), name="step_id_given"),
            # A step is its Study Instance UID and step ID: other systems count the steps of each order from 1.
            models.UniqueConstraint(
                fields=["requested_procedure", "scheduled_procedure_step_id"],
                name="step_id_unique",
                violation_error_message=_("Another step of this requested procedure has this step ID."),
            ),
        ]
        indexes = [
            models.Index(fields=["scheduled_date", "modality"], name="step_date_modality"),
            models.Index(fields=["scheduled_date", "status"], name="step_date_status"),
            # The order of the list: an undated query streams along it without sorting.
            models.Index(fields=["scheduled_date", "scheduled_time", "id"], name="step_start"),
        ]
        verbose_name = _("scheduled procedure step")
        verbose_name_plural = _("scheduled procedure steps")

    def __str__(self) -> str:
        return f"{self.scheduled_procedure_step_id} {self.scheduled_procedure_step_description}".strip()

    @classmethod
    def prepare(cls, entries: Sequence[Self]) -> None:
        for step in entries:
            name = step.scheduled_performing_physician_name
            step.scheduled_performing_physician_name_key = names.key(name)
            step.scheduled_performing_physician_name_folded = names.folded(name)
        identifiers.fill(entries, "scheduled_procedure_step_id", "S")

    @property
    def reason_shown(self) -> str:
        """Why it was cancelled or discontinued, while it is."""
        ended = {StepStatus.CANCELLED, StepStatus.DISCONTINUED}
        return str(self.status_reason) if self.status in ended else ""

    def transition(self, target: StepStatus) -> None:
        """Change the status.

        :raises TransitionError: when that is not lawful (any more).
        """
        moved = type(self).objects.filter(pk=self.pk).transition(target)
        self._reread_status()
        if not moved:
            raise unlawful(self.status, target)

    def undo(self) -> None:
        """Take back the last change of status.

        :raises TransitionError: when there is none.
        """
        undone = type(self).objects.filter(pk=self.pk).undo()
        self._reread_status()
        if not undone:
            raise TransitionError(gettext("There is no change of status to take back."))

    def disregard_reports(self) -> None:
        """Leave out of account what modalities reported as final for this step; the reports themselves stay."""
        for performed in self.performed_procedure_steps.final():
            performed.disregarded_for.add(self)
        started_by = self.performed_procedure_steps.counted_for(self).order_by("pk").first()
        type(self).objects.filter(pk=self.pk).update(started_by=started_by)

    def _reread_status(self) -> None:
        self.refresh_from_db(fields=["status", "previous_status", "started_by", "version", "updated_at"])
