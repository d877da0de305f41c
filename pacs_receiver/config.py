"""The receiver's settings, parsed once into a frozen object."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, cast

from environs import FileAwareEnv
from sqlalchemy.engine import URL

from dicom_listener.config import ListenerConfig, load_listener
from gateway_settings import shared
from gateway_settings.addresses import Address
from gateway_settings.databases import database_url as parse_database_url
from gateway_settings.databases import sqlite_url
from gateway_settings.environment import read
from gateway_settings.values import boolean, choice, days, http_url, non_empty, seconds, whole_number, words
from pacs_receiver import character_sets, peers
from pacs_receiver.character_sets import default_character_set
from pacs_receiver.header import INFLATED_LIMIT
from pacs_receiver.sop_classes import sop_class_named

DuplicatePolicy = Literal["keep-first", "refuse", "replace"]

_GIBIBYTE = 1 << 30


@dataclass(frozen=True, slots=True)
class PacsConfig:
    """What the receiver needs to know; sizes in bytes, times in seconds.

    ``registry_file`` is where the site's list of devices is kept, None when none is fetched. ``serve_as_before``:
    whoever was served before devices had to be known goes on until staff have answered.
    """

    data_dir: Path
    listener: ListenerConfig
    database_url: URL
    storage_dir: Path
    fsync: bool
    min_free_bytes: int
    max_inflated_bytes: int
    duplicate_policy: DuplicatePolicy
    refuse_odd: bool
    accept_unknown: bool
    sop_classes: frozenset[str]
    index_retry_seconds: float
    default_character_set: str
    peers_file: Path | None
    peers_url: str
    peers_seconds: float
    registry_file: Path | None
    accept_unknown_peers: bool
    serve_as_before: bool
    command_bind: Address
    commit_verify_hash: bool
    commit_max_references: int
    commit_wait_seconds: float
    commit_give_up_days: float
    study_stable_seconds: float
    notify_url: str
    notify_secret: str
    retention_days: float
    retention_high_water_percent: int
    retention_requires: frozenset[str]
    trash_days: float

    @property
    def needs_answers(self) -> bool:
        """Whether some devices may be served only because they were before an update."""
        return self.serve_as_before and not self.accept_unknown_peers


def load(env: FileAwareEnv) -> PacsConfig:
    """Read the settings.

    :raises BadSetting: for the first that can't be used.
    """
    var = shared.DATA_DIR.read(env)
    listener = load_listener(
        env,
        "PACS",
        name="pacs_receiver",
        ae_title=shared.PACS_AE_TITLE,
        bind=shared.PACS_BIND,
        health_bind=shared.PACS_HEALTH_BIND,
        workers=os.cpu_count() or 1,
    )
    unknown = shared.PACS_UNKNOWN_PEERS.read(env)
    peers_url = read(env, "PACS_PEERS_URL", http_url, "")
    return PacsConfig(
        data_dir=var,
        listener=listener,
        database_url=read(env, "PACS_DATABASE_URL", database_url, sqlite_url(var / "pacs" / "index.sqlite3")),
        storage_dir=Path(read(env, "PACS_STORAGE_DIR", non_empty, f"{var}/pacs/storage")),
        fsync=read(env, "PACS_FSYNC", boolean, "1"),
        min_free_bytes=read(env, "PACS_MIN_FREE_BYTES", whole_number(0), str(_GIBIBYTE)),
        max_inflated_bytes=read(env, "PACS_MAX_INFLATED_BYTES", whole_number(1 << 20), str(INFLATED_LIMIT)),
        duplicate_policy=cast(
            DuplicatePolicy,
            read(env, "PACS_DUPLICATE_POLICY", choice("keep-first", "refuse", "replace"), "keep-first"),
        ),
        refuse_odd=read(env, "PACS_ODD_DATA_SETS", choice("keep", "refuse"), "keep") == "refuse",
        accept_unknown=read(env, "PACS_UNKNOWN_SOP_CLASSES", choice("accept", "refuse"), "accept") == "accept",
        sop_classes=read(env, "PACS_SOP_CLASSES", sop_class_list, ""),
        index_retry_seconds=read(env, "PACS_INDEX_RETRY_SECONDS", seconds, "10"),
        default_character_set=read(env, "PACS_DEFAULT_CHARACTER_SET", default_character_set, character_sets.DEFAULT),
        peers_file=read(env, "PACS_PEERS_FILE", peers_file, ""),
        peers_url=peers_url,
        peers_seconds=read(env, "PACS_PEERS_SECONDS", seconds, "30"),
        registry_file=var / "pacs" / "devices.json" if peers_url else None,
        accept_unknown_peers=listener.bind.is_loopback if unknown == "auto" else unknown == "accept",
        serve_as_before=unknown == "auto",
        command_bind=shared.PACS_COMMAND_BIND.read(env),
        commit_verify_hash=read(env, "PACS_COMMIT_VERIFY", choice("exists", "hash"), "exists") == "hash",
        commit_max_references=read(env, "PACS_COMMIT_MAX_REFERENCES", whole_number(1, 1_000_000), "100000"),
        commit_wait_seconds=read(env, "PACS_COMMIT_WAIT_SECONDS", seconds, "1"),
        commit_give_up_days=read(env, "PACS_COMMIT_GIVE_UP_DAYS", days, "7"),
        study_stable_seconds=read(env, "PACS_STUDY_STABLE_SECONDS", seconds, "60"),
        notify_url=read(env, "PACS_NOTIFY_URL", http_url, ""),
        notify_secret=shared.link_secret(env),
        retention_days=read(env, "PACS_RETENTION_DAYS", days, "0"),
        retention_high_water_percent=read(env, "PACS_RETENTION_HIGH_WATER_PERCENT", whole_number(0, 99), "0"),
        retention_requires=read(env, "PACS_RETENTION_REQUIRES", requirements, "committed,announced"),
        trash_days=read(env, "PACS_TRASH_DAYS", days, "30"),
    )


def database_url(text: str) -> URL:
    """Parse the index's URL for SQLAlchemy; the driver is chosen here.

    :raises ValueError: with what is wrong.
    """
    url = parse_database_url(text)
    if url.is_sqlite:
        return URL.create("sqlite", database=url.name, query=dict(url.options))
    return URL.create(
        "postgresql+psycopg",
        username=url.user or None,
        password=url.password or None,
        host=url.host or None,
        port=url.port,
        database=url.name,
        query=dict(url.options),
    )


def sop_class_list(text: str) -> frozenset[str]:
    """Parse comma-separated SOP class UIDs or pynetdicom keywords such as `CTImageStorage`."""
    return frozenset(map(sop_class_named, words(text)))


def peers_file(text: str) -> Path | None:
    """Parse the name of a peers' file, which must be there and right when the receiver starts."""
    if not text.strip():
        return None
    path = Path(text)
    try:
        peers.parse(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ValueError(f"cannot read {text!r}: {error.strerror}") from None
    return path


def requirements(text: str) -> frozenset[str]:
    """Parse what a study needs before retention may remove it: `committed`, `announced` or both."""
    needed = frozenset(words(text))
    if not needed or not needed <= {"committed", "announced"}:
        raise ValueError(f"{text!r} is not made of committed and announced")
    return needed
