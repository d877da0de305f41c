"""The receiver's settings, parsed once into a frozen object."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, cast
from urllib.parse import urlsplit

from environs import FileAwareEnv
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError

from dicom_listener.config import (
    ListenerConfig,
    bind_address,
    boolean,
    choice,
    data_dir,
    load_listener,
    non_empty,
    read,
    seconds,
    whole_number,
)
from dicom_listener.devices import is_loopback
from gateway_settings.environment import BadSetting
from gateway_settings.secrets import kept_secret
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
    command_bind: tuple[str, int]
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
    """Read the settings; raise ``BadSetting`` for the first that can't be used."""
    var = data_dir(env)
    listener = load_listener(
        env,
        "PACS",
        name="pacs_receiver",
        ae_title_default="PACS",
        bind="127.0.0.1:4244",
        health_bind="127.0.0.1:8244",
        workers=os.cpu_count() or 1,
    )
    unknown = read(env, "PACS_UNKNOWN_PEERS", choice("auto", "accept", "reject"), "auto")
    peers_url = read(env, "PACS_PEERS_URL", http_url, "")
    return PacsConfig(
        data_dir=var,
        listener=listener,
        database_url=read(env, "PACS_DATABASE_URL", database_url, f"sqlite:///{var}/pacs/index.sqlite3"),
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
        accept_unknown_peers=is_loopback(listener.bind[0]) if unknown == "auto" else unknown == "accept",
        serve_as_before=unknown == "auto",
        command_bind=read(env, "PACS_COMMAND_BIND", bind_address, "127.0.0.1:8248"),
        commit_verify_hash=read(env, "PACS_COMMIT_VERIFY", choice("exists", "hash"), "exists") == "hash",
        commit_max_references=read(env, "PACS_COMMIT_MAX_REFERENCES", whole_number(1, 1_000_000), "100000"),
        commit_wait_seconds=read(env, "PACS_COMMIT_WAIT_SECONDS", seconds, "1"),
        commit_give_up_days=read(env, "PACS_COMMIT_GIVE_UP_DAYS", days, "7"),
        study_stable_seconds=read(env, "PACS_STUDY_STABLE_SECONDS", seconds, "60"),
        notify_url=read(env, "PACS_NOTIFY_URL", http_url, ""),
        notify_secret=link_secret(env, var),
        retention_days=read(env, "PACS_RETENTION_DAYS", days, "0"),
        retention_high_water_percent=read(env, "PACS_RETENTION_HIGH_WATER_PERCENT", whole_number(0, 99), "0"),
        retention_requires=read(env, "PACS_RETENTION_REQUIRES", requirements, "committed,announced"),
        trash_days=read(env, "PACS_TRASH_DAYS", days, "30"),
    )


def link_secret(env: FileAwareEnv, var: Path) -> str:
    """Return ``PACS_NOTIFY_SECRET``; where it isn't set, the one that was made once, by site or receiver."""
    given = read(env, "PACS_NOTIFY_SECRET", str, "")
    path = read(env, "PACS_NOTIFY_SECRET_PATH", Path, f"{var}/link_secret")
    try:
        return given or kept_secret(path)
    except OSError as error:
        raise BadSetting(
            f"PACS_NOTIFY_SECRET: must be set, since none can be kept in {path.parent} ({error.strerror})"
        ) from error
    except ValueError as error:
        raise BadSetting(f"PACS_NOTIFY_SECRET: {error}") from error


def database_url(text: str) -> URL:
    """Parse `sqlite:///path` or `postgres://user:password@host/database`; the driver is chosen here."""
    try:
        url = make_url(text.strip())
    except (ArgumentError, ValueError):
        # the text may hold a password: it is not repeated
        raise ValueError("not a database URL like sqlite:///path or postgres://user:password@host/database") from None
    if url.drivername == "sqlite" and url.database and url.database != ":memory:":
        return url
    if url.drivername in ("postgres", "postgresql", "postgresql+psycopg"):
        return url.set(drivername="postgresql+psycopg")
    raise ValueError("only sqlite:///path and postgres://… are supported")


def sop_class_list(text: str) -> frozenset[str]:
    """Parse comma-separated SOP class UIDs or pynetdicom keywords such as `CTImageStorage`."""
    return frozenset(sop_class_named(part.strip()) for part in text.split(",") if part.strip())


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


def days(text: str) -> float:
    """Parse a number of days, 0 or more."""
    value = float(text)
    if not 0 <= value < 1e5:
        raise ValueError(f"{text!r} is not a number of days")
    return value


def http_url(text: str) -> str:
    """Parse an `http://` or `https://` URL; empty means none."""
    if not text.strip():
        return ""
    parts = urlsplit(text.strip())
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError("not an http:// or https:// URL")
    return text.strip()


def requirements(text: str) -> frozenset[str]:
    """Parse what a study needs before retention may remove it: `committed`, `announced` or both."""
    words = frozenset(part.strip() for part in text.split(",") if part.strip())
    if not words or not words <= {"committed", "announced"}:
        raise ValueError(f"{text!r} is not made of committed and announced")
    return words
