"""Breaking the receiver, and looking for what it acknowledged: the short form runs as tests, the long one by hand.

``python -m tests.pacs_receiver.torture --kills 200`` prints figures for docs/reliability.md.
"""

from __future__ import annotations

import argparse
import random
import shutil
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import select

from pacs_receiver.config import database_url
from pacs_receiver.database import connect, reading
from pacs_receiver.index_tables import instance, series, study
from tests.pacs_receiver.load import Acknowledged, Load, stored_digests, temporary_files
from tests.pacs_receiver.process import ReceiverProcess
from tests.postgres import PostgresServer
from tests.waiting import wait_until


@dataclass(frozen=True)
class Figures:
    """What a torture came to."""

    blows: int
    acknowledged: int
    refused: int
    stored: int
    lost: int
    changed: int
    not_indexed: int
    miscounted: int
    leftovers: int
    seconds: float

    @property
    def is_flawless(self) -> bool:
        return self.lost == self.changed == self.not_indexed == self.miscounted == self.leftovers == 0


def _more(acknowledged: Acknowledged, count: int) -> None:
    least = len(acknowledged) + count
    wait_until(lambda: len(acknowledged) >= least, timeout=90, what=f"{count} more instances are acknowledged")


def judge(receiver: ReceiverProcess, acknowledged: Acknowledged, *, blows: int, began: float) -> Figures:
    """Compare what was acknowledged with files and index of a receiver that has just started again."""
    stored = stored_digests(receiver.storage)
    url = database_url(
        receiver.environment.get("PACS_DATABASE_URL", f"sqlite:///{receiver.data_dir}/pacs/index.sqlite3")
    )
    engine = connect(url)
    with reading(engine) as connection:
        rows = {
            row.sop_instance_uid: bytes(row.sha256)
            for row in connection.execute(select(instance.c.sop_instance_uid, instance.c.sha256))
        }
        of_series = connection.execute(select(instance.c.series)).scalars().all()
        counted = dict(connection.execute(select(series.c.id, series.c.instance_count)).all())
        by_study = connection.execute(select(study.c.instance_count)).scalars().all()
    engine.dispose()
    miscounted = sum(1 for key, count in counted.items() if of_series.count(key) != count)
    miscounted += sum(by_study) != len(rows)
    return Figures(
        blows=blows,
        acknowledged=len(acknowledged),
        refused=len(acknowledged.refused),
        stored=len(stored),
        lost=sum(uid not in stored for uid in acknowledged.digests),
        changed=sum(stored.get(uid, digest) != digest for uid, digest in acknowledged.digests.items()),
        not_indexed=sum(rows.get(uid) != digest for uid, digest in acknowledged.digests.items()),
        miscounted=miscounted,
        leftovers=len(temporary_files(receiver.storage)),
        seconds=time.monotonic() - began,
    )


def kill_under_load(
    receiver: ReceiverProcess, kills: int, *, seed: int = 1, say: Callable[[str], object] = lambda _line: None
) -> Figures:
    """SIGKILL a receiver at random moments while four senders store, start it again each time, then judge."""
    chance = random.Random(seed)
    acknowledged = Acknowledged()
    began = time.monotonic()
    pause = threading.Event()
    receiver.start()
    with Load(lambda: receiver.port, acknowledged) as load:
        for number in range(kills):
            # some kills come right after the start, some well within the work
            _more(acknowledged, chance.choice((1, 1, 5, 40)))
            pause.wait(chance.random() * 0.02)
            receiver.kill()
            receiver.start()
            if (number + 1) % 10 == 0:
                say(f"{number + 1} kills, {len(acknowledged)} acknowledged, {time.monotonic() - began:.0f} s")
        receiver.kill()
    assert not load.failures, load.failures
    receiver.start()
    figures = judge(receiver, acknowledged, blows=kills, began=began)
    receiver.stop()
    return figures


