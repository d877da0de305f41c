"""The receiver as the listener sees it: which contexts, which operations, and what is opened in each worker."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from dicom_listener.access import rule_from
from dicom_listener.dimse import CommandField
from dicom_listener.identity import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME
from dicom_listener.service import Service, Streamed
from pacs_receiver import sop_classes
from pacs_receiver.config import PacsConfig
from pacs_receiver.database import connect
from pacs_receiver.index import IndexWriter
from pacs_receiver.receive import Receiver
from pacs_receiver.storage import Storage


@contextmanager
def build(config: PacsConfig) -> Iterator[Service]:
    """Open storage and index for one worker process and give the service; close them at the end."""
    storage = Storage(config.storage_dir, fsync=config.fsync, min_free_bytes=config.min_free_bytes)
    storage.open()
    storage.remove_leftovers()
    engine = connect(config.database_url)
    index = IndexWriter(engine, retry_seconds=config.index_retry_seconds)
    receiver = Receiver(
        storage=storage,
        index=index,
        engine=engine,
        duplicate_policy=config.duplicate_policy,
        implementation_uid=IMPLEMENTATION_CLASS_UID,
        implementation_version=IMPLEMENTATION_VERSION_NAME,
    )
    try:
        yield Service(
            transfer_syntaxes=sop_classes.negotiator(unknown=config.accept_unknown, only=config.sop_classes),
            operations={CommandField.C_STORE_RQ: Streamed(receiver.open)},
            access=rule_from(config.listener),
        )
    finally:
        index.close()
        engine.dispose()
        storage.close()
