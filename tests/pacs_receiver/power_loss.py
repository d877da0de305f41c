"""Taking the power away under load, and looking for what was acknowledged: the short form runs as a test.

``python -m tests.pacs_receiver.power_loss --cuts 50`` prints figures for docs/reliability.md. Storage and index lie
on a disk with a volatile write cache (:mod:`tests.pacs_receiver.volatile_disk`). At a random moment nothing reaches
it any more; the receiver is killed, the disk comes back with what was flushed and a random part of the rest, and the
receiver is started on it again. ``--setting PACS_FSYNC=0`` shows that losses would be found.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import random
import struct
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path

from rich.console import Console
from rich.progress import Progress
from sqlalchemy import select

from pacs_receiver.config import database_url
from pacs_receiver.database import connect, reading
from pacs_receiver.index_tables import instance, series, study
from tests.pacs_receiver.load import Acknowledged, Load, temporary_files
from tests.pacs_receiver.process import ReceiverProcess
from tests.pacs_receiver.testdata import data_set_of
from tests.pacs_receiver.volatile_disk import MAKE, VolatileDisk, missing_program, why_not
from tests.postgres import PostgresServer
from tests.waiting import wait_until

FULL = 0.4
"""With more of it in use a disk makes way for a new one."""


@dataclass
class Figures:
    """What the cuts came to. All but the first group should be zero."""

    cuts: int = 0
    acknowledged: int = 0
    unanswered: int = 0
    """Stored, though the answer was cut off: whole, and indexed."""
    flushes: int = 0
    kept: int = 0
    torn: int = 0
    dropped: int = 0
    """Writes that were in the disk's cache at a cut, by what became of them."""
    seconds: float = 0

    lost: int = 0
    changed: int = 0
    """Acknowledged, and other bytes now."""
    not_indexed: int = 0
    damaged: int = 0
    """Never acknowledged, and under its final name with other bytes than were sent."""
    without_file: int = 0
    """Rows."""
    miscounted: int = 0
    leftovers: int = 0
    """Temporary files, and what was set aside: nothing here was sent with two contents."""
    file_system: int = 0
    """Disks whose file system is not in order: then the disk is not as disks are, or the file system has a bug."""

    def add(self, faults: _Faults) -> None:
        for name, found in vars(faults).items():
            setattr(self, name, getattr(self, name) + len(found))

    @property
    def is_flawless(self) -> bool:
        return not any((self.lost, self.changed, self.not_indexed, self.damaged, self.without_file, self.miscounted,
                        self.leftovers, self.file_system))  # fmt: skip


class _Machine:
    """What the power goes away from: a receiver, its storage and its index, which are on the disk."""

    def __init__(self, disk: VolatileDisk, folder: Path, database: str, settings: Mapping[str, str]) -> None:
        self.disk = disk
        self._server: PostgresServer | None = None
        url = f"sqlite:///{disk.folder}/index.sqlite3"
        if database == "postgresql":
            # its server is another user
            disk.folder.chmod(0o755)
            self._server = PostgresServer(fsync=True, parent=disk.folder)
            url = self._server.create_database()
        placed = {"PACS_STORAGE_DIR": "{disk}/storage", "PACS_DATABASE_URL": url, **settings}
        self.receiver = ReceiverProcess(
            folder, {name: value.replace("{disk}", str(disk.folder)) for name, value in placed.items()}
        )
        self.gate = threading.Event()

    def port(self) -> int:
        """Give senders the receiver's port, while the gate is open."""
        self.gate.wait()
        return self.receiver.port

    def cut_power(self, seed: int) -> dict[str, int]:
        """Take the power away, turn it on again, and start everything."""
        fate = self.disk.cut_power(seed)
        self.receiver.kill()
        if self._server is not None:
            self._server.kill_all()
        self.disk.restore_power()
        if self._server is not None:
            self._server.start()
        self.receiver.start()
        return fate

    def stop(self) -> None:
        if self.receiver.process is not None:
            self.receiver.kill()
        if self._server is not None:
            self._server.remove()


