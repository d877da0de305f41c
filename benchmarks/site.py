"""How fast the staff's site answers with a large worklist: ``python -m benchmarks.site``.

PostgreSQL with a million steps, 300,000 patients and 10,000 received studies, the site under gunicorn, one person who
opens the day and
searches. Prints medians; exit status 1 when one of them is above its target.
"""

from __future__ import annotations

import argparse
import datetime
import importlib
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from rich.console import Console
from rich.table import Table

from tests.clients.site import Site
from tests.postgres import PostgresServer
from tests.processes import PASSWORD, Processes

TARGET = 150.0
"""Milliseconds, median."""
STUDIES = 10_000
"""Studies that the receiver told of in the last 30 days: what the alarms of the day page have to look through."""
PAGES = {
    "day, 50 steps": "/today/",
    "day, refreshed list": "/today/list/",
    "another day": "/today/?day={day}",
    "search: part of a name": "/today/?q=anet12345",
    "search: family and given name": "/today/?q=doe77+jan",
    "search: a name that 300 have": "/today/?q=doe777",
    "search: a name that all have": "/today/?q=doe",
    "search: two letters": "/today/?q=ja",
    "search: part of a patient ID": "/today/?q=12345",
    "search: part of an accession number": "/today/?q=98765",
    "search: name and accession number": "/today/?q=doe+A765432",
    "search: nothing to be found": "/today/?q=zzzzzz",
    "list of all steps, searched": "/admin/mwl_admin/scheduledprocedurestep/?q=jane12345",
    "patients while typing": (
        "/admin/autocomplete/?app_label=mwl_admin&model_name=requestedprocedure&field_name=patient&term=jane1234"
    ),
    "duplicates while typing": "/entry/similar/?family_name=Doe7&given_name=Jane7&birth_date=08/01/1940",
    "stations": "/stations/",
}


def fill(steps: int, patients: int) -> None:
    """Fill the database that the environment names; run in a process of its own."""
    import django

    django.setup()
    from django.db import connection

    from benchmarks import worklist_data
    from mwl_admin.models import Patient, RequestedProcedure

    today = datetime.datetime.now(datetime.UTC).date()
    searching = importlib.import_module("mwl_admin.migrations.0005_search_indexes")
    with connection.schema_editor() as editor:
        searching.drop_indexes(None, editor)  # made at the end, which is faster
    worklist_data.fill(steps, today)
    with connection.cursor() as cursor:
        table = RequestedProcedure._meta.db_table
        cursor.execute(f"UPDATE {table} SET patient_id = (id %% %s) + 1 WHERE patient_id > %s", [patients, patients])
        cursor.execute(f"DELETE FROM {Patient._meta.db_table} WHERE id > %s", [patients])
    _receive(STUDIES, today)
    with connection.schema_editor() as editor:
        searching.add_indexes(None, editor)
    with connection.cursor() as cursor:
        cursor.execute("VACUUM ANALYZE" if connection.vendor == "postgresql" else "ANALYZE")


def _receive(studies: int, today: datetime.date) -> None:
    """Have images of the latest steps arrive within 30 days: of one in 500 another patient's, one without entry."""
    from mwl_admin.models import ReceivedStudy, ScheduledProcedureStep

    latest = ScheduledProcedureStep.objects.filter(scheduled_date__lte=today).order_by("-scheduled_date", "-pk")
    now = datetime.datetime.now(datetime.UTC)
    made = []
    for number, step in enumerate(latest.select_related("requested_procedure__patient")[:studies]):
        entry = step.requested_procedure
        arrived = now - datetime.timedelta(days=29) * number / studies
        mixed_up, without_entry = number % 500 == 1, number % 500 == 2
        made.append(
            ReceivedStudy(
                study_instance_uid=f"2.25.2{number}" if without_entry else entry.study_instance_uid,
                requested_procedure=None if without_entry else entry,
                patient_id=entry.patient.patient_id,
                patient_name="Other^Olga" if mixed_up else f"{entry.patient.family_name}^{entry.patient.given_name}",
                name_folded="other^olga" if mixed_up else entry.patient.name_folded,
                modalities=["CT"],
                senders=["CT1"],
                series_count=3,
                instance_count=400,
                first_arrival_at=arrived,
                last_arrival_at=arrived,
                announced_at=arrived,
            )
        )
    ReceivedStudy.objects.bulk_create(made, batch_size=1000)


def measure(site: Site, path: str, rounds: int) -> float:
    """Return the median of fetching a page, in milliseconds."""
    site.get(path)
    times = []
    for _ in range(rounds):
        started = time.perf_counter()
        site.get(path)
        times.append((time.perf_counter() - started) * 1000)
    return statistics.median(times)


def main(argv: list[str]) -> int:
    """Measure all pages."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.site", description=__doc__)
    parser.add_argument("--steps", type=int, default=1_000_000)
    parser.add_argument("--patients", type=int, default=300_000)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--sqlite", action="store_true", help="on SQLite instead, without a target")
    parser.add_argument("--markdown", type=Path, help="write the table to this file")
    given = parser.parse_args(argv)
    console = Console()
    with tempfile.TemporaryDirectory() as folder:
        server = None if given.sqlite else PostgresServer()
        settings = {"DATABASE_URL": server.create_database()} if server else {}
        processes = Processes(Path(folder), settings)
        try:
            processes.data_dir.mkdir()
            processes.prepare()
            processes.manage("collectstatic", "--noinput", "--verbosity", "0")
            command = f"from benchmarks.site import fill; fill({given.steps}, {given.patients})"
            env = {**processes.env, "DJANGO_SETTINGS_MODULE": "mwl_admin.settings"}
            subprocess.run([sys.executable, "-c", command], env=env, check=True)
            processes.mwl_admin.start()
            site = Site(processes.web_url, PASSWORD)
            day = (datetime.datetime.now(datetime.UTC).date() + datetime.timedelta(days=100)).isoformat()
            medians = {name: measure(site, path.replace("{day}", day), given.rounds) for name, path in PAGES.items()}
        finally:
            processes.stop()
            if server:
                server.remove()
    table = Table(
        "page", "median, ms", title=f"{given.steps:,} steps, {given.patients:,} patients, load {os.getloadavg()[0]:.1f}"
    )
    for name, median in medians.items():
        table.add_row(name, f"{median:.0f}", style="" if median <= TARGET else "bold")
    console.print(table)
    if given.markdown:
        lines = [f"| {name} | {median:.0f} |" for name, median in medians.items()]
        given.markdown.write_text("\n".join(["| page | median, ms |", "| -- | -: |", *lines]) + "\n")
    return 0 if given.sqlite or all(median <= TARGET for median in medians.values()) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
