"""What the site has no use for any more, and forgets by itself: in a thread of its process, once an hour."""

from __future__ import annotations

import datetime
import logging
import threading

from axes.models import AccessAttempt
from django.conf import settings
from django.contrib.sessions.models import Session
from django.db import DatabaseError, InterfaceError, connection
from django.utils import timezone

from mwl_admin.changes import feed
from mwl_admin.images import change_delivery
from mwl_admin.images.arrivals import prune_notices

logger = logging.getLogger(__name__)

PAUSE_SECONDS = 3600.0


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


class Cleaner:
    """Deletes in a thread of the site's process, at its start and once an hour.

    Several processes of one site may do so at once: what one has deleted the others don't find.
    """

    def __init__(self) -> None:
        self._thread: threading.Thread | None = None
        self._stopped = threading.Event()

    def start(self) -> None:
        """Begin, once for each process."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="cleanup", daemon=True)
            self._thread.start()

    def stop(self) -> None:
        """End, and wait for what is being deleted."""
        self._stopped.set()
        if self._thread is not None:
            self._thread.join(timeout=10)

    def _run(self) -> None:
        while not self._stopped.is_set():
            try:
                deleted = prune(timezone.now())
            except (DatabaseError, InterfaceError) as error:
                fields = {"error": type(error).__name__}
                logger.warning("old records could not be deleted", extra={"fields": fields})
            else:
                if any(deleted.values()):
                    logger.info("old records deleted", extra={"fields": deleted})
            finally:
                connection.close()
            self._stopped.wait(PAUSE_SECONDS)


cleaner = Cleaner()
