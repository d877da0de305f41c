"""Work behind the scenes, in threads of one process a machine; what is due is claimed, so that it is done once."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from sqlalchemy import Engine, Table, or_, select, update
from sqlalchemy.exc import IntegrityError, SQLAlchemyError

from pacs_receiver.database import reading
from pacs_receiver.due import has_come
from pacs_receiver.index_tables import lease

logger = logging.getLogger(__name__)

_FIRST_DELAY = 5.0
_LONGEST_DELAY = 3600.0


@dataclass(frozen=True, slots=True)
class Job:
    """``run`` is called every ``interval`` seconds for as long as the process lives; the first time after one, or
    ``at_once``.
    """

    name: str
    interval: float
    run: Callable[[], object]
    at_once: bool = False


class Jobs:
    """The threads of the jobs."""

    def __init__(self, jobs: Iterable[Job]) -> None:
        self._stop = threading.Event()
        self._threads = [
            threading.Thread(target=self._repeat, args=(job,), name=f"job-{job.name}", daemon=True) for job in jobs
        ]

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def stop(self, patience: float = 5) -> None:
        """Ask the threads to end, and wait ``patience`` seconds for them: what they leave undone stays due."""
        self._stop.set()
        for thread in self._threads:
            thread.join(patience)

    def _repeat(self, job: Job) -> None:
        failing = False
        wait = 0.0 if job.at_once else job.interval
        while not self._stop.wait(wait):
            wait = job.interval
            try:
                job.run()
                failing = False
            except Exception as error:
                # a job that fails now is tried again; the index may only be away for a moment
                if not failing:
                    logger.log(
                        logging.WARNING if isinstance(error, SQLAlchemyError) else logging.ERROR,
                        "a job failed and goes on trying",
                        extra={"fields": {"job": job.name, "error": type(error).__name__}},
                        exc_info=not isinstance(error, SQLAlchemyError),
                    )
                failing = True


def delay_after(attempts: int) -> float:
    """Seconds to wait after the given number of failed attempts: doubling, up to an hour."""
    return float(min(_FIRST_DELAY * 2 ** min(attempts, 20), _LONGEST_DELAY))


def due(engine: Engine, table: Table, now: float, *, longest_claim: float) -> list[int]:
    """Return the rows of a work table that are due and that nobody has claimed; no claim is longer than that."""
    query = (
        select(table.c.id)
        .where(
            has_come(table.c.next_attempt, now, longest=_LONGEST_DELAY),
            has_come(table.c.claimed_until, now, longest=longest_claim),
        )
        .order_by(table.c.next_attempt)
        .limit(50)
    )
    with reading(engine) as connection:
        return list(connection.execute(query).scalars())


def claim(engine: Engine, table: Table, row_id: int, now: float, seconds: float, *, longest_claim: float) -> bool:
    """Take a row of a work table for ``seconds``; False when another was quicker."""
    with engine.begin() as connection:
        result = connection.execute(
            update(table)
            .where(
                table.c.id == row_id,
                table.c.next_attempt.is_not(None),
                has_come(table.c.claimed_until, now, longest=longest_claim),
            )
            .values(claimed_until=now + seconds)
        )
    return bool(result.rowcount == 1)


def try_again(engine: Engine, table: Table, row_id: int, now: float, attempts: int) -> None:
    """Give a row back after a failed attempt, due after its delay."""
    with engine.begin() as connection:
        connection.execute(
            update(table)
            .where(table.c.id == row_id)
            .values(claimed_until=0, attempts=attempts + 1, next_attempt=now + delay_after(attempts))
        )


def take_lease(engine: Engine, name: str, now: float, seconds: float) -> bool:
    """Take the right to do ``name`` for the next ``seconds``; False when another process has it."""
    with engine.begin() as connection:
        result = connection.execute(
            update(lease)
            .where(lease.c.name == name, or_(lease.c.held_until < now, lease.c.held_until > now + 10 * seconds))
            .values(held_until=now + seconds)
        )
        if result.rowcount == 1:
            return True
        if connection.execute(select(lease.c.name).where(lease.c.name == name)).one_or_none() is not None:
            return False
    try:
        with engine.begin() as connection:
            connection.execute(lease.insert().values(name=name, held_until=now + seconds))
    except IntegrityError:
        return False
    return True
