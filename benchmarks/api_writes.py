"""How fast entries are written by the HTTP API: ``python -m benchmarks.api_writes``.

Eight clients, each with a connection that it keeps, against the site under gunicorn as it is shipped, on SQLite and on
a PostgreSQL that flushes to its disk: new entries of new patients, and of patients who are known, updates by PUT.
Of several short runs the best counts, since others may use the machine. Exit status 1 when a target is missed.
"""

from __future__ import annotations

import argparse
import http.client
import itertools
import json
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
from rich.console import Console
from rich.table import Table

from tests.postgres import PostgresServer
from tests.processes import Processes

RATE, P99 = 100.0, 300.0
"""Targets: entries a second at least, milliseconds at most."""
CLIENTS = 8
DATABASES = ("sqlite", "postgresql")
FAMILY_NAMES = ("Doe", "Roe", "Poe", "Coe", "Noe")
Request = tuple[str, str, dict[str, Any]]


@dataclass(frozen=True, slots=True)
class Figures:
    """One run. ``cpu`` are milliseconds of processor time for each request, by process."""

    rate: float
    p50: float
    p99: float
    worst: float
    cpu: dict[str, float]


def make_client() -> None:
    """Print the token of a new client whose limit is in nobody's way; run in a process of its own."""
    import django

    django.setup()
    from mwl_admin.models import APIClient

    print(APIClient.create(name="engine", can_write=True, requests_per_minute=1_000_000)[1])


def entry(number: int, patient: int, text: str = "") -> dict[str, Any]:
    """Return an entry as an engine sends it; the same patient is always the same person."""
    return {
        "AccessionNumber": f"BENCH{number:08d}",
        "PatientID": f"B-{patient}",
        "PatientName": f"{FAMILY_NAMES[patient % 5]}{patient}^Jane",
        "PatientBirthDate": f"19{patient % 90 + 10}0{patient % 9 + 1}1{patient % 9}",
        "PatientSex": "F",
        "RequestedProcedureDescription": f"CT thorax {text}".strip(),
        "ReferringPhysicianName": "Adams^John^^Dr",
        "ScheduledProcedureStepSequence": [
            {
                "Modality": "CT",
                "ScheduledProcedureStepStartDate": "20300504",
                "ScheduledProcedureStepStartTime": f"{number % 10 + 8:02d}{number % 60:02d}",
                "ScheduledProcedureStepDescription": "Thorax with contrast",
            }
        ],
    }


class Workload:
    """Requests of three kinds, each entry for one client alone."""

    def __init__(self) -> None:
        self._numbers = itertools.count(1)
        self._patients: list[int] = []
        """Each has the number of the first entry made for it."""

    def new_patients(self) -> Iterator[Request]:
        for number in self._numbers:
            yield "POST", "/api/worklist/", entry(number, number)
            self._patients.append(number)

    def known_patients(self) -> Iterator[Request]:
        for number, patient in zip(self._numbers, itertools.cycle(self._patients), strict=False):
            yield "POST", "/api/worklist/", entry(number, patient)

    def updates(self) -> Iterator[Request]:
        for turn in itertools.count(1):
            for number in tuple(self._patients):
                yield (
                    "PUT",
                    f"/api/worklist/BENCH{number:08d}",
                    entry(number, number, f"changed {turn} {time.time():.0f}"),
                )


