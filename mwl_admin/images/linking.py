"""Images that came before their entry was made: an emergency is examined first and entered afterwards."""

from __future__ import annotations

from typing import Any

from django.db.models.signals import post_save
from django.dispatch import receiver

from mwl_admin.models import ReceivedStudy, RequestedProcedure


@receiver(post_save, sender=RequestedProcedure, dispatch_uid="find the entry's studies")
def link_studies(instance: RequestedProcedure, raw: bool = False, **_: Any) -> None:
    """Give an entry that is made, or numbered anew, the studies that have been waiting for it."""
    if not raw:
        ReceivedStudy.objects.find_entries(instance)
