"""Coded entries (PS3.3 §8): a value, the scheme that defines it, and its meaning for people."""

from django.core.exceptions import ValidationError
from django.db import models
from django.utils.translation import gettext_lazy as _

from mwl_admin.fields import LongStringField, ShortStringField


class CodedEntry(models.Model):
    """Columns of the basic coded entry attributes (PS3.3 table 8.8-1)."""

    code_value = ShortStringField(_("code value"), blank=True, db_index=True)
    coding_scheme_designator = ShortStringField(
        _("coding scheme"),
        blank=True,
        help_text=_("Who defines the code, e.g. SCT, LN, or 99LOCAL for your own codes."),
    )
    coding_scheme_version = ShortStringField(_("coding scheme version"), blank=True)
    code_meaning = LongStringField(_("code meaning"), blank=True)

    class Meta:
        abstract = True

    def clean(self) -> None:
        super().clean()
        require_whole_code(self)


def require_whole_code(entry: models.Model, prefix: str = "") -> None:
    """Refuse a code without its scheme or meaning: all three are Type 1 in an item (PS3.3 table 8.8-1)."""
    texts = {
        f"{prefix}code_value": _("A code needs its value too: value, coding scheme and meaning belong together."),
        f"{prefix}coding_scheme_designator": _(
            "A code needs its scheme too: value, coding scheme and meaning belong together."
        ),
        f"{prefix}code_meaning": _("A code needs its meaning too: value, coding scheme and meaning belong together."),
    }
    if not any(getattr(entry, name) for name in texts):
        return
    missing = {name: ValidationError(text, "code") for name, text in texts.items() if not getattr(entry, name)}
    if missing:
        raise ValidationError(missing)
