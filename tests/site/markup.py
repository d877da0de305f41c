"""Pages as tests read them: without the white space that a browser does not show."""

from __future__ import annotations

import re
from typing import Any


def markup(response: Any) -> str:
    """Return a page's markup with each run of white space as one space, and none just within an element."""
    text = re.sub(r"\s+", " ", response.content.decode())
    text = re.sub(r" (?=/?>)", "", text)
    return re.sub(r"(<(?!/)[^>]*>) | (?=</)", r"\1", text)
