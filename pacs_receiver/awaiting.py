"""Starting while the index is away: a line that says so, and another try, until it is there."""

from __future__ import annotations

import contextlib
import logging
import signal
import time
from collections.abc import Callable, Iterator
from types import FrameType

from sqlalchemy.exc import SQLAlchemyError

from pacs_receiver.exceptions import IndexUnavailable
from pacs_receiver.index_trouble import trouble

logger = logging.getLogger(__name__)

_PAUSE = 2.0
_SAY_AGAIN = 60.0
_LOOK_SECONDS = 0.1
_EXIT_INTERRUPTED = 130


def until_index_answers(work: Callable[[], object], *, pause: float = _PAUSE) -> None:
    """Do ``work``, again and again while the index is away; what is an error of ours is raised.

    :raises SystemExit: when it was interrupted from the keyboard, once the attempt at work is over.
    """
    with _interrupts() as interrupts:
        _until_index_answers(work, pause, interrupts)
    if interrupts:
        raise SystemExit(_EXIT_INTERRUPTED)


def _until_index_answers(work: Callable[[], object], pause: float, interrupts: list[int]) -> None:
    said, at = "", 0.0
    while not interrupts:
        try:
            work()
        except (SQLAlchemyError, IndexUnavailable) as error:
            why = trouble(error)
            if not why:
                raise
            if why != said or time.monotonic() - at > _SAY_AGAIN:
                fields = {"because": why, "again_in": pause}
                logger.error("the index can't be used, it is tried again and again", extra={"fields": fields})
                said, at = why, time.monotonic()
            _rest(pause, interrupts)
        else:
            if said:
                logger.info("the index is there")
            return


@contextlib.contextmanager
def _interrupts() -> Iterator[list[int]]:
    """Collect SIGINTs: raised in the middle of an attempt, KeyboardInterrupt is a traceback or lost in a library.

    The second is raised, for an attempt that takes too long.
    """
    came: list[int] = []

    def take(number: int, frame: FrameType | None) -> None:
        if came:
            raise KeyboardInterrupt
        came.append(number)

    before = signal.signal(signal.SIGINT, take)
    try:
        yield came
    finally:
        signal.signal(signal.SIGINT, before)


def _rest(seconds: float, interrupts: list[int]) -> None:
    until = time.monotonic() + seconds
    while not interrupts and (left := until - time.monotonic()) > 0:
        time.sleep(min(left, _LOOK_SECONDS))
