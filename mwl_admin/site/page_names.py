"""The names of the pages' records: one word each, in menu, titles, crumbs, buttons and messages.

The models have DICOM's terms, as the API and the documentation do; the pages say what the desk says. The two stand
beside each other in docs/glossary.md.
"""

from typing import Any, NamedTuple

from django.apps import apps
from django.utils.text import capfirst
from django.utils.translation import gettext_lazy as _


class PageName(NamedTuple):
    """A record's name on the pages: of one, and of many, in small letters (translated when shown)."""

    one: Any
    many: Any


NAMES = {
    "mwl_admin.requestedprocedure": PageName(_("entry"), _("entries")),
    "mwl_admin.scheduledprocedurestep": PageName(_("step"), _("steps")),
    "mwl_admin.performedprocedurestep": PageName(_("examination"), _("examinations")),
    "mwl_admin.worklistquery": PageName(_("query"), _("queries")),
    "auth.user": PageName(_("account"), _("accounts")),
    "auth.group": PageName(_("role"), _("roles")),
}
"""By model, where the desk's word is another than the model's own."""


def apply() -> None:
    """Give the models' pages these names, once all models are loaded.

    Django's admin takes each title, crumb, button and message from the model's options. Migrations do not: they look
    at what the model's class declares.
    """
    for label, name in NAMES.items():
        options = apps.get_model(label)._meta
        options.verbose_name, options.verbose_name_plural = name


def heading(label: str) -> str:
    """Return the title of a model's list, which is also what the menu calls it."""
    return capfirst(str(apps.get_model(label)._meta.verbose_name_plural))
