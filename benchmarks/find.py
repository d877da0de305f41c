"""`python -m benchmarks.find`: worklist queries side by side with DCMTK's `wlmscpfs`, on the same entries.

Both are asked by DCMTK's `findscu`, its start included, with the keys that a CT scanner sends. Ours runs with its
default settings, recording of queries included.
"""

from __future__ import annotations

import argparse
import datetime
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from rich.console import Console
from rich.table import Table

from benchmarks.servers import Server
from tests.postgres import PostgresServer

ROOT = Path(__file__).resolve().parent.parent
SIZES = (10_000, 100_000, 1_000_000)
FILES = (1_000, 10_000, 100_000)
SUBSET = 1_000

RETURN_KEYS = (
    "SpecificCharacterSet",
    "AccessionNumber",
    "ReferringPhysicianName",
    "PatientName",
    "PatientID",
    "PatientBirthDate",
    "PatientSex",
    "PatientWeight",
    "MedicalAlerts",
    "Allergies",
    "StudyInstanceUID",
    "RequestingPhysician",
    "RequestedProcedureDescription",
    "RequestedProcedureID",
    "RequestedProcedurePriority",
)
STEP_KEYS = (
    "Modality",
    "ScheduledStationAETitle",
    "ScheduledProcedureStepStartTime",
    "ScheduledPerformingPhysicianName",
    "ScheduledProcedureStepDescription",
    "ScheduledProcedureStepID",
    "ScheduledStationName",
    "ScheduledProcedureStepLocation",
)


def query(date: str) -> list[str]:
    """Return findscu's options for a scanner's query of one date, or of all when it is empty."""
    step = "(0040,0100)[0]."
    keys = [*RETURN_KEYS, *(step + key for key in STEP_KEYS), f"{step}ScheduledProcedureStepStartDate={date}"]
    return [word for key in keys for word in ("-k", key)]


class Worklist(Server):
    """Ours, on a database that is filled already."""

    name = "gateway"
    peer = False
    executable = sys.executable
    durability = ""
    database_url = ""
    maximum = "1000"

    def command(self) -> list[str]:
        return [sys.executable, "-m", "mwl_scp"]

    def environment(self) -> dict[str, str]:
        return {
            **os.environ,
            "PYTHONPATH": str(ROOT),
            "DATA_DIR": str(self.folder / "var"),
            "DATABASE_URL": self.database_url,
            "MWL_BIND": f"127.0.0.1:{self.port}",
            "MWL_HEALTH_BIND": "127.0.0.1:0",
            "MWL_MAX_MATCHES": self.maximum,
            "LOG_LEVEL": "WARNING",
        }


class Wlmscpfs(Server):
    """DCMTK's, on a folder of files."""

    name = "wlmscpfs"
    executable = "wlmscpfs"
    durability = ""
    data = Path()

    def command(self) -> list[str]:
        return ["wlmscpfs", "-dfr", "-dfp", str(self.data), str(self.port)]


def find(port: int, date: str) -> float:
    """Return the seconds that `findscu` takes, its answers not printed: that would take longer than to get them."""
    started = time.perf_counter()
    _findscu(port, date, "-q")
    return time.perf_counter() - started


def check(port: int, date: str, expected: int) -> None:
    """Compare the number of responses with what is ``expected``.

    :raises RuntimeError: when it is another.
    """
    found = _findscu(port, date, "-v").count("(Pending)")
    if found != expected:
        raise RuntimeError(f"{found} responses, not {expected}")


def _findscu(port: int, date: str, verbosity: str) -> str:
    run = subprocess.run(
        ["findscu", verbosity, "-W", "-aec", "WORKLIST", *query(date), "127.0.0.1", str(port)],
        env={**os.environ, "TCP_NODELAY": "1"},
        capture_output=True,
        text=True,
        timeout=900,
        check=True,
    )
    return run.stdout + run.stderr


def filled(url: str, entries: int, today: datetime.date, export: Path | None = None) -> None:
    """Migrate and fill a database in a process of its own, and write its entries as files too."""
    code = (
        "import datetime, django; django.setup()\n"
        "from django.core.management import call_command\n"
        "from django.db import connection\n"
        "from benchmarks.worklist_data import fill\n"
        "call_command('migrate', verbosity=0)\n"
        f"fill({entries}, datetime.date({today.year}, {today.month}, {today.day}))\n"
        "connection.vendor == 'postgresql' and connection.cursor().execute('ANALYZE')\n"
    )
    if export:
        code += f"call_command('export_wl', {str(export)!r}, verbosity=0)\n"
    with tempfile.TemporaryDirectory() as folder:
        environment = {**os.environ, "PYTHONPATH": str(ROOT), "DATABASE_URL": url, "DATA_DIR": folder}
        subprocess.run(
            [sys.executable, "-c", code],
            env={**environment, "DJANGO_SETTINGS_MODULE": "mwl_admin.settings"},
            check=True,
            stdout=subprocess.DEVNULL,
        )


