"""A line in the history of an entry for what was done on the site's own pages."""

from django.contrib.admin.models import CHANGE, LogEntry
from django.db.models import Model
from django.http import HttpRequest


def note_change(request: HttpRequest, entry: Model, what: str) -> None:
    """Note that this person changed an entry, and in what."""
    if request.user.pk is not None:
        LogEntry.objects.log_actions(request.user.pk, [entry], CHANGE, what, single_object=True)
