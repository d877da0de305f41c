"""AE titles that called the worklist provider, belong to no station, and did not come as far as a query."""

from django.db import models


class UnknownCaller(models.Model):
    """What an unknown AE title last tried: one row each, however often it calls."""

    ae_title = models.CharField("AE title", max_length=16, unique=True)
    address = models.GenericIPAddressField(null=True, blank=True)
    last_seen_at = models.DateTimeField(db_index=True)
    rejected_because = models.CharField(max_length=64, blank=True, help_text="Empty when it was let in, and echoed.")
    attempts = models.PositiveIntegerField(default=0)

    class Meta:
        ordering = ["-last_seen_at"]
        default_permissions = ()

    def __str__(self) -> str:
        return str(self.ae_title)
