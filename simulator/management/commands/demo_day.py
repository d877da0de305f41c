"""Fills a worklist with a day that is invented."""

from __future__ import annotations

import datetime
from typing import Any

from django.core.management.base import CommandError, CommandParser
from django.utils import timezone

from mwl_admin.management.terminal import PlainCommand
from simulator import department


class Command(PlainCommand):
    help = (
        "Makes a catalogue, stations and a day of synthetic patients, for demonstrations and tries. Refuses to mix "
        "them with patients that it has not made."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--date", type=datetime.date.fromisoformat, help="the day [today]")
        parser.add_argument("--entries", type=int, default=36, metavar="N", help="about how many [%(default)s]")
        parser.add_argument(
            "--stations", nargs="+", choices=sorted(department.STATIONS), default=list(department.STATIONS),
            metavar="AE", help=f"whose day, out of {', '.join(department.STATIONS)} [all]",
        )  # fmt: skip
        parser.add_argument("--seed", type=int, default=1, help="another number, another day [%(default)s]")

    def handle(self, *args: Any, **options: Any) -> None:
        if department.strangers():
            raise CommandError("This worklist holds patients that are not synthetic: nothing was added")
        day = options["date"] or timezone.localdate()
        made = department.make_day(day, options["stations"], options["entries"], seed=options["seed"])
        self.stdout.write(
            f"{day}: {made.entries} entries added for {made.stations} stations; the catalogue has {made.procedures} "
            "procedures"
        )
