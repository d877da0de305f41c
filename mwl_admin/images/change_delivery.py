"""Stored studies follow their patients (IHE RAD, Patient Information Reconciliation): the site's side of it.

Each change of a patient is written down in its own transaction, and sent to the receiver by the command
``change-patient`` (docs/devices.md) until it is taken: in the order in which they were made, and by one process at a
time. A repeat is the same as once, by the change's ID.
"""

from __future__ import annotations

import datetime
import logging
import threading
from typing import Any

from django.conf import settings
from django.db import DatabaseError, InterfaceError, connection, transaction
from django.db.models import Q
from django.utils import timezone

from mwl_admin.images.receiver_commands import CommandError, send
from mwl_admin.models import OutgoingChange, RequestedProcedure
from mwl_admin.models.received import ALARM_DAYS
from mwl_admin.patients import identity
from mwl_admin.patients.change_signal import ChangeKind, PatientChange
from mwl_admin.patients.identity import Demographics

logger = logging.getLogger(__name__)

COMMAND = "change-patient"
ANSWER_SECONDS = 60.0
KEEP = datetime.timedelta(days=90)
LATE = datetime.timedelta(minutes=10)
STUDIES = 2000
"""Study Instance UIDs that are told with a change, the latest first; more than anybody has orders."""

_CLAIM = datetime.timedelta(seconds=3 * ANSWER_SECONDS)
_LONGEST_PAUSE = 60
_LOOK_SECONDS = 2.0
_NEVER = frozenset({400, 409, 413, 422})


def note(change: PatientChange, **_: Any) -> None:
    """Write a change down for the receiver, in the transaction of the change."""
    OutgoingChange.objects.create(
        body={
            "kind": change.kind.value,
            "before": _person(change.before),
            "after": _person(change.after),
            "issuers": list(identity.issuers(change.before.issuer)),
            "studies": _studies(change),
        }
    )
    transaction.on_commit(deliverer.look)


def _studies(change: PatientChange) -> list[str]:
    if change.kind is not ChangeKind.UPDATED:
        return list(change.study_instance_uids[:STUDIES])
    orders = RequestedProcedure.objects.filter(
        patient__patient_id=change.after.patient_id, patient__issuer_of_patient_id=change.after.issuer
    )
    return list(orders.order_by("-pk").values_list("study_instance_uid", flat=True)[:STUDIES])


def _person(person: Demographics) -> dict[str, str]:
    birth_date = person.birth_date.isoformat().replace("-", "") if person.birth_date else ""
    return {
        "id": person.patient_id.strip(" "),
        "issuer": person.issuer.strip(" "),
        "name": person.name,
        "birth_date": birth_date,
        "sex": person.sex,
    }


def deliver() -> int:
    """Send what waits, the oldest first, until the receiver is away or nothing waits; return how many were taken."""
    taken = 0
    while (change := _claim()) is not None:
        try:
            send(COMMAND, {**change.body, "change": str(change.change_id)}, id=str(change.change_id),
                 seconds=ANSWER_SECONDS)  # fmt: skip
        except CommandError as error:
            if not _put_back(change, error):
                return taken
        else:
            _update(change, delivered_at=timezone.now(), claimed_until=None)
            taken += 1
    return taken


def _claim() -> OutgoingChange | None:
    """Take the oldest change that waits; None when there is none, it is not due, or another process has it."""
    now = timezone.now()
    oldest = OutgoingChange.objects.filter(delivered_at=None, refused="").order_by("pk").first()
    if oldest is None or oldest.next_attempt_at > now:
        return None
    free = Q(claimed_until=None) | Q(claimed_until__lt=now) | Q(claimed_until__gt=now + 2 * _CLAIM)
    mine = OutgoingChange.objects.filter(free, pk=oldest.pk, delivered_at=None, refused="")
    return oldest if mine.update(claimed_until=now + _CLAIM) == 1 else None


def _put_back(change: OutgoingChange, error: CommandError) -> bool:
    """Note that a change was not taken; say whether the next one may go."""
    attempts = change.attempts + 1
    fields = {"change": str(change.change_id), "because": error.reason}
    if error.status in _NEVER:
        logger.error("the receiver refuses a change of a patient", extra={"fields": fields})
        _update(change, refused=error.reason[:200], attempts=attempts, claimed_until=None)
        return True
    # Once, until it works again.
    level = logging.DEBUG if change.attempts else logging.WARNING
    logger.log(level, "the receiver could not be told of a change of a patient", extra={"fields": fields})
    pause = datetime.timedelta(seconds=min(2 ** min(attempts, 10), _LONGEST_PAUSE))
    _update(change, attempts=attempts, next_attempt_at=timezone.now() + pause, claimed_until=None)
    return False


def _update(change: OutgoingChange, **values: Any) -> None:
    OutgoingChange.objects.filter(pk=change.pk).update(**values)


def late(now: datetime.datetime | None = None) -> int:
    """Count the changes that stored studies don't follow: not taken for ten minutes, or refused in the last weeks."""
    if not settings.PACS_COMMAND_URL:
        return 0  # no receiver of this site's, and nobody to wait for
    now = now or timezone.now()
    waiting = Q(delivered_at=None, refused="", created_at__lt=now - LATE)
    refused = ~Q(refused="") & Q(created_at__gte=now - datetime.timedelta(days=ALARM_DAYS))
    return OutgoingChange.objects.filter(waiting | refused).count()


def prune(now: datetime.datetime) -> int:
    """Forget changes that were taken long ago; return how many."""
    return OutgoingChange.objects.filter(delivered_at__lt=now - KEEP).delete()[0]


class Deliverer:
    """Delivers in a thread of the site's process: as soon as a change is committed, and every two seconds."""

    def __init__(self) -> None:
        self._wanted = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Begin, once for each process, and not at all where no receiver is set."""
        if settings.PACS_COMMAND_URL and self._thread is None:
            self._thread = threading.Thread(target=self._run, name="patient-changes", daemon=True)
            self._thread.start()

    def look(self) -> None:
        """Look now; it neither waits nor raises."""
        self._wanted.set()

    def _run(self) -> None:
        failing = False
        while True:
            self._wanted.wait(_LOOK_SECONDS)
            self._wanted.clear()
            try:
                deliver()
                failing = False
            except (DatabaseError, InterfaceError) as error:
                level = logging.DEBUG if failing else logging.WARNING
                fields = {"error": type(error).__name__}
                logger.log(level, "changes of patients could not be read", extra={"fields": fields})
                failing = True
            finally:
                connection.close()


deliverer = Deliverer()
