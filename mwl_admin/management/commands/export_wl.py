"""Writes the worklist as files."""

from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db.models import Q
from django.utils.dateparse import parse_date

from mwl_admin.models.status import OPEN
from mwl_admin.worklist.charset import DEFAULT_TERM
from mwl_admin.worklist.exporting import write_files
from mwl_admin.worklist.matching import Condition


class Command(BaseCommand):
    help = (
        "Writes each open step of the worklist into a DICOM file of its own, for DCMTK's wlmscpfs or Orthanc's "
        "worklist plugin. Files that are in the folder already stay."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("folder", type=Path, metavar="DIR")
        parser.add_argument("--date", help="only steps of this day, YYYY-MM-DD")
        parser.add_argument("--all", action="store_true", help="finished and cancelled steps too")
        parser.add_argument("--character-set", default=DEFAULT_TERM, help="defined term, by default %(default)s")

    def handle(self, *args: Any, **options: Any) -> None:
        conditions = [] if options["all"] else [Condition("open steps", Q(status__in=sorted(OPEN)))]
        if options["date"]:
            day = self._day(options["date"])
            conditions.append(Condition("one day", Q(scheduled_date=day)))
        count = write_files(options["folder"], tuple(conditions), character_set=options["character_set"])
        self.stdout.write(f"{count} files written to {options['folder']}")

    @staticmethod
    def _day(text: str) -> object:
        try:
            day = parse_date(text)
        except ValueError:
            day = None
        if day is None:
            raise CommandError(f"--date: {text!r} is not a date such as 2026-05-04")
        return day
