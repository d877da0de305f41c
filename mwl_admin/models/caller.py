"""AE titles that called the worklist provider, belong to no station, and did not come as far as a query."""

from django.db import models
from django.utils.translation import gettext_lazy as _


class UnknownCaller(models.Model):
    """What an unknown AE title last tried: one row each, however often it calls."""

    ae_title = models.CharField(_("AE title"), max_length=16, unique=True)
    address = models.GenericIPAddressField(_("address"), null=True, blank=True)
    last_seen_at = models.DateTimeField(_("last seen at"), db_index=True)
    rejected_because = models.CharField(
        _("rejected because"), max_length=64, blank=True, help_text=_("Empty when it was let in, and echoed.")
    )
    attempts = models.PositiveIntegerField(_("attempts"), default=0)

    class Meta:
        ordering = ["-last_seen_at"]
        default_permissions = ()
        verbose_name = _("unknown caller")
        verbose_name_plural = _("unknown callers")

    def __str__(self) -> str:
        return str(self.ae_title)
