"""Starting while the index is away: a line that says so, and another try, until it is there."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

from sqlalchemy.exc import SQLAlchemyError

from pacs_receiver.exceptions import IndexUnavailable
from pacs_receiver.index_trouble import trouble

logger = logging.getLogger(__name__)

_PAUSE = 2.0
_SAY_AGAIN = 60.0
_EXIT_INTERRUPTED = 130


def until_index_answers(work: Callable[[], object], *, pause: float = _PAUSE) -> None:
    """Do ``work``, again and again while the index is away; what is an error of ours is raised."""
    said, at = "", 0.0
    while True:
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
            _sleep(pause)
        else:
            if said:
                logger.info("the index is there")
            return


def _sleep(seconds: float) -> None:
    try:
        time.sleep(seconds)
    except KeyboardInterrupt:
        raise SystemExit(_EXIT_INTERRUPTED) from None
