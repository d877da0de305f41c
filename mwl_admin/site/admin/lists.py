"""Lists that load what they show, and no column that may be large besides."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from django.db import models
from django.http import HttpRequest
from unfold.views import ChangeList

from mwl_admin.site.page_names import heading

_LARGE = (models.BinaryField, models.JSONField, models.TextField)


class NamedChangeList(ChangeList):  # type: ignore[misc]
    """A list whose title is its records' name, as in the menu; Django's says "Select … to change"."""

    def __init__(self, *args: Any, **named: Any) -> None:
        super().__init__(*args, **named)
        if not self.is_popup:
            self.title = heading(self.opts.label_lower)


class NamedListAdmin:
    """Admin with such a list: to be named before the admin that it extends."""

    def get_changelist(self, request: HttpRequest, **named: Any) -> type[ChangeList]:
        """Return the class of the list."""
        return NamedChangeList


class LightChangeList(NamedChangeList):
    """A list whose statement leaves out large columns, of its own model and of those that are joined."""

    def get_queryset(self, request: HttpRequest, *args: Any, **named: Any) -> Any:
        found = super().get_queryset(request, *args, **named)
        shown = {name for name in self.list_display if isinstance(name, str)}
        kept = shown | set(getattr(self.model_admin, "list_needs", ()))
        return found.defer(*_large(self.model, _joined(found.query.select_related, self.model), kept))


class LightListAdmin:
    """Admin with such a list: to be named before the admin that it extends. ``list_needs`` are large columns shown."""

    list_needs: tuple[str, ...] = ()

    def get_changelist(self, request: HttpRequest, **named: Any) -> type[ChangeList]:
        """Return the class of the list."""
        return LightChangeList


def _joined(selected: Any, model: type[models.Model]) -> dict[str, Any]:
    """Return the relations that a statement follows: those named, or each that always leads somewhere."""
    if isinstance(selected, dict):
        return selected
    relations = [field for field in model._meta.concrete_fields if field.is_relation and not field.null]
    return {field.name: {} for field in relations} if selected else {}


def _large(model: type[models.Model], joined: dict[str, Any], kept: set[str], path: str = "") -> Iterator[str]:
    for field in model._meta.concrete_fields:
        if isinstance(field, _LARGE) and not isinstance(field, models.CharField) and field.name not in kept:
            yield path + field.name
    for name, deeper in joined.items():
        related = model._meta.get_field(name).related_model
        if isinstance(related, type):
            yield from _large(related, deeper, set(), f"{path}{name}__")
