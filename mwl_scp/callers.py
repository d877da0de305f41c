"""Who called without asking for the worklist: stations that echo, and unknown AE titles that echo or are rejected.

Written aside, so that no answer waits for it or fails by it, and each AE title once in a few seconds at most.
"""

from __future__ import annotations

import contextlib
import datetime
import logging
import threading
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from django.db import DatabaseError, InterfaceError, connection, transaction
from django.db.models import F
from django.utils import timezone

from dicom_listener.log import log_failure
from mwl_admin.models import Station, UnknownCaller
from mwl_admin.mpps.report import legal_ae_title

if TYPE_CHECKING:
    from dicom_listener.access import AccessRule, Caller, Rejected
    from dicom_listener.association import Association

logger = logging.getLogger(__name__)

_SECONDS = 5.0
_WAITING = 200
_KEPT = 500
_KEPT_FOR = datetime.timedelta(days=14)


@dataclass(frozen=True, slots=True)
class Call:
    """What one AE title last did. ``because`` is why it was rejected, empty when it echoed."""

    ae_title: str
    address: str
    at: datetime.datetime
    because: str = ""
    attempts: int = 1


class Callers:
    """Writes calls in a thread of its own: the first at once, what comes within ``seconds`` together.

    At most ``waiting`` AE titles wait; beyond that, and when the database refuses, calls are forgotten: the next tells.
    """

    def __init__(self, *, seconds: float = _SECONDS, waiting: int = _WAITING) -> None:
        self._seconds = seconds
        self._room = waiting
        self._calls: dict[tuple[str, bool], Call] = {}
        self._lock = threading.Lock()
        self._some = threading.Event()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="callers", daemon=True)

    @contextlib.contextmanager
    def running(self) -> Iterator[Callers]:
        """Write while the context lasts; what waits at its end is still written."""
        self._thread.start()
        try:
            yield self
        finally:
            self._stopping.set()
            self._some.set()
            self._thread.join(timeout=10)

    def echoed(self, association: Association) -> None:
        """Take note of a C-ECHO that was answered. Never waits and never raises."""
        if not association.is_own_health_check:
            self._note(association.calling_ae, association.address)

    def watched(self, rule: AccessRule) -> AccessRule:
        """Return the same rule, whose rejections are taken note of."""

        def watch(caller: Caller) -> Rejected | None:
            rejected = rule(caller)
            if rejected is not None and not caller.is_own_health_check:
                self._note(caller.calling_ae, caller.address, rejected.because)
            return rejected

        return watch

    def _note(self, ae_title: str, address: str, because: str = "") -> None:
        call = Call(ae_title.strip(" "), address, timezone.now(), because)
        key = call.ae_title, bool(because)
        with self._lock:
            earlier = self._calls.get(key)
            if earlier is not None:
                call = replace(call, attempts=earlier.attempts + 1)
            elif len(self._calls) >= self._room:
                return
            self._calls[key] = call
        self._some.set()

    def _run(self) -> None:
        try:
            while not self._stopping.is_set():
                self._some.wait()
                self._write()
                self._stopping.wait(self._seconds)
            self._write()
        finally:
            connection.close()

    def _write(self) -> None:
        with self._lock:
            calls, self._calls = list(self._calls.values()), {}
            self._some.clear()
        if not calls:
            return
        try:
            connection.close_if_unusable_or_obsolete()
            write(calls)
        except (DatabaseError, InterfaceError) as error:
            log_failure(logger, "callers could not be recorded", error, {"callers": len(calls)})
            connection.close()


def write(calls: Iterable[Call]) -> None:
    """Note stations' echoes, and the AE titles that belong to no station; those of long ago are forgotten."""
    # Peers call themselves what they like; always in one order, so that two workers take turns and wait for none.
    legal = [call for call in calls if legal_ae_title(call.ae_title)]
    with transaction.atomic():
        unknown = [call for call in sorted(legal, key=lambda call: (call.ae_title, call.at)) if not _is_station(call)]
        for call in unknown:
            _remember(call)
        if unknown:
            _forget_some()


def _is_station(call: Call) -> bool:
    stations = Station.objects.filter(ae_title=call.ae_title)
    if call.because:
        return stations.exists()
    return bool(stations.update(last_echo_at=call.at))


def _remember(call: Call) -> None:
    values = {
        "address": call.address.partition("%")[0] or None,
        "last_seen_at": call.at,
        "rejected_because": call.because[:64],
    }
    known = UnknownCaller.objects.filter(ae_title=call.ae_title)
    if not known.update(**values, attempts=F("attempts") + call.attempts):
        UnknownCaller.objects.get_or_create(ae_title=call.ae_title, defaults={**values, "attempts": call.attempts})


def _forget_some() -> None:
    UnknownCaller.objects.filter(last_seen_at__lt=timezone.now() - _KEPT_FOR).delete()
    # Whoever calls under ever new names fills no table.
    surplus = list(UnknownCaller.objects.order_by("-last_seen_at").values_list("pk", flat=True)[_KEPT : _KEPT * 2])
    if surplus:
        UnknownCaller.objects.filter(pk__in=surplus).delete()