def kill_workers_under_load(receiver: ReceiverProcess, kills: int) -> Figures:
    """SIGKILL one worker at a time; the port stays open."""
    chance = random.Random(2)
    acknowledged = Acknowledged()
    began = time.monotonic()
    receiver.start()
    with Load(lambda: receiver.port, acknowledged) as load:
        for _ in range(kills):
            _more(acknowledged, 20)
            chance.choice(receiver.workers()).kill()
        wait_until(receiver.is_healthy, timeout=60)
    assert not load.failures, load.failures
    receiver.kill()
    receiver.start()
    figures = judge(receiver, acknowledged, blows=kills, began=began)
    receiver.stop()
    return figures


def kill_database_under_load(receiver: ReceiverProcess, server: PostgresServer, kills: int) -> Figures:
    """SIGKILL the database server under load and start it again."""
    acknowledged = Acknowledged()
    began = time.monotonic()
    receiver.start()
    with Load(lambda: receiver.port, acknowledged) as load:
        for number in range(kills):
            _more(acknowledged, 50)
            if number % 2:
                server.stop()
            else:
                server.kill()
            server.start()
        _more(acknowledged, 50)
    assert not load.failures, load.failures
    receiver.kill()
    receiver.start()
    figures = judge(receiver, acknowledged, blows=kills, began=began)
    receiver.stop()
    return figures


def _on_sqlite(folder: Path, kills: int, say: Callable[[str], object]) -> dict[str, Figures]:
    return {
        "receiver killed, SQLite": kill_under_load(ReceiverProcess(folder / "sqlite"), kills, say=say),
        "one worker killed, SQLite": kill_workers_under_load(ReceiverProcess(folder / "workers"), kills // 4),
    }


def _on_postgresql(
    folder: Path, kills: int, database_kills: int, say: Callable[[str], object], *, fsync: bool
) -> dict[str, Figures]:
    server = PostgresServer(fsync=fsync)
    name = "PostgreSQL with fsync" if fsync else "PostgreSQL"
    try:
        receivers = [
            ReceiverProcess(folder / what, {"PACS_DATABASE_URL": server.create_database()})
            for what in ("postgres", "database")
        ]
        return {
            f"receiver killed, {name}": kill_under_load(receivers[0], kills, say=say),
            f"{name} killed or stopped": kill_database_under_load(receivers[1], server, database_kills),
        }
    finally:
        server.remove()


def main() -> int:
    """Run the long form and print a Markdown table."""
    parser = argparse.ArgumentParser(description="Kill the receiver and its database under load.")
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--database-kills", type=int, default=20)
    parser.add_argument("--database", choices=("sqlite", "postgresql"), action="append", help="default: both")
    parser.add_argument("--postgresql-fsync", action="store_true", help="let PostgreSQL flush what it commits")
    parser.add_argument("--folder", type=Path, help="where the data goes; removed afterwards")
    options = parser.parse_args()
    databases = options.database or ["sqlite", "postgresql"]
    folder = Path(tempfile.mkdtemp(prefix="torture-", dir=options.folder))
    results: dict[str, Figures] = {}

    def say(line: str) -> None:
        print(line, file=sys.stderr, flush=True)

    try:
        if "sqlite" in databases:
            results |= _on_sqlite(folder, options.kills, say)
        if "postgresql" in databases:
            fsync = options.postgresql_fsync
            results |= _on_postgresql(folder, options.kills, options.database_kills, say, fsync=fsync)
    finally:
        shutil.rmtree(folder)
    print(
        "| what | times | acknowledged | refused | stored | lost | changed | not indexed | miscounted | left over | s |"
    )
    print("| -- | -: | -: | -: | -: | -: | -: | -: | -: | -: | -: |")
    for what, found in results.items():
        cells = (found.blows, found.acknowledged, found.refused, found.stored, found.lost, found.changed,
                 found.not_indexed, found.miscounted, found.leftovers, round(found.seconds))  # fmt: skip
        print(f"| {what} | {' | '.join(map(str, cells))} |")
    return 0 if all(found.is_flawless for found in results.values()) else 1


if __name__ == "__main__":
    sys.exit(main())
