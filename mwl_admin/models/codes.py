"""Coded entries (PS3.3 section 8): a value, the scheme that defines it, and its meaning for people."""

from django.core.exceptions import ValidationError
from django.db import models

from mwl_admin.fields import LongStringField, ShortStringField


class CodedEntry(models.Model):
    """Columns of the basic coded entry attributes (PS3.3 table 8.8-1)."""

    code_value = ShortStringField(blank=True, db_index=True)
    coding_scheme_designator = ShortStringField(
        "coding scheme", blank=True, help_text="Who defines the code, e.g. SCT, LN, or 99LOCAL for your own codes."
    )
    coding_scheme_version = ShortStringField(blank=True)
    code_meaning = LongStringField(blank=True)

    class Meta:
        abstract = True

    def clean(self) -> None:
        super().clean()
        require_whole_code(self)


def require_whole_code(entry: models.Model, prefix: str = "") -> None:
    """Refuse a code without its scheme or meaning: all three are Type 1 in an item (PS3.3 table 8.8-1)."""
    names = {
        "value": f"{prefix}code_value",
        "scheme": f"{prefix}coding_scheme_designator",
        "meaning": f"{prefix}code_meaning",
    }
    if not any(getattr(entry, name) for name in names.values()):
        return
    missing = {
        name: ValidationError(f"A code needs its {what} too: value, coding scheme and meaning belong together.", "code")
        for what, name in names.items()
        if not getattr(entry, name)
    }
    if missing:
        raise ValidationError(missing)
