"""Numbers handed out once: accession numbers and the other identifiers that are made when left empty."""

from django.db import models, transaction
from django.utils.translation import gettext_lazy


class Sequence(models.Model):
    """A counter. Its row is locked while a number is taken, so that no two transactions get the same."""

    name = models.CharField(max_length=32, primary_key=True)
    last_value = models.PositiveBigIntegerField(default=0)

    class Meta:
        verbose_name = gettext_lazy("sequence")
        verbose_name_plural = gettext_lazy("sequences")

    def __str__(self) -> str:
        return f"{self.name}: {self.last_value}"

    @classmethod
    def take(cls, name: str, count: int = 1) -> range:
        """Return ``count`` numbers, never given before.

        The lock lasts until the outermost transaction ends; numbers taken in a transaction that fails are given again.
        """
        with transaction.atomic():
            # SQLite knows no row locks, but its transactions begin with the write lock (settings: IMMEDIATE).
            sequence, _ = cls.objects.select_for_update().get_or_create(name=name)
            first = sequence.last_value + 1
            sequence.last_value += count
            sequence.save(update_fields=["last_value"])
        return range(first, first + count)
