"""What the site has no use for any more: deleted now and then, by the worklist provider, which always runs."""

from __future__ import annotations

import datetime

from axes.models import AccessAttempt
from django.conf import settings
from django.contrib.sessions.models import Session

from mwl_admin.changes import feed
from mwl_admin.images import change_delivery
from mwl_admin.images.arrivals import prune_notices


def _refused_kept() -> datetime.timedelta:
    lockout: datetime.timedelta = settings.AXES_COOLOFF_TIME
    return max(lockout, datetime.timedelta(days=1))


def prune(now: datetime.datetime) -> dict[str, int]:
    """Delete notices and changes of long ago, sessions that have ended, refused logins that lock nobody out any longer.

    Return how many of each. Logins that succeeded are kept: who was in when may be asked years later.
    """
    return {
        "notices": prune_notices(now),
        "changes": feed.prune(now),
        "told_changes": change_delivery.prune(now),
        "sessions": Session.objects.filter(expire_date__lt=now).delete()[0],
        "refused_logins": AccessAttempt.objects.filter(attempt_time__lt=now - _refused_kept()).delete()[0],
    }
