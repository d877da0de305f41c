"""When a stored point in time has come, also one that was stored while the clock was ahead."""

from __future__ import annotations

from sqlalchemy import ColumnElement, Engine, or_, select, update

from pacs_receiver.database import reading
from pacs_receiver.index_tables import study

SKEW_SECONDS = 60.0
"""How far the clocks of two machines that share an index may differ."""


def has_come(column: ColumnElement[float], now: float, *, longest: float) -> ColumnElement[bool]:
    """Tell whether a time is over; ``longest`` is how far ahead, in seconds, anybody sets one.

    What lies further ahead was written by a clock that was wrong: waiting for it would take until that date.
    """
    return or_(column <= now, column > now + longest + SKEW_SECONDS)


def mend_arrivals(engine: Engine, now: float) -> int:
    """Set the last arrival of studies to ``now`` where it lies in the future; return how many those were."""
    is_ahead = study.c.last_arrival > now + SKEW_SECONDS
    with reading(engine) as connection:
        if connection.execute(select(study.c.id).where(is_ahead).limit(1)).first() is None:
            return 0
    with engine.begin() as connection:
        return connection.execute(update(study).where(is_ahead).values(last_arrival=now)).rowcount
