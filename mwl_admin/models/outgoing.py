"""Changes of patients on their way to the image receiver."""

import uuid

from django.db import models
from django.utils import timezone
from django.utils.translation import gettext_lazy as _


class OutgoingChange(models.Model):
    """A change of a patient that the receiver is told of: written with the change, sent until it is taken.

    They go one by one, the oldest first. ``refused`` says why the receiver will never take one.
    """

    change_id = models.UUIDField(_("change"), unique=True, default=uuid.uuid4)
    body = models.JSONField(_("body"))
    created_at = models.DateTimeField(_("created at"), default=timezone.now)
    attempts = models.PositiveIntegerField(_("attempts"), default=0)
    next_attempt_at = models.DateTimeField(_("next attempt"), default=timezone.now)
    claimed_until = models.DateTimeField(_("claimed until"), null=True, blank=True)
    delivered_at = models.DateTimeField(_("delivered at"), null=True, blank=True)
    refused = models.CharField(_("refused because"), max_length=200, blank=True)

    class Meta:
        default_permissions = ()
        ordering = ["pk"]
        indexes = [
            models.Index(
                fields=["id"], condition=models.Q(delivered_at=None, refused=""), name="outgoing_change_waiting"
            )
        ]
        verbose_name = _("change for the receiver")
        verbose_name_plural = _("changes for the receiver")

    def __str__(self) -> str:
        return str(self.change_id)
