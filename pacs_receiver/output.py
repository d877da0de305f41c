"""How the subcommands print: tables for people, one JSON object a line for scripts."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

from rich.console import Console
from rich.progress import Progress
from rich.table import Table
from rich.text import Text

from gateway_settings.log import shaped
from gateway_settings.visible import visible, visible_json
from pacs_receiver.reconcile import ReconciliationReport
from pacs_receiver.retention import Candidate, Runway
from pacs_receiver.settle import Conflict
from pacs_receiver.verify import Findings

_ANY_WIDTH = 1 << 20
_OF_SERIES = frozenset({"id", "series", "study_uid", "series_uid", "series_number", "modality"})


def studies(rows: Iterable[Mapping[str, Any]], *, as_json: bool) -> None:
    """Print studies."""
    if as_json:
        for row in rows:
            json_line(row)
        return
    table = _table("date", "patient ID", "patient", "accession", "modality", "description", "series>", "images>",
                   "size>", "arrived", "odd>", "study")  # fmt: skip
    for row in rows:
        _add(table, row["study_date"], _patient_ids(row), row["patient_name"], row["accession_number"],
             " ".join(row["modalities"]), row["description"], row["series_count"], row["instance_count"],
             size(row["file_bytes"]), moment(row["last_arrival"]), row["odd_count"] or "",
             row["study_uid"])  # fmt: skip
    _print(table)


def _patient_ids(row: Mapping[str, Any]) -> str:
    """The patient ID; all that a study's images name, and a mark, where these are different persons."""
    if not row["mixed_up"]:
        return _patient_id(row)
    ids = dict.fromkeys((row["patient_id"], *(other["id"] for other in row["other_patients"])))
    return f"MIXED UP: {', '.join(found or 'none' for found in ids)}"


def study(
    found: Mapping[str, Any],
    all_series: Iterable[Mapping[str, Any]],
    instances: Iterable[Mapping[str, Any]],
    *,
    as_json: bool,
) -> None:
    """Print one study with all that is in it."""
    if as_json:
        of_series: dict[str, list[dict[str, Any]]] = {}
        for row in instances:
            kept = {key: value for key, value in row.items() if key not in _OF_SERIES}
            of_series.setdefault(row["series_uid"], []).append(kept)
        listed = [
            {key: value for key, value in row.items() if key not in ("id", "study")}
            | {"instances": of_series.get(row["series_uid"], [])}
            for row in all_series
        ]
        json_line({**found, "series": listed})
        return
    facts = Table(box=None, show_header=False, pad_edge=False)
    for label, value in (
        ("study", found["study_uid"]),
        ("patient", f"{found['patient_name']}  ID {found['patient_id']}  born {found['birth_date']}  {found['sex']}"),
        ("stored as", _stored_as(found)),
        *(
            ("MIXED UP with", f"{other['name']}  ID {other['id']}  born {other['birth_date']}  {other['sex']}")
            for other in found["other_patients"]
        ),
        ("date", f"{found['study_date']} {found['study_time']}"),
        ("accession", found["accession_number"]),
        ("description", found["description"]),
        ("arrived", f"{moment(found['first_arrival'])} to {moment(found['last_arrival'])}"),
        ("complete", moment(found["completed_at"]) or "not yet"),
        ("holds", f"{found['series_count']} series, {found['instance_count']} instances, {size(found['file_bytes'])}"),
    ):
        if label != "stored as" or value:
            _add(facts, label, value)
    _print(facts)
    table = _table("series>", "modality", "description", "images>", "size>", "UID")
    for row in all_series:
        _add(table, row["series_number"], row["modality"], row["description"], row["instance_count"],
             size(row["file_bytes"]), row["series_uid"])  # fmt: skip
    _print(table)
    table = _table("number>", "patient ID", "size>", "from", "address", "arrived", "committed", "UID", "odd")
    for row in instances:
        _add(table, row["instance_number"], row["patient_id"], size(row["file_bytes"]), row["calling_ae"],
             row["address"], moment(row["arrived_at"]), moment(row["committed_at"]), row["sop_instance_uid"],
             row["odd"])  # fmt: skip
    _print(table)


