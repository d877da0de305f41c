"""The image that the tests of the containers store."""

from __future__ import annotations

from pathlib import Path

import pydicom

IMAGE = Path(pydicom.__file__).parent / "data" / "test_files" / "CT_small.dcm"
