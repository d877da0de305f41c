"""What was measured, for people and scripts: a table on the terminal, JSON, Markdown, and a bar chart."""

from __future__ import annotations

import hashlib
import os
import platform
import subprocess
import timeit
from dataclasses import asdict, dataclass
from datetime import date
from importlib.metadata import version
from pathlib import Path
from typing import Any

import psutil
from rich.console import Console
from rich.table import Table

from benchmarks import disk
from benchmarks.rows import Bound, Row, Target


@dataclass(frozen=True, slots=True)
class Result:
    """All runs of one row on one server: figures in the row's unit, and their median."""

    row: str
    server: str
    ours: bool
    durability: str
    unit: str
    figures: list[float]
    median: float


@dataclass(frozen=True, slots=True)
class Verdict:
    """A target and what was reached: ``reached`` is a ratio for a target against a peer, else a figure."""

    row: str
    text: str
    reached: float
    met: bool


def verdicts(rows: tuple[Row, ...], results: list[Result]) -> list[Verdict]:
    """Compare what was measured with what was aimed at, as far as both sides were measured."""
    medians = {(result.row, result.server): result.median for result in results}
    found = []
    for row in rows:
        for target in row.targets:
            found += _compared(row, target, medians)
        for bound in row.bounds:
            found += _bounded(row, bound, medians)
    return found


def _compared(row: Row, target: Target, medians: dict[tuple[str, str], float]) -> list[Verdict]:
    ours, peer = medians.get((row.key, target.ours.name)), medians.get((row.key, target.peer.name))
    if not ours or not peer:
        return []
    ratio = peer / ours
    text = f"{row.title}: {target.ours.name} at least {target.factor:g} × {target.peer.name}"
    return [Verdict(row.key, text, ratio, ratio >= target.factor)]


def _bounded(row: Row, bound: Bound, medians: dict[tuple[str, str], float]) -> list[Verdict]:
    ours = medians.get((row.key, bound.ours.name))
    if ours is None:
        return []
    return [Verdict(row.key, f"{row.title}: under {bound.limit:g} {row.unit}", ours, ours < bound.limit)]


def machine(work: Path) -> dict[str, str]:
    """Return what the figures depend on; ``work`` is on the disk that was measured."""
    return {
        "date": date.today().isoformat(),  # noqa: DTZ011 - the day of whoever runs it
        "processor": _processor(),
        "cores": str(psutil.cpu_count()),
        "load when the report was made": "{:.1f}, {:.1f}, {:.1f} (last 1, 5, 15 minutes)".format(*os.getloadavg()),
        "memory": f"{psutil.virtual_memory().total / 2**30:.0f} GiB",
        "kernel": platform.release(),
        "file system": _file_system(),
        **{
            f"the disk alone: one file of {size:,} bytes written, flushed and named": (
                f"{disk.seconds_per_file(size, work) * 1000:.2f} ms"
            )
            for size in (525_000, 4_000)
        },
        "SHA-256 of 525,000 bytes": f"{_hash_seconds(525_000) * 1000:.2f} ms",
        "Python": platform.python_version(),
        "pynetdicom": version("pynetdicom"),
        "DCMTK": _first_line(["storescp", "--version"]),
        "Orthanc": _first_line(["Orthanc", "--version"], extra_path="/usr/sbin/"),
    }


def _hash_seconds(size: int) -> float:
    data = os.urandom(size)
    return min(timeit.repeat(lambda: hashlib.sha256(data).digest(), number=10, repeat=10)) / 10


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


def _file_system() -> str:
    here = Path.cwd().resolve()
    partitions = [part for part in psutil.disk_partitions(all=True) if here.is_relative_to(part.mountpoint)]
    return max(partitions, key=lambda part: len(part.mountpoint)).fstype if partitions else "unknown"


def _first_line(command: list[str], extra_path: str = "") -> str:
    for candidate in (command[0], extra_path + command[0]):
        try:
            output = subprocess.run([candidate, *command[1:]], capture_output=True, text=True, check=False).stdout
        except FileNotFoundError:
            continue
        return output.splitlines()[0].strip("$ ") if output else "unknown"
    return "not installed"


def shown(figure: float) -> str:
    """Return a figure with three significant digits."""
    return f"{figure:.3g}" if figure < 1000 else f"{figure:.0f}"


