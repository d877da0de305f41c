"""The log of changes: which entries other systems have to read again, and which are gone. Triggers write it."""

from django.db import models
from django.utils.translation import gettext_lazy as _


class EntryChange(models.Model):
    """What an entry shows has changed; or its accession number, ``gone``, names no entry any more.

    ``position`` is the number of the transaction on PostgreSQL. SQLite has one writer at a time: ``id`` alone tells the
    order there, each entry has one row, and ``position`` is 0. ``changed_at`` is only where a reader may begin.
    """

    id = models.BigAutoField(primary_key=True)
    position = models.BigIntegerField()
    entry_id = models.BigIntegerField()
    gone = models.CharField(max_length=64, blank=True, default="")
    changed_at = models.DateTimeField(db_index=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["position", "entry_id", "gone"], name="change_once")]
        indexes = [
            models.Index(fields=["position", "id"], name="change_order"),
            models.Index(fields=["entry_id", "position"], name="change_of_entry"),
        ]
        default_permissions = ()
        verbose_name = _("change of an entry")
        verbose_name_plural = _("changes of entries")

    def __str__(self) -> str:
        return f"{self.position}-{self.pk}"


class ChangeFeed(models.Model):
    """One row: which log the cursors belong to, and which triggers write it.

    ``system`` is the database server that counts the positions; on another one they begin anew, and so does ``era``.
    Cursors before ``floor_position`` and ``floor_id`` are of no use any more: deletions after them have been forgotten.
    """

    era = models.CharField(max_length=16)
    system = models.CharField(max_length=64)
    triggers = models.CharField(max_length=64)
    floor_position = models.BigIntegerField(default=0)
    floor_id = models.BigIntegerField(default=0)

    class Meta:
        default_permissions = ()
        verbose_name = _("log of changes")
        verbose_name_plural = _("logs of changes")

    def __str__(self) -> str:
        return str(self.era)
