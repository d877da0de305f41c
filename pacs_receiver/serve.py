"""`python -m pacs_receiver serve`: migrate, reconcile, then answer until told to stop."""

from __future__ import annotations

import logging
from functools import partial

from dicom_listener.health import prepare_metrics
from gateway_settings import log
from gateway_settings.private import tighten_start
from pacs_receiver import served_before
from pacs_receiver.awaiting import until_index_answers
from pacs_receiver.config import PacsConfig
from pacs_receiver.database import database_files, migrate
from pacs_receiver.index_access import open_engine, open_writer
from pacs_receiver.peer_book import PeerBook
from pacs_receiver.reconcile import reconcile
from pacs_receiver.storage import Storage

logger = logging.getLogger(__name__)


def serve(config: PacsConfig) -> int:
    """Run the receiver in the foreground; return the exit status."""
    log.configure(config.listener.log_level, config.listener.log_format)
    prepare_metrics(config.listener.metrics_dir)
    tighten_start(config.data_dir, folders=[config.storage_dir], databases=database_files(config.database_url))
    until_index_answers(partial(migrate, config.database_url))
    until_index_answers(partial(_reconcile, config))
    # prometheus_client decides at its import where the counters live: not before prepare_metrics
    from dicom_listener import workers
    from pacs_receiver import background, handlers, health_checks

    until_index_answers(partial(_say_who_is_served, config))
    commands = workers.listen(config.command_bind, "PACS_COMMAND_BIND")
    checks = {
        "index": health_checks.NowAndThen(partial(health_checks.write_index, config)),
        "storage": health_checks.NowAndThen(
            partial(health_checks.write_storage, config), glance=partial(health_checks.look_at_space, config)
        ),
    }
    companion = workers.Companion("background", partial(background.run, config, commands))
    return workers.run(config.listener, partial(handlers.build, config), health_checks=checks, companions=[companion])


def _say_who_is_served(config: PacsConfig) -> None:
    if config.accept_unknown_peers:
        logger.warning("devices that nobody entered are served, as PACS_UNKNOWN_PEERS and PACS_BIND say")
    if not config.needs_answers:
        return
    engine = open_engine(config)
    try:
        waiting = served_before.unanswered(engine, PeerBook(config.peers_file, config.registry_file))
    finally:
        engine.dispose()
    if waiting:
        fields = {"calling": waiting}
        logger.warning("served as before the update until staff have answered on Stations", extra={"fields": fields})


def _reconcile(config: PacsConfig) -> None:
    storage = Storage(config.storage_dir, fsync=config.fsync)
    storage.open()
    engine = open_engine(config)
    writer = open_writer(config, engine)
    try:
        reconcile(engine, storage, writer)
    finally:
        writer.close()
        engine.dispose()
        storage.close()