def status(totals: Mapping[str, Any], runway: Runway, devices: Mapping[str, Any], *, as_json: bool) -> None:
    """Print how much there is, what waits, how long the disk lasts, and who is served and who is not."""
    if as_json:
        json_line({**totals, "free_bytes": runway.free_bytes, "bytes_a_day": runway.bytes_a_day,
                   "days_left": runway.days, **devices})  # fmt: skip
        return
    table = Table(box=None, show_header=False, pad_edge=False)
    _add(table, "holds", f"{totals['patients']} patients, {totals['studies']} studies, {totals['series']} series, "
         f"{totals['instances']} instances, {size(totals['file_bytes'])}")  # fmt: skip
    _add(table, "receiving", f"{totals['open_studies']} studies not complete yet")
    _add(table, "waiting", f"{totals['commitments_waiting']} storage commitments, "
         f"{totals['announcements_waiting']} announcements")  # fmt: skip
    if totals["patient_changes"]:
        waiting = totals["patient_changes_waiting"]
        _add(table, "patients", f"{totals['patient_changes']} changes told by the site, {waiting} not followed yet; "
             f"{totals['studies_of_changed_patients']} studies are stored under an older identity")  # fmt: skip
    if totals["odd_instances"]:
        _add(table, "odd", f"{totals['odd_instances']} instances, kept as they came: list --odd names their studies")
    left = "nothing arrived this week" if runway.days is None else f"{runway.days:.0f} days left at this week's rate"
    _add(table, "disk", f"{size(runway.free_bytes)} free above the reserve: {left}")
    _add(table, "devices", f"{devices['devices_from_site']} of the site, {devices['devices_from_file']} of the peers' "
         f"file; strangers are {devices['strangers']}")  # fmt: skip
    if totals["set_aside"]:
        _add(table, "warning", f"{totals['set_aside']} images came again with other bytes and lie aside: "
             "see 'conflicts list'")  # fmt: skip
    if totals["mixed_up_studies"]:
        _add(table, "warning", f"{totals['mixed_up_studies']} studies have images of different patients under one "
             "Study Instance UID; list marks them")  # fmt: skip
    for title in devices["served_as_before"]:
        _add(table, "warning", f"{title} is served as before the update until staff have answered on Stations")
    _print(table)
    if not devices["turned_away"]:
        return
    table = _table("turned away", "address", "last", "times>", "because")
    for row in devices["turned_away"]:
        _add(table, row["ae_title"], row["address"], moment(row["at"]), row["attempts"],
             row["because"] or "served until staff have answered")  # fmt: skip
    _print(table)


def _patient_id(row: Mapping[str, Any]) -> str:
    """The patient ID, and beside it the one that stands in the images where that is another."""
    original = row["original_patient_id"]
    is_same = original is None or original == row["patient_id"]
    return str(row["patient_id"]) if is_same else f"{row['patient_id']} (stored as {original})"


def _stored_as(found: Mapping[str, Any]) -> str:
    """Whom the stored images name, where that is not the patient of today."""
    if found["original_patient_id"] is None:
        return ""
    return (
        f"{found['original_patient_name']}  ID {found['original_patient_id']}  born {found['original_birth_date']}  "
        f"{found['original_sex']}"
    )


def findings(found: Findings, *, as_json: bool) -> None:
    """Print what a verification found."""
    for uid, problem in found.wrong:
        if as_json:
            json_line({"sop_instance_uid": uid, "problem": problem})
        else:
            say(f"{problem}: {uid}")
    if not as_json:
        say(f"{found.instances} instances read, {size(found.file_bytes)}, {len(found.wrong)} wrong")


def reindexed(report: ReconciliationReport, wrong: Iterable[tuple[str, str]], *, as_json: bool) -> None:
    """Print what a rebuild of the index did."""
    wrong = list(wrong)
    if as_json:
        json_line({
            "studies": report.studies, "instances": report.instances, "indexed": len(report.indexed),
            "forgotten": len(report.missing), "set_aside": len(report.damaged) + len(report.elsewhere),
            "wrong": [{"sop_instance_uid": uid, "problem": problem} for uid, problem in wrong],
        })  # fmt: skip
        return
    for uid, problem in wrong:
        say(f"{problem}: {uid}")
    say(
        f"{report.instances} files in {report.studies} studies: {len(report.indexed)} indexed, "
        f"{len(report.missing)} rows without a file removed, "
        f"{len(report.damaged) + len(report.elsewhere)} files set aside, {len(wrong)} differ from what arrived"
    )


