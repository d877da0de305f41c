"""What modalities asked for, and which entries they were given."""

from django.core.serializers.json import DjangoJSONEncoder
from django.db import models
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from mwl_admin.models.scheduled import ScheduledProcedureStep


class WorklistQueryManager(models.Manager["WorklistQuery"]):
    """Queries without their keys, which are read when they are looked at: many at once would fill the memory."""

    def get_queryset(self) -> models.QuerySet["WorklistQuery"]:
        return super().get_queryset().defer("keys")


class WorklistQuery(models.Model):
    """A Modality Worklist C-FIND that a modality sent, and how it was answered."""

    received_at = models.DateTimeField(_("received at"))
    calling_ae_title = models.CharField(_("calling AE title"), max_length=16)
    called_ae_title = models.CharField(_("called AE title"), max_length=16)
    address = models.GenericIPAddressField(_("address"), null=True, blank=True)
    keys = models.JSONField(
        _("keys"),
        default=dict,
        encoder=DjangoJSONEncoder,
        help_text=_("The identifier as DICOM JSON (PS3.18 Annex F)."),
    )
    keys_cut = models.BooleanField(
        _("keys cut"), default=False, help_text=_("The query was longer than what is kept of one.")
    )
    size = models.PositiveIntegerField(
        default=0, editable=False, help_text=_("Bytes that this and its deliveries take, estimated.")
    )
    matches = models.PositiveIntegerField(_("matches"), default=0)
    truncated = models.BooleanField(
        _("truncated"), default=False, help_text=_("The list was cut at the maximum number of matches.")
    )
    milliseconds = models.FloatField(_("milliseconds"), default=0)
    status = models.PositiveIntegerField(_("status"), help_text=_("Final DIMSE status."))
    error_comment = models.CharField(_("error comment"), max_length=64, blank=True)

    objects = WorklistQueryManager()

    class Meta:
        verbose_name_plural = _("worklist queries")
        ordering = ["-received_at", "-id"]
        indexes = [
            models.Index(fields=["-received_at"], name="query_received"),
            models.Index(fields=["calling_ae_title", "-received_at"], name="query_caller"),
            models.Index(fields=["size"], name="query_size"),
        ]
        verbose_name = _("worklist query")

    def __str__(self) -> str:
        return f"{self.calling_ae_title} {self.received_at:%Y-%m-%d %H:%M:%S}"


class WorklistDelivery(models.Model):
    """The receipt for one entry: which query took it to which station, and when."""

    query = models.ForeignKey(WorklistQuery, models.CASCADE, verbose_name=_("query"), related_name="deliveries")
    step = models.ForeignKey(ScheduledProcedureStep, models.CASCADE, verbose_name=_("step"), related_name="deliveries")
    station_ae_title = models.CharField(_("station AE title"), max_length=16)
    delivered_at = models.DateTimeField(_("delivered at"))

    class Meta:
        verbose_name_plural = _("worklist deliveries")
        ordering = ["-delivered_at", "-id"]
        indexes = [
            models.Index(fields=["step", "-delivered_at"], name="delivery_step"),
            models.Index(fields=["station_ae_title", "-delivered_at"], name="delivery_station"),
        ]
        verbose_name = _("worklist delivery")

    def __str__(self) -> str:
        return gettext("%(step)s to %(station)s") % {"step": self.step_id, "station": self.station_ae_title}
