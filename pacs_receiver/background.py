"""The process beside the workers that does what need not be done while a modality waits, and costs them nothing."""

from __future__ import annotations

import logging
import os
import signal
import socket
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from typing import Any
from urllib.parse import urljoin

from sqlalchemy import Engine
from sqlalchemy.exc import SQLAlchemyError

from gateway_settings.private import tighten_below
from pacs_receiver import (
    aside,
    conflict_commands,
    deletion,
    metrics,
    notify,
    patient_changes,
    queries,
    retention,
    served_before,
)
from pacs_receiver.command_server import CommandServer
from pacs_receiver.commands import Command, Commands, TryLater
from pacs_receiver.commitment_jobs import CommitmentJobs
from pacs_receiver.config import PacsConfig
from pacs_receiver.index import IndexWriter
from pacs_receiver.index_access import open_engine, open_writer
from pacs_receiver.jobs import Job, Jobs, take_lease
from pacs_receiver.peer_book import PeerBook
from pacs_receiver.registry import BadRegistry, KeptRegistry, RegistryFetcher
from pacs_receiver.site_link import SiteAway, SiteLink
from pacs_receiver.storage import Storage
from pacs_receiver.turned_away import Reporter

logger = logging.getLogger(__name__)

_HOUR = 3600.0
_DAY = 24 * _HOUR
_NICENESS = 5  # whoever waits for an answer comes first
_REPORT_SECONDS = 5.0
_UNSETTLED_SECONDS = 5.0
_FREE_SPACE_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class JobResources:
    """What the jobs work with."""

    config: PacsConfig
    engine: Engine
    storage: Storage
    index: IndexWriter
    peers: PeerBook
    fetcher: RegistryFetcher | None
    commands: Commands


def run(config: PacsConfig, commands_socket: socket.socket, lifeline: int) -> None:
    """Work until SIGTERM, or until the master is gone."""
    os.nice(_NICENESS)
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    threading.Thread(target=_follow, args=(lifeline, stop), daemon=True).start()
    with _means(config) as means:
        with suppress(SQLAlchemyError):  # an index that is away keeps nothing from starting
            _runway(config, means.engine)
            if config.needs_answers:
                served_before.offer(means.engine, means.peers)
        jobs = Jobs(_jobs(means))
        jobs.start()
        server = CommandServer(commands_socket, config.notify_secret, means.commands.carry_out)
        with server.running():
            stop.wait()
        jobs.stop()


def _follow(lifeline: int, stop: threading.Event) -> None:
    os.read(lifeline, 1)
    stop.set()


@contextmanager
def _means(config: PacsConfig) -> Iterator[JobResources]:
    storage = Storage(config.storage_dir, fsync=config.fsync, min_free_bytes=config.min_free_bytes)
    storage.open()
    engine = open_engine(config)
    index = open_writer(config, engine)
    fetcher = _fetcher(config)
    try:
        yield JobResources(
            config=config,
            engine=engine,
            storage=storage,
            index=index,
            peers=PeerBook(config.peers_file, config.registry_file),
            fetcher=fetcher,
            commands=Commands(engine, _commands(fetcher, engine, storage, index)),
        )
    finally:
        index.close()
        engine.dispose()
        storage.close()


def _fetcher(config: PacsConfig) -> RegistryFetcher | None:
    if config.registry_file is None:
        return None
    return RegistryFetcher(SiteLink(config.peers_url, config.notify_secret), KeptRegistry(config.registry_file))


def _commands(
    fetcher: RegistryFetcher | None, engine: Engine, storage: Storage, index: IndexWriter
) -> dict[str, Command]:
    """The commands by name: an entry here and a row in docs/devices.md make a new one."""
    return {
        "refresh-devices": partial(_refresh_devices, fetcher),
        **conflict_commands.table(engine, storage, index),
        "change-patient": partial(patient_changes.take, engine, storage),
    }


def _refresh_devices(fetcher: RegistryFetcher | None, _wish: Mapping[str, Any]) -> Mapping[str, Any]:
    if fetcher is None:
        raise TryLater("No list of devices is fetched: PACS_PEERS_URL is not set.")
    try:
        return {"devices": fetcher.refresh()}
    except (SiteAway, BadRegistry) as error:
        raise TryLater(f"The list of devices could not be had: {error}") from error


def _jobs(means: JobResources) -> list[Job]:
    config, engine = means.config, means.engine
    commitments = CommitmentJobs.of(config, engine, means.storage, means.peers)
    jobs = [
        Job("commitment-check", 0.2, commitments.prepare_awaited),
        Job("commitment", 1, commitments.report_due),
        Job("complete", 1, partial(_complete, means)),
        Job("free-space", _FREE_SPACE_SECONDS, partial(_free_space, config), at_once=True),
        Job("runway", 300, partial(_runway, config, engine)),
        Job("unsettled", _UNSETTLED_SECONDS, partial(_unsettled, means), at_once=True),
        Job("housekeeping", 60, partial(_housekeeping, means)),
        Job("private", _DAY, partial(_close_files, config), at_once=True),
    ]
    if config.notify_url:
        deliver = partial(notify.deliver_due, engine, url=config.notify_url, secret=config.notify_secret)
        jobs.append(Job("announce", 1, deliver))
    if means.fetcher is not None:
        jobs.append(Job("devices", config.peers_seconds, means.fetcher.keep_fresh, at_once=True))
        link = SiteLink(urljoin(config.peers_url, "turned-away"), config.notify_secret)
        jobs.append(Job("turned-away", _REPORT_SECONDS, Reporter(engine, link).report))
    return jobs


def _complete(means: JobResources) -> None:
    """Whoever is told of a study is told whose it is now."""
    config, engine = means.config, means.engine
    patient_changes.follow(engine)
    notify.mark_complete(
        engine, stable_seconds=config.study_stable_seconds, announce=bool(config.notify_url), root=means.storage.root
    )


def _unsettled(means: JobResources) -> None:
    metrics.SET_ASIDE.set(len(aside.newer(means.storage.root)))
    metrics.MIXED_UP.set(queries.mixed_up(means.engine))


def _close_files(config: PacsConfig) -> None:
    """Close what an older version, or a restored backup, left open to others: all image files, while others serve."""
    found = tighten_below(config.data_dir) + tighten_below(config.storage_dir)
    if found:
        fields = {"paths": found}
        logger.info(
            "files and folders were open to others on this machine, and are no longer", extra={"fields": fields}
        )


def _free_space(config: PacsConfig) -> None:
    metrics.FREE_BYTES.set(retention.free_bytes(config))


def _runway(config: PacsConfig, engine: Engine) -> None:
    runway = retention.runway(engine, config)
    metrics.RUNWAY_DAYS.set(float("inf") if runway.days is None else runway.days)


def _housekeeping(means: JobResources) -> None:
    config, engine = means.config, means.engine
    if not take_lease(engine, "housekeeping", time.time(), _HOUR):
        return
    notify.forget_delivered(engine)
    means.commands.forget_old()
    CommitmentJobs.of(config, engine, means.storage, means.peers).forget_old()
    if config.trash_days:
        deletion.empty_trash(means.storage, older_than_days=config.trash_days)
    if retention.is_on(config):
        retention.apply(engine, means.storage, means.index, config, who="retention")
