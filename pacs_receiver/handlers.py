"""The receiver as the listener sees it: which contexts, which operations, and what is opened in each worker."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from dicom_listener.access import rule_from
from dicom_listener.dimse import CommandField
from dicom_listener.identity import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME
from dicom_listener.service import Collected, Service, Streamed
from pacs_receiver import sop_classes
from pacs_receiver.commitment import Commitments
from pacs_receiver.commitment_data import REFERENCE_BYTES
from pacs_receiver.config import PacsConfig
from pacs_receiver.index_access import open_engine, open_writer
from pacs_receiver.peer_book import PeerBook
from pacs_receiver.receive import Receiver
from pacs_receiver.served_before import ServedBefore
from pacs_receiver.storage import Storage
from pacs_receiver.turned_away import TurnedAway

_ACTION_BYTES = 4096
"""Bytes of a commitment request beside its references."""


@contextmanager
def build(config: PacsConfig) -> Iterator[Service]:
    """Open storage and index for one worker process and give the service; close them at the end."""
    storage = Storage(config.storage_dir, fsync=config.fsync, min_free_bytes=config.min_free_bytes)
    storage.open()
    storage.remove_leftovers()
    engine = open_engine(config)
    index = open_writer(config, engine)
    peers = PeerBook(config.peers_file, config.registry_file)
    receiver = Receiver(
        storage=storage,
        index=index,
        engine=engine,
        peers=peers,
        duplicate_policy=config.duplicate_policy,
        implementation_uid=IMPLEMENTATION_CLASS_UID,
        implementation_version=IMPLEMENTATION_VERSION_NAME,
        inflated_limit=config.max_inflated_bytes,
        max_nesting=config.listener.limits.nesting,
        refuse_odd=config.refuse_odd,
    )
    commitments = Commitments(
        engine=engine, peers=peers, wait_seconds=config.commit_wait_seconds, max_references=config.commit_max_references
    )
    try:
        with TurnedAway(engine).running() as turned_away:
            rule = peers.rule(
                rule_from(config.listener),
                unknown=config.accept_unknown_peers,
                as_before=ServedBefore(engine, peers, turned_away) if config.serve_as_before else None,
            )
            yield Service(
                transfer_syntaxes=sop_classes.negotiator(unknown=config.accept_unknown, only=config.sop_classes),
                operations={
                    CommandField.C_STORE_RQ: Streamed(receiver.open),
                    CommandField.N_ACTION_RQ: Collected(
                        commitments.action,
                        max_bytes=_ACTION_BYTES + config.commit_max_references * REFERENCE_BYTES,
                        walked=False,
                    ),
                },
                access=turned_away.watched(rule),
                reload=peers.reload,
                association_ended=commitments.ended,
            )
    finally:
        index.close()
        engine.dispose()
        storage.close()