@dataclass
class _Faults:
    """UIDs by what is wrong with them: a fault that stays is counted once. To be unanswered is none."""

    unanswered: set[str] = field(default_factory=set)
    lost: set[str] = field(default_factory=set)
    changed: set[str] = field(default_factory=set)
    not_indexed: set[str] = field(default_factory=set)
    damaged: set[str] = field(default_factory=set)
    without_file: set[str] = field(default_factory=set)
    miscounted: set[str] = field(default_factory=set)
    leftovers: set[str] = field(default_factory=set)

    def look(self, receiver: ReceiverProcess, acknowledged: Acknowledged) -> None:
        """Compare files and index with what was sent; nobody sends."""
        stored = {path.stem: _digest(path) for path in receiver.storage.glob("??/*/*/*.dcm")}
        rows, self_contradictions = _rows(receiver)
        for uid, digest in acknowledged.digests.items():
            if uid not in stored:
                self.lost.add(uid)
            elif stored[uid] != digest:
                self.changed.add(uid)
            if rows.get(uid) != digest:
                self.not_indexed.add(uid)
        for uid, found in stored.items():
            if uid not in acknowledged.digests:
                (self.unanswered if found == acknowledged.sent[uid] else self.damaged).add(uid)
            if rows.get(uid) != found:
                self.not_indexed.add(uid)
        self.without_file |= rows.keys() - stored.keys()
        self.miscounted |= self_contradictions
        self.leftovers |= {str(path) for path in temporary_files(receiver.storage)}
        self.leftovers |= {str(path) for path in (receiver.storage / "conflicts").iterdir()}


def _digest(path: Path) -> bytes:
    try:
        return hashlib.sha256(data_set_of(path)).digest()
    except struct.error:
        return b"not even a header"


def _rows(receiver: ReceiverProcess) -> tuple[dict[str, bytes], set[str]]:
    """The index's hashes by SOP Instance UID, and the series and studies whose counts are wrong."""
    engine = connect(database_url(receiver.environment["PACS_DATABASE_URL"]))
    with reading(engine) as connection:
        rows = connection.execute(select(instance.c.sop_instance_uid, instance.c.sha256, instance.c.series)).all()
        of_series = connection.execute(
            select(series.c.id, series.c.series_uid, series.c.instance_count, series.c.study)
        ).all()
        of_study = connection.execute(select(study.c.id, study.c.study_uid, study.c.instance_count)).all()
    engine.dispose()
    in_series = Counter(row.series for row in rows)
    in_study: Counter[int] = Counter()
    for row in of_series:
        in_study[row.study] += in_series[row.id]
    wrong = {row.series_uid for row in of_series if in_series[row.id] != row.instance_count}
    wrong |= {row.study_uid for row in of_study if in_study[row.id] != row.instance_count}
    return {row.sop_instance_uid: bytes(row.sha256) for row in rows}, wrong


@dataclass
class Trial:
    """Cutting the power of a receiver, again and again, while four senders store.

    ``folder`` holds what no cut touches (the log); ``settings`` are environment variables of the receiver, in which
    ``{disk}`` stands for the folder that is on the disk.
    """

    folder: Path
    cuts: int
    file_system: str = "ext4"
    database: str = "sqlite"
    settings: Mapping[str, str] = field(default_factory=dict)
    seed: int = 1
    bursts: tuple[int, ...] = (0, 1, 5, 20, 60)
    """How many instances are acknowledged between two cuts, at least; chance takes one."""
    advance: Callable[[int], object] = lambda _count: None
    figures: Figures = field(default_factory=Figures, init=False)

    def __post_init__(self) -> None:
        self._chance = random.Random(self.seed)

    def run(self) -> Figures:
        began = time.monotonic()
        while self.figures.cuts < self.cuts:
            with VolatileDisk(self.file_system) as disk:
                self._wear_out(disk)
        self.figures.seconds = time.monotonic() - began
        return self.figures

    def _wear_out(self, disk: VolatileDisk) -> None:
        """Go on with one disk until it is full, or that was the last cut."""
        machine = _Machine(disk, self.folder, self.database, self.settings)
        acknowledged = Acknowledged()
        faults = _Faults()
        try:
            machine.receiver.start()
            with Load(machine.port, acknowledged) as load:
                try:
                    self._cut_until_full(machine, acknowledged, faults)
                finally:
                    machine.gate.set()
                # it goes on receiving
                _more(acknowledged, 1)
            assert not load.failures, load.failures
            faults.look(machine.receiver, acknowledged)
        finally:
            machine.stop()
        self.figures.acknowledged += len(acknowledged)
        self.figures.add(faults)
        if complaints := disk.check():
            self.figures.file_system += 1
            print(complaints, file=sys.stderr)

    def _cut_until_full(self, machine: _Machine, acknowledged: Acknowledged, faults: _Faults) -> None:
        flushes = 0
        while self.figures.cuts < self.cuts and machine.disk.used < FULL:
            fate = self._cut(machine, acknowledged)
            faults.look(machine.receiver, acknowledged)
            self.figures.cuts += 1
            self.figures.kept += fate["kept"]
            self.figures.torn += fate["torn"]
            self.figures.dropped += fate["dropped"]
            self.figures.flushes += fate["flushes"] - flushes
            flushes = fate["flushes"]
            self.advance(1)

    def _cut(self, machine: _Machine, acknowledged: Acknowledged) -> dict[str, int]:
        """Take the power away at some moment; when everything is back the senders still wait."""
        if self._chance.random() < 0.15:
            # while it still reconciles files and index, perhaps
            machine.receiver.kill()
            machine.receiver.launch()
            _pause(self._chance.random() * 1.5)
        else:
            machine.gate.set()
            _more(acknowledged, self._chance.choice(self.bursts))
            _pause(self._chance.random() * 0.05)
            machine.gate.clear()
        return machine.cut_power(self._chance.getrandbits(32))


