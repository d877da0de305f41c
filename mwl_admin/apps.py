"""The worklist as a Django app."""

from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class WorklistConfig(AppConfig):
    name = "mwl_admin"
    verbose_name = _("Worklist")
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        # Registers the checks, and what follows the saving of an entry and a login; models are not loaded before.
        from mwl_admin import checks  # noqa: F401
        from mwl_admin.changes import installing  # noqa: F401
        from mwl_admin.devices import registry  # noqa: F401
        from mwl_admin.images import change_delivery, linking  # noqa: F401
        from mwl_admin.patients import former_ids  # noqa: F401
        from mwl_admin.site import first_password, open_doors  # noqa: F401

        _show_json_plainly()


def _show_json_plainly() -> None:
    """Keep the theme from showing JSON with a style for each word, which the pages' policy forbids."""
    from unfold import fields

    fields.prettify_json = lambda value, encoder: None
