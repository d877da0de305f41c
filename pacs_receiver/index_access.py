"""The index as the settings say it: the engine, and the writer, of one process."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pacs_receiver.database import connect
from pacs_receiver.index import IndexWriter

if TYPE_CHECKING:
    from sqlalchemy import Engine

    from pacs_receiver.config import PacsConfig


def open_engine(config: PacsConfig) -> Engine:
    """Return an engine that waits for another writer as long as an image waits for the index. Not across a fork."""
    return connect(config.database_url, busy_seconds=config.index_retry_seconds)


def open_writer(config: PacsConfig, engine: Engine) -> IndexWriter:
    """Return a writer; the caller closes it."""
    return IndexWriter(
        engine, retry_seconds=config.index_retry_seconds, default_character_set=config.default_character_set
    )
