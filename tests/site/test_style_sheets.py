"""The style sheets keep the palette: each colour stands once, in colours.css, and has a name that is used."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

STATIC = Path("mwl_admin/static/mwl_admin")
SHEETS = {path.name: path.read_text() for path in STATIC.glob("*.css")}
COLOUR = re.compile(r"#[0-9a-f]{3,8}\b(?=[^{}]*;)|\b(?:rgba?|hsla?|hwb|lab|lch|oklab|oklch)\(", re.IGNORECASE)


def test_each_colour_stands_once_and_in_the_palette() -> None:
    assert {name for name, text in SHEETS.items() if COLOUR.search(text)} == {"colours.css"}
    times = Counter(COLOUR.findall(SHEETS["colours.css"]))
    assert {colour: count for colour, count in times.items() if count > 1} == {}


def test_each_name_of_ours_is_defined_and_used() -> None:
    text = "".join(SHEETS.values())
    defined = set(re.findall(r"(--[\w-]+):", text))
    used = set(re.findall(r"var\((--[\w-]+)", text))
    assert used <= defined
    assert {name for name in defined if name.startswith("--g-")} <= used
