"""The worklist as a Django app."""

from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class WorklistConfig(AppConfig):
    name = "mwl_admin"
    verbose_name = _("Worklist")
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        # Importing them registers the checks.
        from mwl_admin import checks  # noqa: F401
        from mwl_admin.site import open_doors  # noqa: F401

        _name_pages()
        _connect_signals()
        _show_json_plainly()


def _name_pages() -> None:
    from mwl_admin.site import page_names

    page_names.apply()


def _connect_signals() -> None:
    """Connect all that follows a change. This is the only place: importing a module connects nothing."""
    from django.contrib.auth.signals import user_logged_in
    from django.db.models.signals import post_delete, post_migrate, post_save, pre_migrate

    # Models are not loaded before.
    from mwl_admin.changes import installing
    from mwl_admin.devices import registry
    from mwl_admin.images import change_delivery, linking
    from mwl_admin.models import KeptOut, RequestedProcedure, Station
    from mwl_admin.patients import former_ids
    from mwl_admin.patients.change_signal import patient_changed
    from mwl_admin.site import first_password

    pre_migrate.connect(installing.before_migration, dispatch_uid="remove the triggers")
    post_migrate.connect(installing.after_migration, dispatch_uid="install the triggers")
    post_save.connect(linking.link_studies, sender=RequestedProcedure, dispatch_uid="find the entry's studies")
    post_save.connect(registry.station_saved, sender=Station, dispatch_uid="tell of a station")
    post_delete.connect(registry.changed, sender=Station, dispatch_uid="tell of a station")
    post_save.connect(registry.changed, sender=KeptOut, dispatch_uid="tell of a caller kept out")
    post_delete.connect(registry.changed, sender=KeptOut, dispatch_uid="tell of a caller kept out")
    patient_changed.connect(former_ids.remember, dispatch_uid="note the former patient ID")
    patient_changed.connect(change_delivery.note, dispatch_uid="tell the receiver")
    user_logged_in.connect(first_password.note_login, dispatch_uid="first_password")


def _show_json_plainly() -> None:
    """Keep the theme from showing JSON with a style for each word, which the pages' policy forbids."""
    from unfold import fields

    fields.prettify_json = lambda value, encoder: None
