"""Files between preview and confirmation: kept in the data folder for an hour, since they hold patients' data."""

from __future__ import annotations

import re
import time
from pathlib import Path
from typing import Any
from uuid import uuid4

from django.conf import settings
from import_export.tmp_storages import BaseStorage

KEEP_SECONDS = 3600


class WaitingFiles(BaseStorage):  # type: ignore[misc]
    """A folder that only the site's own account can read."""

    @property
    def _folder(self) -> Path:
        folder = Path(settings.DATA_DIR) / "imports"
        folder.mkdir(mode=0o700, exist_ok=True)
        return folder

    def _path(self) -> Path:
        # The name comes back from the browser.
        if not re.fullmatch(r"[0-9a-f]{32}", self.name or ""):
            raise FileNotFoundError("no such file")
        return self._folder / str(self.name)

    def save(self, data: Any) -> None:
        """Keep a file, and forget those that nobody has confirmed."""
        forget_old(self._folder)
        self.name = uuid4().hex
        path = self._path()
        path.touch(mode=0o600)
        path.write_bytes(data)

    def read(self) -> bytes:
        """Return the file's content."""
        return self._path().read_bytes()

    def remove(self) -> None:
        """Forget the file."""
        self._path().unlink(missing_ok=True)


def forget_old(folder: Path) -> None:
    """Remove files that have waited for too long."""
    oldest = time.time() - KEEP_SECONDS
    for path in folder.iterdir():
        try:
            if path.stat().st_mtime < oldest:
                path.unlink()
        except FileNotFoundError:  # another worker was faster
            continue
