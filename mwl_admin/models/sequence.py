"""Numbers handed out once: accession numbers and the other identifiers that are made when left empty."""

from django.db import connection, models, transaction
from django.utils.translation import gettext_lazy

from mwl_admin.models.prepared import Prepared


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
        with transaction.atomic(savepoint=False):
            last = cls._advance(name, count)
            if last is None:
                # Whoever else makes it at the same moment has it locked until then.
                cls.objects.get_or_create(name=name)
                last = cls._advance(name, count) or 0
        return range(last - count + 1, last + 1)

    @classmethod
    def _advance(cls, name: str, count: int) -> int | None:
        """Take numbers and lock the row, by one statement; return the last number, None when there is no such row."""
        table = connection.ops.quote_name(cls._meta.db_table)
        statement = f"UPDATE {table} SET last_value = last_value + %s WHERE name = %s"  # noqa: S608 - a table of ours
        with connection.cursor() as cursor:
            if connection.features.can_return_columns_from_insert:
                cursor.execute(f"{statement} RETURNING last_value", [count, name])
                row = cursor.fetchone()
            else:  # a SQLite from before 2021
                cursor.execute(statement, [count, name])
                row = _LAST.first(name)
        return None if row is None else int(row[0])


_LAST = Prepared(lambda name: Sequence.objects.filter(name=name).values_list("last_value"), str)
