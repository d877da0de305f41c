"""The receiver's settings, parsed once into a frozen object."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, cast

from environs import FileAwareEnv
from pynetdicom import sop_class
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError

from dicom_listener.config import (
    ListenerConfig,
    boolean,
    choice,
    data_dir,
    load_listener,
    non_empty,
    read,
    seconds,
    whole_number,
)
from pacs_receiver import uids

DuplicatePolicy = Literal["keep-first", "refuse", "replace"]

_GIBIBYTE = 1 << 30


@dataclass(frozen=True, slots=True)
class PacsConfig:
    """What the receiver needs to know; sizes in bytes, times in seconds."""

    listener: ListenerConfig
    database_url: URL
    storage_dir: Path
    fsync: bool
    min_free_bytes: int
    duplicate_policy: DuplicatePolicy
    accept_unknown: bool
    sop_classes: frozenset[str]
    index_retry_seconds: float


def load(env: FileAwareEnv) -> PacsConfig:
    """Read the settings; raise :class:`dicom_listener.config.BadSetting` for the first that can't be used."""
    var = data_dir(env)
    return PacsConfig(
        listener=load_listener(
            env,
            "PACS",
            name="pacs_receiver",
            ae_title_default="PACS",
            bind="127.0.0.1:4244",
            health_bind="127.0.0.1:8244",
            workers=os.cpu_count() or 1,
        ),
        database_url=read(env, "PACS_DATABASE_URL", database_url, f"sqlite:///{var}/pacs/index.sqlite3"),
        storage_dir=Path(read(env, "PACS_STORAGE_DIR", non_empty, f"{var}/pacs/storage")),
        fsync=read(env, "PACS_FSYNC", boolean, "1"),
        min_free_bytes=read(env, "PACS_MIN_FREE_BYTES", whole_number(0), str(_GIBIBYTE)),
        duplicate_policy=cast(
            DuplicatePolicy,
            read(env, "PACS_DUPLICATE_POLICY", choice("keep-first", "refuse", "replace"), "keep-first"),
        ),
        accept_unknown=read(env, "PACS_UNKNOWN_SOP_CLASSES", choice("accept", "refuse"), "accept") == "accept",
        sop_classes=read(env, "PACS_SOP_CLASSES", sop_class_list, ""),
        index_retry_seconds=read(env, "PACS_INDEX_RETRY_SECONDS", seconds, "10"),
    )


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
    return frozenset(_sop_class(part.strip()) for part in text.split(",") if part.strip())


def _sop_class(name: str) -> str:
    known: str | None = sop_class._STORAGE_CLASSES.get(name)
    if known is not None:
        return known
    if uids.is_legal(name):
        return name
    raise ValueError(f"{name!r} is neither a storage SOP class keyword nor a UID")
