"""AE titles that belong to no station: which of them the worklist provider serves all the same (docs/devices.md)."""

from __future__ import annotations

from mwl_admin.models import Enrolment, KeptOut, ServiceName
from mwl_admin.models.caller import EnrolmentQuerySet
from mwl_admin.worklist.policy import Policy


def is_served(ae_title: str, policy: Policy) -> bool:
    """Tell whether this AE title is served although it belongs to no station.

    Strangers are where the settings say so, and who was served before an update is until staff have answered; whom
    they keep out never is.
    """
    title = ae_title.strip(" ")
    if policy.unknown_see:
        return not KeptOut.objects.filter(ae_title=title).exists()
    if not policy.serve_as_before:
        return False
    return waiting(policy).filter(ae_title=title, service=ServiceName.WORKLIST).exists()


def waiting(policy: Policy) -> EnrolmentQuerySet:
    """Return those that go on being served, as before an update, until staff have answered for them."""
    found = Enrolment.objects.waiting()
    # The receiver tells only of those that it serves.
    return found if policy.serve_as_before else found.filter(service=ServiceName.IMAGES)
