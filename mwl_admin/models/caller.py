"""Who called a service and is no station, or was turned away; and what staff have answered."""

from typing import Self

from django.conf import settings
from django.db import models
from django.utils.translation import gettext_lazy as _

from mwl_admin.models.station import Station


class ServiceName(models.TextChoices):
    """Which of the two services was called."""

    WORKLIST = "worklist", _("worklist")
    IMAGES = "images", _("images")


class UnknownCaller(models.Model):
    """What an AE title last tried that belongs to no station, or was turned away: one row each and service."""

    service = models.CharField(_("service"), max_length=16, choices=ServiceName, default=ServiceName.WORKLIST)
    ae_title = models.CharField(_("AE title"), max_length=16)
    address = models.GenericIPAddressField(_("address"), null=True, blank=True)
    last_seen_at = models.DateTimeField(_("last seen at"), db_index=True)
    rejected_because = models.CharField(
        _("rejected because"), max_length=64, blank=True, help_text=_("Empty when it was let in, and echoed.")
    )
    attempts = models.PositiveIntegerField(_("attempts"), default=0)

    class Meta:
        ordering = ["-last_seen_at"]
        constraints = [models.UniqueConstraint(fields=["ae_title", "service"], name="one_row_for_each_caller")]
        default_permissions = ()
        verbose_name = _("unknown caller")
        verbose_name_plural = _("unknown callers")

    def __str__(self) -> str:
        return str(self.ae_title)


class EnrolmentQuerySet(models.QuerySet["Enrolment"]):
    """AE titles that wait for staff's answer."""

    def waiting(self) -> Self:
        """Those that staff have neither added nor kept out, however they did that."""
        answered = (Station.objects.values("ae_title"), KeptOut.objects.values("ae_title"))
        return self.exclude(ae_title__in=answered[0]).exclude(ae_title__in=answered[1])


class Enrolment(models.Model):
    """An AE title that a service served before devices had to be known: served as before until staff have answered.

    Made by the update for the worklist, and by what the receiver tells for images. Adding the station, or keeping the
    AE title out, is the answer, and ends the row.
    """

    service = models.CharField(_("service"), max_length=16, choices=ServiceName)
    ae_title = models.CharField(_("AE title"), max_length=16)
    address = models.GenericIPAddressField(_("address"), null=True, blank=True)
    last_seen_at = models.DateTimeField(_("last seen at"))

    objects = EnrolmentQuerySet.as_manager()

    class Meta:
        ordering = ["ae_title", "-service"]
        constraints = [models.UniqueConstraint(fields=["ae_title", "service"], name="one_enrolment_for_each_service")]
        default_permissions = ()
        verbose_name = _("device to be enrolled")
        verbose_name_plural = _("devices to be enrolled")

    def __str__(self) -> str:
        return str(self.ae_title)


class KeptOut(models.Model):
    """An AE title that staff keep out: it is turned away also where strangers are served."""

    ae_title = models.CharField(_("AE title"), max_length=16, unique=True)
    kept_out_at = models.DateTimeField(_("kept out at"), auto_now_add=True)
    kept_out_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.SET_NULL, verbose_name=_("kept out by"), null=True, related_name="+"
    )

    class Meta:
        ordering = ["ae_title"]
        default_permissions = ()
        verbose_name = _("AE title kept out")
        verbose_name_plural = _("AE titles kept out")

    def __str__(self) -> str:
        return str(self.ae_title)


class UsedNonce(models.Model):
    """A number used once by a signed request (docs/devices.md), known to all processes of the site until it is old."""

    nonce = models.CharField(max_length=32, primary_key=True)
    until = models.DateTimeField(db_index=True)

    class Meta:
        default_permissions = ()

    def __str__(self) -> str:
        return str(self.nonce)
