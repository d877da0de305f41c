"""A receiver in the test's own process, and one as a real process."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from sqlalchemy import Engine

from pacs_receiver.config import DuplicatePolicy
from pacs_receiver.config import database_url as parse_database_url
from pacs_receiver.database import connect, migrate
from pacs_receiver.index import IndexWriter
from pacs_receiver.peer_book import PeerBook
from pacs_receiver.receive import Receiver
from pacs_receiver.storage import Storage
from tests.pacs_receiver.process import ReceiverProcess


@dataclass
class House:
    """A receiver with what belongs to it."""

    receiver: Receiver
    storage: Storage
    engine: Engine
    index: IndexWriter

    @property
    def files(self) -> list[Path]:
        """Stored instances."""
        return sorted(self.storage.root.glob("??/*/*/*.dcm"))

    @property
    def conflicts(self) -> list[Path]:
        return sorted((self.storage.root / "conflicts").iterdir())

    @property
    def temporary(self) -> list[Path]:
        return [path for path in (self.storage.root / "incoming").glob("*/*") if path.name != ".lock"]


OpenHouse = Callable[..., House]


@contextmanager
def house_at(folder: Path, url: str, policy: DuplicatePolicy = "keep-first") -> Iterator[House]:
    parsed = parse_database_url(url)
    migrate(parsed)
    storage = Storage(folder)
    storage.open()
    engine = connect(parsed)
    index = IndexWriter(engine, retry_seconds=5)
    receiver = Receiver(
        storage=storage,
        index=index,
        engine=engine,
        peers=PeerBook(None),
        duplicate_policy=policy,
        implementation_uid="2.25.4711",
        implementation_version="TEST_1",
    )
    try:
        yield House(receiver, storage, engine, index)
    finally:
        index.close()
        engine.dispose()
        storage.close()


@pytest.fixture
def open_house(tmp_path: Path) -> Iterator[OpenHouse]:
    """Open as many receivers as needed on one storage and one index (SQLite unless ``url`` says otherwise)."""
    with ExitStack() as stack:

        def open_one(policy: DuplicatePolicy = "keep-first", url: str = "") -> House:
            default = f"sqlite:///{tmp_path / 'index.sqlite3'}"
            return stack.enter_context(house_at(tmp_path / "storage", url or default, policy))

        yield open_one


@pytest.fixture
def house(open_house: OpenHouse, database_url: str) -> House:
    """A receiver on each kind of database."""
    return open_house(url=database_url)


StartReceiver = Callable[..., ReceiverProcess]


@pytest.fixture
def start_receiver(tmp_path: Path) -> Iterator[StartReceiver]:
    """Start receivers as real processes, each stopped at the end: ``start_receiver(PACS_WORKERS="2")``."""
    started: list[ReceiverProcess] = []

    def start(name: str = "var", **settings: str) -> ReceiverProcess:
        process = ReceiverProcess(tmp_path / name, settings)
        started.append(process)
        process.start()
        return process

    yield start
    for process in started:
        process.kill()