def conflicts(found: Iterable[Conflict], *, as_json: bool) -> None:
    """Print what lies aside."""
    found = list(found)
    if as_json:
        for conflict in found:
            json_line(asdict(conflict))
        return
    table = _table("arrived", "from", "size>", "kind", "kept in study", "name")
    for conflict in found:
        _add(table, moment(conflict.arrived_at), conflict.calling_ae, size(conflict.file_bytes), conflict.kind,
             conflict.kept_study or "nothing is kept", conflict.name)  # fmt: skip
    _print(table)


def differences(found: Iterable[Mapping[str, str]], *, as_json: bool) -> None:
    """Print in which elements two files differ."""
    found = list(found)
    if as_json:
        for row in found:
            json_line(row)
        return
    columns = ("element", "keyword", "what", *(("kept", "came") if any("kept" in row for row in found) else ()))
    table = _table(*columns)
    for row in found:
        _add(table, *(row[column] for column in columns))
    _print(table)


def settled(rows: Iterable[Mapping[str, Any]], *, as_json: bool) -> None:
    """Print who settled what and when."""
    if as_json:
        for row in rows:
            json_line(row)
        return
    table = _table("when", "who", "what", "name")
    for row in rows:
        _add(table, moment(row["at"]), row["who"], row["action"], row["detail"])
    _print(table)


def candidates(found: Iterable[Candidate], *, dry_run: bool, as_json: bool) -> None:
    """Print what retention removes."""
    found = list(found)
    if as_json:
        for candidate in found:
            json_line({**asdict(candidate), "removed": not dry_run})
        return
    table = _table("arrived", "images>", "size>", "reason", "study")
    for candidate in found:
        _add(table, moment(candidate.last_arrival), candidate.instance_count, size(candidate.file_bytes),
             candidate.reason, candidate.study_uid)  # fmt: skip
    _print(table)
    total = size(sum(candidate.file_bytes for candidate in found))
    say(f"{len(found)} studies, {total}, {'would go' if dry_run else 'removed'}")


def confirm(question: str) -> bool:
    """Ask; only a clear yes is one."""
    sys.stdout.write(f"{visible(question)} [y/N] ")
    sys.stdout.flush()
    return sys.stdin.readline().strip().lower() in ("y", "yes")


@contextmanager
def progress(label: str, total: int | None) -> Iterator[Callable[[int], object]]:
    """A progress bar on standard error; silent when that is no terminal."""
    if not sys.stderr.isatty():
        yield lambda _count: None
        return
    with Progress(console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(label, total=total)
        yield lambda count: bar.advance(task, count)


def json_line(values: Mapping[str, Any]) -> None:
    """Print one JSON object on a line of its own; bytes as hexadecimal digits."""
    text = json.dumps(dict(values), ensure_ascii=False, default=lambda value: bytes(value).hex())
    sys.stdout.write(visible_json(text) + "\n")


def say(line: str) -> None:
    """Print a line."""
    sys.stdout.write(visible(line) + "\n")


def complain(line: str) -> None:
    """Print a line on standard error."""
    sys.stderr.write(shaped(visible(line)) + "\n")


def moment(seconds: float | None) -> str:
    """A point in time as local wall clock, to the second."""
    if seconds is None:
        return ""
    return datetime.fromtimestamp(seconds, UTC).astimezone().strftime("%Y-%m-%d %H:%M:%S")


def size(count: float) -> str:
    """A number of bytes in the unit that suits it."""
    for unit in ("B", "kB", "MB", "GB"):
        if count < 1000:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:.1f} TB"


def _table(*columns: str) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        table.add_column(column.removesuffix(">"), justify="right" if column.endswith(">") else "left", no_wrap=True)
    return table


def _add(table: Table, *cells: object) -> None:
    # Text, not str: a patient's name may look like rich's markup
    table.add_row(*(Text(visible(str(cell))) for cell in cells))


def _print(table: Table) -> None:
    """Print a table; without a terminal as wide as it is, so that a pipe gets every column and every UID whole."""
    console = Console()
    if not sys.stdout.isatty():
        limits = console.options.update(width=_ANY_WIDTH)
        console = Console(width=max(1, console.measure(table, options=limits).maximum))
    console.print(table)