def run(port: int, token: str, requests: Iterator[Request], seconds: float) -> list[float]:
    """Have eight clients send what there is for some seconds; return how long each request took, in milliseconds.

    :raises RuntimeError: for an answer that is no success.
    """
    lock, taken, wrong = threading.Lock(), list[float](), list[str]()
    until = time.perf_counter() + seconds

    def client() -> None:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
        while time.perf_counter() < until and not wrong:
            with lock:
                method, path, body = next(requests)
            started = time.perf_counter()
            connection.request(method, path, json.dumps(body), headers)
            response = connection.getresponse()
            answer = response.read()
            taken.append((time.perf_counter() - started) * 1000)
            if response.status not in {200, 201}:
                wrong.append(f"{response.status}: {answer[:500]!r}")
        connection.close()

    threads = [threading.Thread(target=client) for _ in range(CLIENTS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if wrong:
        raise RuntimeError(wrong[0])
    return taken


def processor_time(processes: list[psutil.Process]) -> float:
    """Return the seconds of processor time that these have used, with those of their children that have ended."""
    return sum(sum(process.cpu_times()[:4]) for process in processes)


def measure(
    groups: Callable[[], dict[str, list[psutil.Process]]],
    port: int,
    token: str,
    work: Iterator[Request],
    span: float,
) -> Figures:
    """Run once, and see what the server's processes used for it."""
    before = {name: processor_time(members) for name, members in groups().items()}
    started = time.perf_counter()
    taken = run(port, token, work, span)
    seconds = time.perf_counter() - started
    after = {name: processor_time(members) for name, members in groups().items()}
    cpu = {name: (after[name] - before[name]) * 1000 / len(taken) for name in before}
    return Figures(
        len(taken) / seconds, statistics.median(taken), statistics.quantiles(taken, n=100)[98], max(taken), cpu
    )


def on(database: str, options: argparse.Namespace) -> dict[str, Figures]:
    """Measure all kinds of writes on one kind of database; the best of the rounds by kind."""
    with tempfile.TemporaryDirectory(prefix="writes-", dir=options.work) as folder:
        server = PostgresServer(fsync=True, parent=options.work) if database == "postgresql" else None
        settings = {"WEB_WORKERS": str(options.workers)} if options.workers else {}
        settings |= {"DATABASE_URL": server.create_database()} if server else {}
        processes = Processes(Path(folder), settings)
        try:
            processes.data_dir.mkdir()
            processes.prepare()
            env = {**processes.env, "DJANGO_SETTINGS_MODULE": "mwl_admin.settings"}
            code = "from benchmarks.api_writes import make_client; make_client()"
            token = subprocess.check_output([sys.executable, "-c", code], env=env, text=True).strip()
            processes.mwl_admin.start()

            def groups() -> dict[str, list[psutil.Process]]:
                found = {"site": processes.mwl_admin.family()}
                if server:
                    found["database"] = server.family()
                return found

            work, port = Workload(), processes.web_port
            run(port, token, work.new_patients(), 1)  # what is loaded with the first request
            kinds = {"new patient": work.new_patients, "known patient": work.known_patients, "PUT": work.updates}
            best: dict[str, Figures] = {}
            for _ in range(options.rounds):
                for name, requests in kinds.items():
                    figures = measure(groups, port, token, requests(), options.seconds)
                    best[name] = max(best.get(name, figures), figures, key=lambda each: each.rate)
            return best
        finally:
            processes.stop()
            if server:
                server.remove()


def main(argv: list[str]) -> int:
    """Measure on both kinds of database."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.api_writes", description=__doc__)
    parser.add_argument("--database", action="append", choices=DATABASES, help="one of them only")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=4, help="how long each run takes")
    parser.add_argument("--workers", type=int, help="WEB_WORKERS; else as shipped")
    parser.add_argument("--work", type=Path, help="folder for the servers' data; its disk is what is measured")
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    options = parser.parse_args(argv)
    found = {database: on(database, options) for database in dict.fromkeys(options.database or DATABASES)}
    table = Table(
        "database", "write", "a second", "p50, ms", "p99, ms", "longest, ms", "processor, ms a request",
        title=f"{CLIENTS} clients, best of {options.rounds} × {options.seconds:g} s, load {os.getloadavg()[0]:.1f}",
    )  # fmt: skip
    met = True
    for database, kinds in found.items():
        for name, each in kinds.items():
            is_met = each.rate >= RATE and each.p99 < P99
            met &= is_met
            cpu = ", ".join(f"{process} {used:.1f}" for process, used in each.cpu.items())
            cells = (f"{value:.0f}" for value in (each.rate, each.p50, each.p99, each.worst))
            table.add_row(database, name, *cells, cpu, style="" if is_met else "bold")
    Console().print(table)
    if options.json:
        content = {
            database: {name: {part: getattr(each, part) for part in each.__slots__} for name, each in kinds.items()}
            for database, kinds in found.items()
        }
        options.json.write_text(json.dumps(content, indent=1) + "\n")
    return 0 if met else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