def _pause(seconds: float) -> None:
    threading.Event().wait(seconds)


def _more(acknowledged: Acknowledged, count: int) -> None:
    least = len(acknowledged) + count
    wait_until(lambda: len(acknowledged) >= least, timeout=60, what=f"{count} more instances are acknowledged")


def _row(disk: str, settings: Mapping[str, str], found: Figures) -> str:
    what = ", ".join([disk, *(f"`{name}={value}`" for name, value in settings.items())])
    values = [found.cuts, found.acknowledged, found.unanswered, found.flushes,
              f"{found.kept} / {found.torn} / {found.dropped}", found.lost, found.changed, found.not_indexed,
              found.damaged, found.without_file, found.miscounted, found.leftovers, found.file_system,
              round(found.seconds)]  # fmt: skip
    return f"| {what} | {' | '.join(map(str, values))} |"


HEAD = (
    "| disk | cuts | acknowledged | stored besides | flushes | cached writes kept / torn / dropped | lost | changed "
    "| not indexed | damaged | rows without file | miscounted | left over | file system broken | s |\n"
    "| -- |" + " -: |" * 14
)


def _setting(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals:
        raise argparse.ArgumentTypeError("NAME=VALUE is meant")
    return name, value


def main() -> int:
    """Print a Markdown table, or JSON. 0: nothing acknowledged was lost, 1: something was, 2: not on this machine."""
    parser = argparse.ArgumentParser(description="Take the power away from the receiver's disk under load.")
    parser.add_argument("--cuts", type=int, default=50)
    parser.add_argument("--file-system", choices=tuple(MAKE), action="append", help="default: ext4; may be repeated")
    parser.add_argument("--database", choices=("sqlite", "postgresql"), default="sqlite", help="default: sqlite")
    parser.add_argument("--setting", type=_setting, action="append", default=[], metavar="NAME=VALUE",
                        help="a variable of the receiver's environment; {disk} is its disk")  # fmt: skip
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    settings = dict(options.setting)
    file_systems = options.file_system or ["ext4"]
    for file_system in file_systems:
        if reason := why_not() or missing_program(file_system):
            print(f"power can't be cut here: {reason}", file=sys.stderr)
            return 2
    results: dict[str, Figures] = {}
    console = Console(stderr=True)
    with Progress(console=console, transient=True, disable=not console.is_terminal) as bar:
        for file_system in file_systems:
            task = bar.add_task(file_system, total=options.cuts)
            with tempfile.TemporaryDirectory(prefix="power-loss-") as folder:
                trial = Trial(
                    Path(folder), options.cuts, file_system, options.database, settings, options.seed,
                    advance=partial(bar.advance, task),
                )  # fmt: skip
                results[f"{file_system}, {options.database}"] = trial.run()
    if options.json:
        print(json.dumps({name: asdict(found) for name, found in results.items()}))
    else:
        print("\n".join([HEAD, *(_row(name, settings, found) for name, found in results.items())]))
    return 0 if all(found.is_flawless for found in results.values()) else 1


if __name__ == "__main__":
    sys.exit(main())
