"""`python -m benchmarks`: makes its data, starts each server, runs every row, prints and writes what came out."""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import tempfile
from pathlib import Path

from rich.console import Console

from benchmarks import report, rows
from benchmarks.report import Result
from benchmarks.rows import ROWS, Row
from benchmarks.servers import Server

_EPILOG = "rows: " + "; ".join(f"{row.key} ({row.title})" for row in ROWS)


def arguments(argv: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description="Measure the receiver side by side with DCMTK's storescp, Orthanc and stock pynetdicom.",
        epilog=_EPILOG + ". Exit status: 0 all targets met, 1 one missed, 2 wrong usage.",
    )
    parser.add_argument("row", nargs="*", help="rows to run; all when none is named")
    parser.add_argument("--rounds", type=int, default=3, help="times that each row runs (default: 3)")
    parser.add_argument("--ours", action="store_true", help="leave the peers out")
    parser.add_argument("--work", type=Path, default=Path(".testdata/benchmarks"), help="folder for data and servers")
    parser.add_argument("--json", type=Path, help="write all figures to this file")
    parser.add_argument("--docs", type=Path, help="write performance.md and its chart under this folder")
    return parser.parse_args(argv)


def measure(
    row: Row, servers: list[type[Server]], rounds: int, folder: Path, data: Path, *, console: Console
) -> list[Result]:
    """Run one row: in each round every server once, so that a slow moment of the machine hits them all alike.

    Servers keep what they keep below ``folder``; what is sent is below ``data``.
    """
    figures: dict[type[Server], list[float]] = {server: [] for server in servers}
    for number in range(rounds):
        for kind in servers:
            rows.flush_disk()
            with console.status(f"{row.title}: {kind.name}, round {number + 1} of {rounds}"), kind(folder) as server:
                figures[kind].append(row.measure(server, data))
    return [
        Result(row.key, kind.name, not kind.peer, kind.durability, row.unit, values, statistics.median(values))
        for kind, values in figures.items()
    ]


def main(argv: list[str]) -> int:
    options = arguments(argv)
    console = Console(stderr=True)
    try:
        selected = rows.chosen(options.row)
    except KeyError as error:
        console.print(f"no such row: {error.args[0]}. {_EPILOG}")
        return 2
    work = options.work.resolve()
    work.mkdir(parents=True, exist_ok=True)
    results: list[Result] = []
    with tempfile.TemporaryDirectory(prefix="servers-", dir=work) as folder:
        for row in selected:
            servers = [kind for kind in row.servers if kind.installed() and not (options.ours and kind.peer)]
            for kind in set(row.servers) - set(servers):
                if not options.ours:
                    console.print(f"{kind.name} is not installed: left out", style="yellow")
            results += measure(row, servers, options.rounds, Path(folder), work, console=console)
    found = report.verdicts(selected, results)
    where = report.machine(work)
    report.print_table(selected, results, found, Console())
    if options.json:
        options.json.write_text(json.dumps(report.as_json(selected, results, found, where), indent=1) + os.linesep)
    if options.docs:
        (options.docs / "images").mkdir(parents=True, exist_ok=True)
        report.draw(selected, results, options.docs / "images" / "performance.svg")
        page = report.as_markdown(selected, results, found, where, "images/performance.svg")
        (options.docs / "performance.md").write_text(page)
    return 0 if all(verdict.met for verdict in found) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