def print_table(rows: tuple[Row, ...], results: list[Result], found: list[Verdict], console: Console) -> None:
    """Print medians, and the verdicts with what was missed in red."""
    table = Table(title="medians; smaller is better")
    for heading in ("work", "server", "median", "all runs"):
        table.add_column(heading, justify="right" if heading == "median" else "left")
    for row in rows:
        for result in (result for result in results if result.row == row.key):
            runs = ", ".join(shown(figure) for figure in result.figures)
            style = "bold" if result.ours else ""
            table.add_row(row.title, result.server, f"{shown(result.median)} {row.unit}", runs, style=style)
        table.add_section()
    console.print(table)
    for verdict in found:
        mark = "[green]met   [/green]" if verdict.met else "[red]missed[/red]"
        console.print(f"{mark} {verdict.text} → {shown(verdict.reached)}", highlight=False)


def as_json(
    rows: tuple[Row, ...], results: list[Result], found: list[Verdict], where: dict[str, str]
) -> dict[str, Any]:
    """Return everything as one JSON object."""
    return {
        "machine": where,
        "rows": {row.key: row.title for row in rows},
        "results": [asdict(result) for result in results],
        "targets": [asdict(verdict) for verdict in found],
    }


def as_markdown(
    rows: tuple[Row, ...], results: list[Result], found: list[Verdict], where: dict[str, str], chart: str
) -> str:
    """Return the page for `docs/performance.md`."""
    lines = [
        "# Performance",
        "",
        "Made by `make benchmark`: every server in turn on one machine, in one run, with the same data and clients.",
        "Medians are shown, and every run behind them. A ratio is the peer's time divided by ours, and holds for this",
        "run alone; the load below tells whether the machine was idle. *Nothing kept* reads and throws away, so that",
        "its time is the client's. Why some targets are missed is told in [ADR 3](adr/0003-where-the-time-goes.md).",
        "",
        f"![Time of each server]({chart})",
        "",
        "## Targets",
        "",
        "| work and target | reached | |",
        "| -- | -- | -- |",
    ]
    lines += [f"| {v.text} | {shown(v.reached)} | {'met' if v.met else '**missed**'} |" for v in found]
    lines += [
        "",
        "## Figures",
        "",
        "| work | server | median | all runs | what it does for that |",
        "| -- | -- | -- | -- | -- |",
    ]
    for row in rows:
        for result in (result for result in results if result.row == row.key):
            name = f"**{result.server}**" if result.ours else result.server
            runs = ", ".join(shown(figure) for figure in result.figures)
            lines.append(f"| {row.title} | {name} | {shown(result.median)} {row.unit} | {runs} | {result.durability} |")
    lines += ["", "## Machine", "", "|  |  |", "| -- | -- |"]
    lines += [f"| {name} | {value} |" for name, value in where.items()]
    return "\n".join(lines) + "\n"


def draw(rows: tuple[Row, ...], results: list[Result], path: Path) -> None:
    """Draw, for each row with peers, the median of every server relative to ours."""
    import matplotlib as mpl

    mpl.use("svg")
    mpl.rcParams["svg.hashsalt"] = "gateway"
    from matplotlib import pyplot as plt

    compared = [row for row in rows if sum(result.row == row.key for result in results) > 1]
    if not compared:
        return
    columns = 2
    height = -(-len(compared) // columns)
    figure, axes = plt.subplots(height, columns, figsize=(11, 2.1 * height), squeeze=False)
    for axis in axes.flat[len(compared) :]:
        axis.set_visible(False)
    for axis, row in zip(axes.flat, compared, strict=False):
        mine = [result for result in results if result.row == row.key]
        colours = ["#1b6ca8" if result.ours else "#b8c4ce" for result in mine]
        bars = axis.barh([result.server for result in mine], [result.median for result in mine], color=colours)
        axis.bar_label(bars, [f" {shown(result.median)} {row.unit}" for result in mine], fontsize=8)
        axis.set_title(row.title, fontsize=9, loc="left")
        axis.invert_yaxis()
        axis.margins(x=0.2)
        axis.tick_params(labelsize=8)
        axis.set_xticks([])
        for side in ("top", "right", "bottom"):
            axis.spines[side].set_visible(False)
    figure.tight_layout()
    figure.savefig(path, metadata={"Date": None})
    plt.close(figure)
