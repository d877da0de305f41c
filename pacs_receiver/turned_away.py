"""Who was turned away, or is served only until staff have answered: noted in the index, and told to the site.

Noting never delays an answer or makes one fail, and whoever calls under ever new names fills neither memory nor table.
"""

from __future__ import annotations

import contextlib
import json
import logging
import threading
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from sqlalchemy import Engine, delete, select, update
from sqlalchemy.exc import IntegrityError, SQLAlchemyError

from gateway_settings.values import ae_title
from pacs_receiver.database import reading
from pacs_receiver.index_tables import turned_away
from pacs_receiver.site_link import SiteAway, SiteLink

if TYPE_CHECKING:
    from dicom_listener.access import AccessRule, Caller, Rejected

logger = logging.getLogger(__name__)

_SECONDS = 2.0
_WAITING = 200
_KEPT = 500
_KEPT_SECONDS = 14 * 86400.0
_REPORTED_AT_ONCE = 100


@dataclass(frozen=True, slots=True)
class RecentCall:
    """What a caller did last, and how often; ``because`` is empty where it is ``served``."""

    ae_title: str
    address: str
    served: bool
    because: str
    at: float
    attempts: int = 1


class TurnedAway:
    """Writes calls in a thread of its own: the first at once, what comes within ``seconds`` together.

    At most ``waiting`` callers wait; beyond that, and when the index refuses, calls are forgotten: the next one tells.
    """

    def __init__(self, engine: Engine, *, seconds: float = _SECONDS, waiting: int = _WAITING) -> None:
        self._engine = engine
        self._seconds = seconds
        self._room = waiting
        self._calls: dict[tuple[str, str, bool], RecentCall] = {}
        self._lock = threading.Lock()
        self._some = threading.Event()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="turned-away", daemon=True)

    @contextlib.contextmanager
    def running(self) -> Iterator[TurnedAway]:
        """Write while the context lasts; what waits at its end is still written."""
        self._thread.start()
        try:
            yield self
        finally:
            self._stopping.set()
            self._some.set()
            self._thread.join(timeout=10)

    def watched(self, rule: AccessRule) -> AccessRule:
        """Return the same rule, whose rejections are noted."""

        def watch(caller: Caller) -> Rejected | None:
            rejected = rule(caller)
            if rejected is not None and not caller.is_own_health_check:
                self.note(caller, because=rejected.because)
            return rejected

        return watch

    def note(self, caller: Caller, *, because: str = "", served: bool = False) -> None:
        """Note a caller. Never waits and never raises."""
        try:
            title = ae_title(caller.calling_ae)
        except ValueError:
            return  # nobody could enter a device with it
        call = RecentCall(title, caller.address.partition("%")[0], served, because, time.time())
        key = call.ae_title, call.address, served
        with self._lock:
            earlier = self._calls.get(key)
            if earlier is not None:
                call = replace(call, attempts=earlier.attempts + 1)
            elif len(self._calls) >= self._room:
                return
            self._calls[key] = call
        self._some.set()

    def _run(self) -> None:
        while not self._stopping.is_set():
            self._some.wait()
            self._write()
            self._stopping.wait(self._seconds)
        self._write()

    def _write(self) -> None:
        with self._lock:
            calls, self._calls = list(self._calls.values()), {}
            self._some.clear()
        if not calls:
            return
        try:
            write(self._engine, calls)
        except SQLAlchemyError as error:
            fields = {"error": type(error).__name__}
            logger.warning("who was turned away could not be noted", extra={"fields": fields})


def write(engine: Engine, calls: Iterable[RecentCall]) -> None:
    """Note calls in the index; those of long ago are forgotten, and the oldest beyond a number."""
    for call in sorted(calls, key=lambda call: (call.ae_title, call.address)):
        values = {"at": call.at, "because": call.because}
        key = {"ae_title": call.ae_title, "address": call.address, "served": call.served}
        with engine.begin() as connection:
            known = connection.execute(
                update(turned_away).filter_by(**key).values(**values, attempts=turned_away.c.attempts + call.attempts)
            )
        if not known.rowcount:
            # another worker may be as quick
            with contextlib.suppress(IntegrityError), engine.begin() as connection:
                connection.execute(turned_away.insert().values(**key, **values, attempts=call.attempts))
    with engine.begin() as connection:
        connection.execute(
            delete(turned_away).where(turned_away.c.at < time.time() - _KEPT_SECONDS, ~turned_away.c.served)
        )
        surplus = select(turned_away.c.id).order_by(turned_away.c.at.desc()).offset(_KEPT).limit(_KEPT)
        connection.execute(delete(turned_away).where(turned_away.c.id.in_(connection.execute(surplus).scalars().all())))


def listed(engine: Engine) -> list[dict[str, Any]]:
    """Return who was turned away or is served for the time being, the latest first."""
    query = select(turned_away).order_by(turned_away.c.at.desc())
    with reading(engine) as connection:
        return [dict(row) for row in connection.execute(query).mappings()]


class Reporter:
    """Tells the site of callers that it hasn't heard of; what it didn't take is told again."""

    def __init__(self, engine: Engine, link: SiteLink) -> None:
        self._engine = engine
        self._link = link
        self._failing = False

    def report(self) -> int:
        """Tell the site; return of how many callers."""
        query = (
            select(turned_away)
            .where(turned_away.c.reported < turned_away.c.attempts)
            .order_by(turned_away.c.at.desc())
            .limit(_REPORTED_AT_ONCE)
        )
        with reading(self._engine) as connection:
            rows = connection.execute(query).mappings().all()
        if not rows:
            return 0
        body = json.dumps({"callers": [_caller(row) for row in rows]}).encode()
        try:
            self._link.ask("POST", body, {"Content-Type": "application/json"})
        except SiteAway as error:
            if not self._failing:
                fields = {"because": str(error)}
                logger.warning(
                    "the site could not be told who was turned away, it is tried again", extra={"fields": fields}
                )
            self._failing = True
            return 0
        self._failing = False
        with self._engine.begin() as connection:
            for row in rows:
                connection.execute(
                    update(turned_away).where(turned_away.c.id == row["id"]).values(reported=row["attempts"])
                )
        return len(rows)


def _caller(row: Mapping[Any, Any]) -> dict[str, object]:
    return {
        "ae_title": row["ae_title"],
        "address": row["address"],
        "at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(row["at"])),
        "because": row["because"],
        "attempts": row["attempts"] - row["reported"],
        "served": row["served"],
    }
