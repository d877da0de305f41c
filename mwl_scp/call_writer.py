"""Who called without asking for the worklist: stations that echo, strangers that do, and whoever is turned away.

Written aside, so that no answer waits for it or fails by it, and each AE title once in a few seconds at most.
"""

from __future__ import annotations

import contextlib
import logging
import threading
from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

from django.db import DatabaseError, InterfaceError, connection, transaction
from django.utils import timezone

from dicom_listener.access import Reason
from gateway_settings.log import log_failure
from mwl_admin.devices.observed_calls import ObservedCall, is_legal, note
from mwl_admin.models import Station

if TYPE_CHECKING:
    from dicom_listener.access import AccessRule, Caller, Rejected
    from dicom_listener.service import AcceptedAssociation

logger = logging.getLogger(__name__)

_SECONDS = 5.0
_WAITING = 200


class CallWriter:
    """Writes calls in a thread of its own: the first at once, what comes within ``seconds`` together.

    At most ``waiting`` AE titles wait; beyond that, and when the database refuses, calls are forgotten: the next tells.
    """

    def __init__(self, *, seconds: float = _SECONDS, waiting: int = _WAITING) -> None:
        self._seconds = seconds
        self._room = waiting
        self._calls: dict[tuple[str, bool], ObservedCall] = {}
        self._lock = threading.Lock()
        self._some = threading.Event()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="callers", daemon=True)

    @contextlib.contextmanager
    def running(self) -> Iterator[CallWriter]:
        """Write while the context lasts; what waits at its end is still written."""
        self._thread.start()
        try:
            yield self
        finally:
            self._stopping.set()
            self._some.set()
            self._thread.join(timeout=10)

    def echoed(self, association: AcceptedAssociation) -> None:
        """Take note of a C-ECHO that was answered. Never waits and never raises."""
        if not association.is_own_health_check:
            self._note(association.calling_ae, association.address)

    def watched(self, rule: AccessRule) -> AccessRule:
        """Return the same rule, whose rejections are taken note of."""

        def watch(caller: Caller) -> Rejected | None:
            rejected = rule(caller)
            if rejected is not None and not _is_for_now(rejected) and not caller.is_own_health_check:
                self._note(caller.calling_ae, caller.address, rejected.because)
            return rejected

        return watch

    def _note(self, ae_title: str, address: str, because: str = "") -> None:
        call = ObservedCall(ae_title.strip(" "), address, timezone.now(), because)
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


def _is_for_now(rejected: Rejected) -> bool:
    return rejected.reason in {Reason.CONGESTION, Reason.LOCAL_LIMIT}


def write(calls: Iterable[ObservedCall]) -> None:
    """Note stations' echoes, strangers', and who was turned away; those of long ago are forgotten."""
    # Always in one order, so that two workers take turns and wait for none.
    legal = sorted((call for call in calls if is_legal(call.ae_title)), key=lambda call: (call.ae_title, call.at))
    with transaction.atomic():
        note(call for call in legal if call.because or not _is_station(call))


def _is_station(call: ObservedCall) -> bool:
    return bool(Station.objects.filter(ae_title=call.ae_title).update(last_echo_at=call.at))
