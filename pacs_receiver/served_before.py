"""Devices that an update found at work and that nobody has entered yet: served as before (docs/devices.md, Updates)."""

from __future__ import annotations

import logging
import threading
from typing import TYPE_CHECKING

from sqlalchemy import Engine, select
from sqlalchemy.exc import SQLAlchemyError

from pacs_receiver.database import reading
from pacs_receiver.index_tables import served_before, turned_away

if TYPE_CHECKING:
    from dicom_listener.access import Caller
    from pacs_receiver.peer_book import PeerBook
    from pacs_receiver.turned_away import TurnedAway as Notes

logger = logging.getLogger(__name__)


def titles(engine: Engine) -> frozenset[str]:
    """Return the AE titles that stored images in the 90 days before the update."""
    with reading(engine) as connection:
        return frozenset(connection.execute(select(served_before.c.ae_title)).scalars())


def unanswered(engine: Engine, peers: PeerBook) -> list[str]:
    """Return those about which nobody has decided yet: neither entered nor left unknown on purpose."""
    return sorted(title for title in titles(engine) if peers.get(title) is None and not peers.refuses(title))


def offer(engine: Engine, peers: PeerBook) -> None:
    """Note those who have not called since the update too: the site offers them for enrolment before they do."""
    waiting = unanswered(engine, peers)
    with engine.begin() as connection:
        noted = set(connection.execute(select(turned_away.c.ae_title).where(turned_away.c.served)).scalars())
        arrivals = connection.execute(select(served_before).where(served_before.c.ae_title.in_(waiting))).all()
        for row in arrivals:
            if row.ae_title not in noted:
                connection.execute(
                    turned_away.insert().values(
                        ae_title=row.ae_title, address="", served=True, because="", at=row.last_arrival, attempts=1
                    )
                )


class ServedBefore:
    """Tells whether a caller that nobody entered is served for the time being, and notes that it called."""

    def __init__(self, engine: Engine, peers: PeerBook, noted: Notes) -> None:
        self._engine = engine
        self._peers = peers
        self._noted = noted
        self._lock = threading.Lock()
        self._titles: frozenset[str] | None = None

    def __call__(self, caller: Caller) -> bool:
        if caller.calling_ae not in self._known() or self._peers.refuses(caller.calling_ae):
            return False
        self._noted.note(caller, served=True)
        return True

    def _known(self) -> frozenset[str]:
        """Read the AE titles once; an index that is away lets nobody in, and is asked again."""
        with self._lock:
            if self._titles is None:
                try:
                    self._titles = titles(self._engine)
                except SQLAlchemyError as error:
                    fields = {"error": type(error).__name__}
                    logger.warning("it could not be read who was served before the update", extra={"fields": fields})
                    return frozenset()
            return self._titles
