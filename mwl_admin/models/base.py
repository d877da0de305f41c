"""What the models share: values made when left empty, and a version that tells two editors apart."""

from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, Self, TypeVar

from django.db import models, transaction
from django.utils.translation import gettext_lazy as _
from simple_history.manager import HistoryDescriptor
from simple_history.models import HistoricalRecords

Entry = TypeVar("Entry", bound="PreparedModel")


class PreparedQuerySet(models.QuerySet[Entry]):
    """A queryset whose bulk operations fill derived values as ``save()`` does."""

    def bulk_create(self, objs: Iterable[Entry], *args: Any, **kwargs: Any) -> list[Entry]:
        entries = list(objs)
        self.model.prepare(entries)
        return super().bulk_create(entries, *args, **kwargs)

    def bulk_update(self, objs: Iterable[Entry], fields: Iterable[str], *args: Any, **kwargs: Any) -> int:
        entries = list(objs)
        self.model.prepare(entries)
        return super().bulk_update(entries, {*fields, *self.model.derived_fields}, *args, **kwargs)


class RecordedQuerySet(PreparedQuerySet[Entry]):
    """A queryset whose ``update()`` leaves a history when it touches one of the model's ``recorded_fields``."""

    def update(self, **values: Any) -> int:
        if not values.keys() & {*self.model.recorded_fields}:
            return super().update(**values)
        with transaction.atomic():
            # Locked, so that what changes is what the history tells of.
            rows = self.order_by().select_for_update(of=("self",)).values_list("pk", flat=True)
            changing = self.model._base_manager.filter(pk__in=list(rows))
            count = changing.update(**values)
            for entry in changing:
                self.model.history_records.create_historical_record(entry, "~", using=self.db)
        return count


class PreparedModel(models.Model):
    """A model with values that are derived from others, or generated when left empty."""

    derived_fields: Sequence[str] = ()
    """Columns that ``prepare`` writes anew each time."""
    history_records: Any
    recorded_fields: Sequence[str] = ()
    """Columns of which the history tells although they are changed by ``update()``, row by row or many at once."""
    generated_fields: Sequence[str] = ()
    """Columns that ``prepare`` fills when they are empty."""

    class Meta:
        abstract = True

    def save(self, *args: Any, update_fields: Iterable[str] | None = None, **kwargs: Any) -> None:
        self.prepare([self])
        if update_fields is not None:
            update_fields = {*update_fields, *self.derived_fields}
        super().save(*args, update_fields=update_fields, **kwargs)

    def validate_constraints(self, exclude: Collection[str] | None = None) -> None:
        # What is still to be generated can't break a constraint yet.
        empty = {name for name in self.generated_fields if not getattr(self, name)}
        super().validate_constraints(exclude={*(exclude or ()), *empty})

    @classmethod
    def prepare(cls, entries: Sequence[Self]) -> None:
        """Fill what is derived or generated, for all ``entries`` at once. ``QuerySet.update`` does not come by here."""


class EditedModel(PreparedModel):
    """A model that people edit: ``version`` grows with each change and tells a stale form from a fresh one."""

    version = models.PositiveIntegerField(default=0, editable=False)
    created_at = models.DateTimeField(_("created at"), auto_now_add=True, editable=False)
    updated_at = models.DateTimeField(_("updated at"), auto_now=True, editable=False)

    class Meta:
        abstract = True

    def save(self, *args: Any, update_fields: Iterable[str] | None = None, **kwargs: Any) -> None:
        self.version += 1
        if update_fields is not None:
            update_fields = {*update_fields, "version", "updated_at"}
        super().save(*args, update_fields=update_fields, **kwargs)


_REASON_LENGTH = 100
_reason: ContextVar[str] = ContextVar("reason", default="")


@contextmanager
def history_reason(reason: str, *, besides: bool = False) -> Iterator[None]:
    """Write this reason into the history of each record that is saved inside the block.

    A reason stands where a program makes the change and no account is logged in: why, or for which system.
    ``besides``: the reason of an outer block stays, and this one follows it.
    """
    if besides and _reason.get():
        reason = f"{_reason.get()}; {reason}"
    token = _reason.set(reason[:_REASON_LENGTH] or _reason.get())
    try:
        yield
    finally:
        _reason.reset(token)


class _KeptDescriptor(HistoryDescriptor):  # type: ignore[misc]
    """Keeps the manager's class, which would be made anew with each record."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._made = self.manager_class.from_queryset(self.queryset_class)

    def __get__(self, instance: Any, owner: Any) -> Any:
        return self._made(self.model, instance)


class _Records(HistoricalRecords):  # type: ignore[misc]
    """Records that are found again from the model, to write one where no signal is sent, and that know why."""

    def get_change_reason_for_object(self, instance: Any, history_type: str, using: Any) -> str | None:
        return super().get_change_reason_for_object(instance, history_type, using) or _reason.get() or None

    def create_historical_record_m2ms(self, history_instance: Any, instance: Any) -> None:
        # What was just made is in no relation yet.
        if history_instance.history_type != "+":
            super().create_historical_record_m2ms(history_instance, instance)

    def finalize(self, sender: Any, **kwargs: Any) -> None:
        super().finalize(sender, **kwargs)
        descriptor = vars(sender).get(self.manager_name)
        if type(descriptor) is HistoryDescriptor:
            kept = _KeptDescriptor(descriptor.model, descriptor.manager_class, descriptor.queryset_class)
            setattr(sender, self.manager_name, kept)

    def contribute_to_class(self, cls: Any, name: str) -> None:
        super().contribute_to_class(cls, name)
        cls.history_records = self


def history(*derived: str, **options: Any) -> Any:
    """Return the history of a model: each version, who made it, and when; without what is only derived."""
    return _Records(excluded_fields=["version", "created_at", "updated_at", *derived], **options)
