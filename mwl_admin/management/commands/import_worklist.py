"""Takes entries from a CSV or XLSX file, as a nightly job does."""

import json
from pathlib import Path
from typing import Any

from django.core.management.base import CommandError, CommandParser
from django.utils.translation import gettext as _

from mwl_admin.entries.tables.files import read
from mwl_admin.entries.tables.rows import CREATE, ERROR, UNCHANGED, UPDATE, TableReport, import_table
from mwl_admin.entries.tables.table_limits import TableError, TableLimits, refuse_large_file
from mwl_admin.management.terminal import PlainCommand

ROWS_WRONG = 1
FILE_WRONG = 2


class Command(PlainCommand):
    help = (
        "Makes or updates entries from a CSV or XLSX file; docs/import.md tells its columns. An entry is known by its "
        "accession number. All rows are taken, or none: exit status 0 when all were, 1 when a row is wrong, 2 when the "
        "file cannot be read."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("file", type=Path, metavar="FILE", help="a CSV or XLSX file")
        parser.add_argument("--dry-run", action="store_true", help="tell what would be done, and change nothing")
        parser.add_argument(
            "--update-patients",
            action="store_true",
            help="correct the records of patients whose name, birth date or sex differs; otherwise such a row is wrong",
        )
        parser.add_argument("--json", action="store_true", help="tell it as one JSON object")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            table = read(self._content(options["file"]))
            source = _("import of %(file)s") % {"file": options["file"].name}
            report = import_table(
                table,
                dry_run=options["dry_run"],
                source=source[:100],
                update_patients=options["update_patients"],
            )
        except TableError as error:
            if options["json"]:
                self.stdout.write(json.dumps({"applied": False, "error": str(error)}, ensure_ascii=False))
            raise CommandError(f"{options['file'].name}: {error}", returncode=FILE_WRONG) from error
        self._tell(report, options)
        if report.count(ERROR):
            raise CommandError(f"{_rows(report.count(ERROR))} wrong; nothing was changed.", returncode=ROWS_WRONG)

    def _content(self, path: Path) -> bytes:
        limits = TableLimits.current()
        try:
            with path.open("rb") as file:
                content = file.read(limits.size + 1)
            refuse_large_file(len(content), limits)
            return content
        except OSError as error:
            raise TableError(f"The file cannot be read: {error.strerror}.") from error

    def _tell(self, report: TableReport, options: dict[str, Any]) -> None:
        if options["json"]:
            self.stdout.write(json.dumps(_as_json(report, dry_run=options["dry_run"]), ensure_ascii=False))
            return
        for row in report.rows:
            for heading, message in row.problems:
                self.stderr.write(
                    f"row {row.number}, {heading}: {message}" if heading else f"row {row.number} {message}"
                )
            if row.note:
                self.stdout.write(f"row {row.number}: {row.note}")
        would = "" if report.applied else "would be " if not report.count(ERROR) else "would have been "
        self.stdout.write(
            f"{_rows(len(report.rows))}: {report.count(CREATE)} {would}made, {report.count(UPDATE)} {would}updated, "
            f"{report.count(UNCHANGED)} unchanged, {report.count(ERROR)} wrong"
        )


def _rows(count: int) -> str:
    return "1 row" if count == 1 else f"{count} rows"


def _as_json(report: TableReport, *, dry_run: bool) -> dict[str, Any]:
    return {
        "applied": report.applied,
        "dry_run": dry_run,
        "rows": len(report.rows),
        "created": report.count(CREATE),
        "updated": report.count(UPDATE),
        "unchanged": report.count(UNCHANGED),
        "wrong": report.count(ERROR),
        "problems": [
            {"row": row.number, "column": heading, "message": message}
            for row in report.rows
            for heading, message in row.problems
        ],
        "notes": [{"row": row.number, "message": row.note} for row in report.rows if row.note],
    }
