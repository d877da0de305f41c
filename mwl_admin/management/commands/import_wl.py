"""Takes over a worklist that was kept as files."""

from contextlib import nullcontext
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import transaction
from django.utils.translation import gettext as _

from mwl_admin.models.base import because
from mwl_admin.worklist.importing import FileError, Imported, import_data_set, read_file, worklist_files


class Command(BaseCommand):
    help = (
        "Reads DICOM worklist files, as DCMTK's wlmscpfs and Orthanc's worklist plugin keep them. An entry is known by "
        "accession number and step ID: what exists is updated, all else is made. A file with an error is told and "
        "changes nothing; the others are taken all the same, and the exit status is 1."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("paths", nargs="+", type=Path, metavar="PATH", help="a file, or a folder with files below")
        parser.add_argument("--dry-run", action="store_true", help="tell what would be done, and do nothing")

    def handle(self, *args: Any, **options: Any) -> None:
        done, failed = Imported(), 0
        files = [found for path in options["paths"] for found in self._files(path)]
        # One transaction a file, so that staff can write meanwhile; one for all where nothing is to stay.
        with transaction.atomic() if options["dry_run"] else nullcontext():
            for path in files:
                try:
                    with because(_("import of %(file)s") % {"file": path.name}):
                        one = import_data_set(read_file(path))
                except FileError as error:
                    failed += 1
                    self.stderr.write(f"{path}: {error}")
                    continue
                done.created += one.created
                done.updated += one.updated
                done.stations += one.stations
            if options["dry_run"]:
                transaction.set_rollback(True)
        self._report(len(files) - failed, failed, done, dry_run=options["dry_run"])
        if failed:
            raise CommandError(f"{failed} of {len(files)} files could not be taken")

    def _files(self, path: Path) -> list[Path]:
        if not path.exists():
            raise CommandError(f"{path}: no such file or folder")
        return list(worklist_files(path))

    def _report(self, taken: int, failed: int, done: Imported, *, dry_run: bool) -> None:
        made = ", nothing was changed (dry run)" if dry_run else ""
        self.stdout.write(f"{taken} files taken, {failed} not: {done.created} steps made, {done.updated} updated{made}")
        if done.stations:
            self.stdout.write(f"Stations that were not known before: {', '.join(sorted(set(done.stations)))}")
