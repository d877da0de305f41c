"""A language made for tests: each text that can be translated stands in ⟦brackets⟧, so that one that can't shows.

What the site's packages translate themselves is in brackets too: what is left outside is either data or a mistake.
"""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from html.parser import HTMLParser
from importlib.util import find_spec
from pathlib import Path

import mwl_admin

CODE = "eo"
"""A language that the site does not have. What its packages have of it is written over."""
OPEN, CLOSE = "⟦", "⟧"
OURS = Path(mwl_admin.__file__).parent / "locale" / "en" / "LC_MESSAGES"

# Of each package a catalogue with all its texts: Django has an empty one, the others have none but translations.
_PACKAGES = {
    "django": (
        "conf/locale/en",
        *(f"contrib/{app}/locale/en" for app in ("admin", "auth", "contenttypes", "sessions")),
    ),
    "import_export": ("locale/de",),
    "simple_history": ("locale/de",),
    "axes": ("locale/de",),
}


def make(folder: Path) -> list[Path]:
    """Make the language; return the folders of its texts, for ``LOCALE_PATHS``."""
    return [_compiled(catalogue, folder / str(number)) for number, catalogue in enumerate(_catalogues())]


def make_scripts(folder: Path) -> None:
    """Make what the site's scripts say in it, in a folder that is laid out as the site's own."""
    _compiled(OURS / "djangojs.po", folder / "locale")


def make_formats(folder: Path) -> str:
    """Make its formats of dates, which are the department's; return the module, for ``FORMAT_MODULE_PATH``."""
    package = folder / "pseudo_formats" / CODE
    package.mkdir(parents=True)
    (package / "formats.py").write_text("from mwl_admin.formats.department import *\n")
    return "pseudo_formats"


def _catalogues() -> Iterator[Path]:
    yield OURS / "django.po"
    for package, patterns in _PACKAGES.items():
        spec = find_spec(package)
        assert spec is not None
        assert spec.origin is not None
        for pattern in patterns:
            yield from sorted(Path(spec.origin).parent.glob(f"{pattern}/LC_MESSAGES/django.po"))


def _compiled(catalogue: Path, folder: Path) -> Path:
    place = folder / CODE / "LC_MESSAGES"
    place.mkdir(parents=True)
    english = subprocess.run(["msgen", catalogue], check=True, capture_output=True).stdout.decode()
    command = ["msgfmt", "--use-fuzzy", f"--output-file={place / catalogue.with_suffix('.mo').name}", "-"]
    subprocess.run(command, input="\n".join(_bracketed(english.splitlines())).encode() + b"\n", check=True)
    return folder


def _bracketed(lines: list[str]) -> Iterator[str]:
    """Yield the lines of a catalogue (PO) with its translations in brackets; its first entry is its header."""
    is_header, starts = True, [*(number for number, line in enumerate(lines) if line.startswith("msgstr"))]
    for number, line in enumerate(lines):
        ends = line.startswith('"') or number in starts
        continues = number + 1 < len(lines) and lines[number + 1].startswith('"')
        inside = starts and starts[0] <= number
        written = line
        if inside and not is_header:
            if number == starts[0]:
                written = written.replace('"', f'"{OPEN}', 1)
            if ends and not continues:
                written = f'{written[:-1]}{CLOSE}"'
        if inside and ends and not continues:
            starts.pop(0)
            is_header = False
        yield written


class _Reader(HTMLParser):
    """Collects what a page shows, or says to screen readers."""

    VOID = frozenset({"area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "source", "wbr"})
    ATTRIBUTES = ("title", "aria-label", "placeholder", "alt")

    def __init__(self) -> None:
        super().__init__()
        self.parts: list[str] = []
        self._open: list[tuple[str, bool]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        self.parts += [f"\n{given[name]}\n" for name in self.ATTRIBUTES if given.get(name)]
        if tag == "input" and given.get("type") in {"submit", "button"}:
            self.parts.append(f"\n{given.get('value') or ''}\n")
        if tag not in self.VOID:
            # Code, what was typed, names of icons, data sets as they are sent.
            quiet = tag in {"script", "style", "template", "textarea"}
            classes = (given.get("class") or "").split()
            quiet |= "material-symbols-outlined" in classes or "g-dataset" in classes
            # Each permission is called as the database has it.
            quiet |= tag == "select" and (given.get("name") or "").endswith("permissions")
            self._open.append((tag, quiet))

    def handle_endtag(self, tag: str) -> None:
        while self._open and any(tag == one for one, _quiet in self._open):
            if self._open.pop()[0] == tag:
                break

    def handle_data(self, data: str) -> None:
        if not any(quiet for _tag, quiet in self._open):
            self.parts.append(data)


def outside(html: str) -> list[str]:
    """Return the lines of a page, and of what it says to screen readers, that stand in no brackets."""
    reader = _Reader()
    reader.feed(html)
    reader.close()
    kept, depth = [], 0
    for sign in "\n".join(reader.parts):
        if sign == OPEN:
            depth += 1
            kept.append("\n")
        elif sign == CLOSE:
            depth -= 1
        elif depth == 0:
            kept.append(sign)
    assert depth == 0, "brackets that are cut off"
    return [line for line in (" ".join(line.split()) for line in "".join(kept).splitlines()) if line]