class Bench:
    """Runs the rows, and keeps the medians by row and server."""

    def __init__(self, work: Path, rounds: int, console: Console) -> None:
        self.results: dict[tuple[str, str], float] = {}
        self._work = work
        self._rounds = rounds
        self._console = console
        self.today = datetime.date.today()  # noqa: DTZ011 - as findscu is asked for it

    def measure(self, row: str, name: str, server: Server, date: str, expected: int) -> None:
        with server:
            check(server.port, date, expected)  # after it, files and pages are in the cache for both
            seconds = statistics.median(find(server.port, date) for _ in range(self._rounds))
        self.results[row, name] = seconds
        self._console.print(f"{row:34} {name:22} {seconds * 1000:9.1f} ms")

    def ours(self, row: str, name: str, url: str, date: str, expected: int) -> None:
        server = Worklist(self._work)
        server.database_url = url
        server.maximum = str(max(1000, expected))
        self.measure(row, name, server, date, expected)

    def peer(self, row: str, data: Path, date: str, expected: int) -> None:
        server = Wlmscpfs(self._work)
        server.data = data
        self.measure(row, "wlmscpfs", server, date, expected)


@contextmanager
def databases(work: Path) -> Iterator[dict[str, Callable[[str], str]]]:
    """Give makers of database URLs: SQLite, and PostgreSQL where it is installed."""
    with ExitStack() as stack:
        makers: dict[str, Callable[[str], str]] = {"gateway, SQLite": lambda name: f"sqlite:///{work / name}.sqlite3"}
        try:
            server = PostgresServer()
        except FileNotFoundError:
            pass
        else:
            stack.callback(server.remove)
            makers["gateway, PostgreSQL"] = lambda _name: server.create_database()
        yield makers


def run(bench: Bench, work: Path, sizes: tuple[int, ...], files: tuple[int, ...]) -> None:
    """Run every row: the number of entries grows, what is asked for stays."""
    today = f"{bench.today:%Y%m%d}"
    with databases(work) as makers:
        for number, (name, url_of) in enumerate(makers.items()):
            for size in (SUBSET, *sizes):
                folder = work / f"files-{size}" / "WORKLIST"
                wanted = folder if number == 0 and size in files and shutil.which("wlmscpfs") else None
                url = url_of(f"worklist-{size}")
                filled(url, size, bench.today, wanted)
                if size == SUBSET:
                    bench.ours("all of 1,000", name, url, "", SUBSET)
                else:
                    bench.ours(f"today's 50 of {size:,}", name, url, today, 50)
                if size == 10_000:
                    bench.ours("all of 10,000", name, url, "", 10_000)
    for size in files:
        folder = work / f"files-{size}"
        if not folder.exists():
            continue
        if size == SUBSET:
            bench.peer("all of 1,000", folder, "", SUBSET)
        else:
            bench.peer(f"today's 50 of {size:,}", folder, today, 50)
        if size == 10_000:
            bench.peer("all of 10,000", folder, "", 10_000)


def table(results: dict[tuple[str, str], float]) -> list[list[str]]:
    """Return the header and the rows: each server's time, and ours as a part of the peer's."""
    names = list(dict.fromkeys(name for _, name in results))
    ours = [name for name in names if name != "wlmscpfs"]
    lines = [["query", *names, *(f"{name} : wlmscpfs" for name in ours)]]
    for row in dict.fromkeys(row for row, _ in results):
        line = [row]
        line += [f"{results[row, name] * 1000:.0f} ms" if (row, name) in results else "–" for name in names]
        peer = results.get((row, "wlmscpfs"))
        line += [f"{results[row, name] / peer:.3f}" if peer and (row, name) in results else "–" for name in ours]
        lines.append(line)
    return lines


def main(argv: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.find", description=__doc__)
    parser.add_argument("--rounds", type=int, default=5, help="times that each query runs; medians are told")
    parser.add_argument("--quick", action="store_true", help="without the largest sizes")
    parser.add_argument("--markdown", type=Path, help="write the table to this file")
    options = parser.parse_args(argv)
    console = Console(stderr=True)
    sizes, files = (SIZES[:2], FILES[:2]) if options.quick else (SIZES, FILES)
    with tempfile.TemporaryDirectory(prefix="find-") as folder:
        bench = Bench(Path(folder), options.rounds, console)
        run(bench, Path(folder), sizes, files)
    header, *lines = table(bench.results)
    shown = Table(*header)
    for line in lines:
        shown.add_row(*line)
    Console().print(shown)
    if options.markdown:
        rows = [header, ["---"] * len(header), *lines]
        options.markdown.write_text("\n".join("| " + " | ".join(row) + " |" for row in rows) + "\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
