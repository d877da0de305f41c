"""Takes over a worklist that was kept as files."""

import json
from pathlib import Path
from typing import Any

from django.core.management.base import CommandError, CommandParser

from mwl_admin.management.plaintext import plain
from mwl_admin.management.terminal import PlainCommand
from mwl_admin.wlfiles.file_errors import told
from mwl_admin.wlfiles.file_reading import worklist_files
from mwl_admin.wlfiles.file_terminal import character_set, progress, steps_table
from mwl_admin.wlfiles.importing import FilesReport, import_files

FILES_REFUSED = 1
NOT_RUN = 2


class Command(PlainCommand):
    help = (
        "Reads DICOM worklist files, as DCMTK's wlmscpfs and Orthanc's worklist plugin keep them; docs/import.md tells "
        "the rules. An order is known by accession number or Study Instance UID, a step by its ID within the order: "
        "what exists is updated, all else is made. A file that is refused changes nothing, and the others are taken "
        "all the same. Exit status 0 when all files were taken, 1 when one was refused, 2 when nothing was tried."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("paths", nargs="+", type=Path, metavar="PATH", help="a file, or a folder with files below")
        parser.add_argument("--dry-run", action="store_true", help="tell what would be done, and do nothing")
        parser.add_argument(
            "--character-set",
            metavar="TERM",
            help="what files are in that name no character set, or one that they are not in, e.g. ISO_IR 100",
        )
        parser.add_argument(
            "--placeholder-ids",
            action="store_true",
            help="make a patient record of its own for each order whose patient ID is missing, 0, UNKNOWN or the like",
        )
        parser.add_argument("--json", action="store_true", help="tell it as one JSON object")

    def handle(self, *args: Any, **options: Any) -> None:
        assumed = character_set(options["character_set"]) if options["character_set"] else None
        # A file that is named twice, by itself and by its folder, is still one.
        files = list(dict.fromkeys(found for path in options["paths"] for found in self._files(path)))
        with progress(len(files), hidden=options["json"]) as advance:
            report = import_files(
                files,
                dry_run=options["dry_run"],
                assumed=assumed,
                placeholder_ids=options["placeholder_ids"],
                progress=advance,
            )
        if options["json"]:
            self.stdout.write(json.dumps(_as_json(report), ensure_ascii=False))
        else:
            self._tell(report)
        if report.refused:
            raise CommandError(
                f"{len(report.refused)} of {len(files)} files could not be taken", returncode=FILES_REFUSED
            )

    def _files(self, path: Path) -> list[Path]:
        if not path.exists():
            raise CommandError(f"{path}: no such file or folder", returncode=NOT_RUN)
        found = list(worklist_files(path))
        if not found:
            raise CommandError(f"{path}: no worklist files (.wl, .dcm, .wklist)", returncode=NOT_RUN)
        return found

    def _tell(self, report: FilesReport) -> None:
        for outcome in report.files:
            for text in told(outcome.problems):
                self.stderr.write(plain(f"{outcome.path}: {text}"))
            for text in told(outcome.notes):
                self.stdout.write(plain(f"{outcome.path}: note: {text}"))
        for line in steps_table(report.steps()):
            self.stdout.write(line)
        numbers = _numbers(report)
        made = "" if report.applied else ", nothing was changed (dry run)"
        self.stdout.write(
            f"{numbers['taken']} files taken, {numbers['refused']} not: {numbers['created']} steps made, "
            f"{numbers['updated'] + numbers['unchanged']} updated{made}"
        )
        if numbers["unchanged"]:
            self.stdout.write(f"Of the steps updated, {numbers['unchanged']} were so already.")
        self.stdout.write(f"Patients made: {numbers['patients_created']}. Notes to be looked at: {numbers['notes']}.")
        if report.stations:
            self.stdout.write(plain(f"Stations that were not known before: {', '.join(report.stations)}"))


def _numbers(report: FilesReport) -> dict[str, int]:
    taken = report.taken
    created, unchanged = (sum(getattr(one, name) for one in taken) for name in ("created", "unchanged"))
    return {
        "files": len(report.files),
        "taken": len(taken),
        "refused": len(report.refused),
        "created": created,
        "updated": sum(len(one.steps) for one in taken) - created - unchanged,
        "unchanged": unchanged,
        "patients_created": sum(one.patient_created for one in taken),
        "notes": sum(len(outcome.notes) for outcome in report.files),
    }


def _as_json(report: FilesReport) -> dict[str, Any]:
    def listed(name: str) -> list[dict[str, str]]:
        return [
            {
                "file": str(outcome.path),
                "attribute": problem.attribute,
                "message": problem.message,
                "code": problem.code,
            }
            for outcome in report.files
            for problem in getattr(outcome, name)
        ]

    return {
        "applied": report.applied,
        **_numbers(report),
        "steps": [
            {"date": date, "modality": modality, "status": status, "steps": count}
            for (date, modality, status), count in sorted(report.steps().items())
        ],
        "stations": report.stations,
        "problems": listed("problems"),
        "left_out": listed("notes"),
    }
