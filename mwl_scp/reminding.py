"""Says in the log, at the start and once a day, whom staff have still to answer for (docs/devices.md, Updates)."""

from __future__ import annotations

import contextlib
import logging
import threading
from collections.abc import Iterator

from django.db import DatabaseError, InterfaceError, connection

from gateway_settings.log import log_failure
from mwl_admin.models import ServiceName
from mwl_admin.worklist import strangers
from mwl_admin.worklist.policy import Policy

logger = logging.getLogger(__name__)

_DAY = 86_400.0
_RETRY = 600.0
_SHOWN = 20


@contextlib.contextmanager
def reminding(policy: Policy) -> Iterator[None]:
    """Remind while the context lasts, in a thread of its own."""
    stopping = threading.Event()
    thread = threading.Thread(target=_run, args=(policy, stopping), name="reminding", daemon=True)
    thread.start()
    try:
        yield
    finally:
        stopping.set()
        thread.join(timeout=10)


def _run(policy: Policy, stopping: threading.Event) -> None:
    pause = 0.0
    while not stopping.wait(pause):
        try:
            remind(policy)
            pause = _DAY
        except (DatabaseError, InterfaceError) as error:
            log_failure(logger, "devices to be enrolled could not be read", error, {})
            pause = _RETRY
        finally:
            connection.close()


def remind(policy: Policy) -> None:
    """Say who is served only as before an update; nothing when there is nobody."""
    found = strangers.waiting(policy).filter(service=ServiceName.WORKLIST)
    titles = list(found.values_list("ae_title", flat=True))
    if titles:
        fields = {"devices": len(titles), "calling": titles[:_SHOWN]}
        logger.warning(
            "devices are served as before the update: add them as stations, or keep them out", extra={"fields": fields}
        )
