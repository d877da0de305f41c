"""Writes the worklist as files."""

import json
from pathlib import Path
from typing import Any

from django.core.management.base import CommandError, CommandParser
from django.db.models import Q
from django.utils.dateparse import parse_date

from mwl_admin.management.plaintext import plain
from mwl_admin.management.terminal import PlainCommand
from mwl_admin.models.status import OPEN
from mwl_admin.wlfiles.exporting import Export, count, write_files
from mwl_admin.wlfiles.file_terminal import character_set, progress, steps_table
from mwl_admin.worklist.charset import DEFAULT_TERM
from mwl_admin.worklist.matching import Condition

LOSSY = 1
NOT_RUN = 2


class Command(PlainCommand):
    help = (
        "Writes each open step of the worklist into a DICOM file of its own, for DCMTK's wlmscpfs or Orthanc's "
        "worklist plugin; docs/import.md tells the rules. Files of other steps that are in the folder already stay. "
        "Exit status 0 when all is written as it is, 1 when the character set lacks letters, 2 when nothing was tried."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("folder", type=Path, metavar="DIR")
        parser.add_argument("--date", help="only steps of this day, YYYY-MM-DD")
        parser.add_argument(
            "--all",
            action="store_true",
            help="finished and cancelled steps too, as .dcm, which wlmscpfs and Orthanc do not offer",
        )
        parser.add_argument(
            "--character-set", default=DEFAULT_TERM, metavar="TERM", help="defined term, by default %(default)s"
        )
        parser.add_argument("--json", action="store_true", help="tell it as one JSON object")

    def handle(self, *args: Any, **options: Any) -> None:
        character_set(options["character_set"])
        conditions = [] if options["all"] else [Condition("open steps", Q(status__in=sorted(OPEN)))]
        if options["date"]:
            conditions.append(Condition("one day", Q(scheduled_date=self._day(options["date"]))))
        chosen = tuple(conditions)
        folder: Path = options["folder"]
        try:
            with progress(count(chosen), hidden=options["json"]) as advance:
                export = write_files(folder, chosen, character_set=options["character_set"], progress=advance)
        except OSError as error:
            raise CommandError(f"{folder}: cannot be written: {error.strerror}", returncode=NOT_RUN) from error
        if options["json"]:
            self.stdout.write(json.dumps(_as_json(export, folder), ensure_ascii=False))
        else:
            self._tell(export, folder, options["character_set"])
        if export.lossy:
            raise CommandError(
                f"{len(export.lossy)} of {len(export.files)} files lost letters: choose another --character-set",
                returncode=LOSSY,
            )

    def _tell(self, export: Export, folder: Path, term: str) -> None:
        for name, (number, letters) in export.lossy.items():
            told = f"{name} (accession number {number}): {term} does not have {' '.join(letters)}, written as ?"
            self.stderr.write(plain(told))
        for name, lacking in export.ignored.items():
            self.stdout.write(f"{name}: wlmscpfs will ignore it, for want of {', '.join(lacking)}")
        for line in steps_table(export.steps):
            self.stdout.write(line)
        self.stdout.write(plain(f"{len(export.files)} files written to {folder}"))
        if export.ignored:
            self.stdout.write(f"{len(export.ignored)} of them wlmscpfs will ignore; see above.")

    @staticmethod
    def _day(text: str) -> object:
        try:
            day = parse_date(text)
        except ValueError:
            day = None
        if day is None:
            raise CommandError(f"--date: {text!r} is not a date such as 2026-05-04", returncode=NOT_RUN)
        return day


def _as_json(export: Export, folder: Path) -> dict[str, Any]:
    return {
        "folder": str(folder),
        "files": len(export.files),
        "steps": [
            {"date": date, "modality": modality, "status": status, "steps": number}
            for (date, modality, status), number in sorted(export.steps.items())
        ],
        "lossy": [
            {"file": name, "accession_number": number, "letters": letters}
            for name, (number, letters) in export.lossy.items()
        ],
        "ignored_by_wlmscpfs": [{"file": name, "lacks": lacking} for name, lacking in export.ignored.items()],
    }
