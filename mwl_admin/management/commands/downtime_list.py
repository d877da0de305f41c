"""Writes the list for a downtime now."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import CommandError, CommandParser

from mwl_admin.management.terminal import PlainCommand
from mwl_admin.site.downtime import listing


class Command(PlainCommand):
    help = (
        "Writes the lists of today and of the next day into one file that any browser opens without the site. The site "
        "does so by itself where DOWNTIME_LIST_DIR is set."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--folder", type=Path, help="where to [DOWNTIME_LIST_DIR]")

    def handle(self, *args: Any, **options: Any) -> None:
        folder = options["folder"] or settings.DOWNTIME_LIST_DIR
        if not folder:
            raise CommandError("Name a folder by --folder, or set DOWNTIME_LIST_DIR")
        try:
            path = listing.write(Path(folder))
        except OSError as error:
            raise CommandError(f"The list can't be written into {folder}: {error.strerror}") from error
        self.stdout.write(str(path))
