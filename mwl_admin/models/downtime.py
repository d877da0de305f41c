"""What was done while Gateway could not be reached."""

from django.conf import settings
from django.db import models
from django.db.models import F, Q
from django.utils.translation import gettext_lazy as _

from mwl_admin.models.base import EditedModel, history
from mwl_admin.models.scheduled import ScheduledProcedureStep


class DowntimeRecord(EditedModel):
    """When a step was really done, as the desk entered it after a downtime: no modality reported it then."""

    step = models.OneToOneField(
        ScheduledProcedureStep, models.CASCADE, verbose_name=_("step"), related_name="downtime_record"
    )
    performed_start_at = models.DateTimeField(_("started"))
    performed_end_at = models.DateTimeField(_("ended"))
    entered_by = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        models.SET_NULL,
        verbose_name=_("entered by"),
        related_name="+",
        null=True,
        blank=True,
        editable=False,
    )

    history = history()

    class Meta:
        default_permissions = ()
        constraints = [
            models.CheckConstraint(
                condition=Q(performed_end_at__gt=F("performed_start_at")),
                name="downtime_end_after_start",
                violation_error_message=_("The end must be after the start."),
            )
        ]
        verbose_name = _("examination in a downtime")
        verbose_name_plural = _("examinations in a downtime")

    def __str__(self) -> str:
        return str(self.step_id)
