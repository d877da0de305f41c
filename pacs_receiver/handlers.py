"""The receiver as the listener sees it: which contexts, which operations, and what is opened in each worker."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import partial

from sqlalchemy import Engine
from sqlalchemy.exc import SQLAlchemyError

from dicom_listener.access import rule_from
from dicom_listener.dimse import CommandField
from dicom_listener.identity import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME
from dicom_listener.service import Collected, Service, Streamed
from pacs_receiver import deletion, metrics, notify, retention, sop_classes
from pacs_receiver.commitment import Commitments
from pacs_receiver.config import PacsConfig
from pacs_receiver.database import connect
from pacs_receiver.index import IndexWriter
from pacs_receiver.jobs import Job, Jobs, take_lease
from pacs_receiver.peer_book import PeerBook
from pacs_receiver.receive import Receiver
from pacs_receiver.storage import Storage

log = logging.getLogger(__name__)

_DAY = 86400.0
_HOUR = 3600.0


@contextmanager
def build(config: PacsConfig) -> Iterator[Service]:
    """Open storage and index for one worker process and give the service; close them at the end."""
    storage = Storage(config.storage_dir, fsync=config.fsync, min_free_bytes=config.min_free_bytes)
    storage.open()
    storage.remove_leftovers()
    engine = connect(config.database_url)
    index = IndexWriter(engine, retry_seconds=config.index_retry_seconds)
    peers = PeerBook(config.peers_file)
    receiver = Receiver(
        storage=storage,
        index=index,
        engine=engine,
        peers=peers,
        duplicate_policy=config.duplicate_policy,
        implementation_uid=IMPLEMENTATION_CLASS_UID,
        implementation_version=IMPLEMENTATION_VERSION_NAME,
    )
    commitments = Commitments(
        engine=engine,
        storage=storage,
        peers=peers,
        ae_title=config.listener.ae_title,
        verify_hash=config.commit_verify_hash,
        wait_seconds=config.commit_wait_seconds,
        give_up_seconds=config.commit_give_up_days * _DAY,
    )
    jobs = Jobs(_jobs(config, engine, storage, index, commitments))
    with suppress(SQLAlchemyError):  # an index that is away keeps no worker from starting
        _runway(config, engine)
    jobs.start()
    try:
        yield Service(
            transfer_syntaxes=sop_classes.negotiator(unknown=config.accept_unknown, only=config.sop_classes),
            operations={
                CommandField.C_STORE_RQ: Streamed(receiver.open),
                CommandField.N_ACTION_RQ: Collected(commitments.action),
            },
            access=peers.rule(rule_from(config.listener), unknown=config.accept_unknown_peers),
            reload=peers.reload,
        )
    finally:
        jobs.stop()
        index.close()
        engine.dispose()
        storage.close()


def _jobs(
    config: PacsConfig, engine: Engine, storage: Storage, index: IndexWriter, commitments: Commitments
) -> list[Job]:
    jobs = [
        Job("commitment", 1, commitments.report_due),
        Job(
            "complete",
            1,
            partial(
                notify.mark_complete,
                engine,
                stable_seconds=config.study_stable_seconds,
                announce=bool(config.notify_url),
            ),
        ),
        Job("runway", 300, partial(_runway, config, engine)),
        Job("housekeeping", 60, partial(_housekeeping, config, engine, storage, index)),
    ]
    if config.notify_url:
        deliver = partial(notify.deliver_due, engine, url=config.notify_url, secret=config.notify_secret)
        jobs.append(Job("announce", 1, deliver))
    return jobs


def _runway(config: PacsConfig, engine: Engine) -> None:
    runway = retention.runway(engine, config)
    metrics.FREE_BYTES.set(runway.free_bytes)
    metrics.RUNWAY_DAYS.set(float("inf") if runway.days is None else runway.days)


def _housekeeping(config: PacsConfig, engine: Engine, storage: Storage, index: IndexWriter) -> None:
    if not take_lease(engine, "housekeeping", time.time(), _HOUR):
        return
    notify.forget_delivered(engine)
    if config.trash_days:
        deletion.empty_trash(storage, older_than_days=config.trash_days)
    if retention.is_on(config):
        retention.apply(engine, storage, index, config, who="retention")
