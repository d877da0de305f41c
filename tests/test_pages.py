"""The pages lead somewhere: links resolve, the files that they name exist, and the index lists them all."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.processes import ROOT

DOCS = ROOT / "docs"
INDEX = DOCS / "README.md"
PAGES = (*sorted(ROOT.glob("*.md")), *sorted(DOCS.rglob("*.md")))
# what is true of the past may name files that are gone
PRESENT = tuple(page for page in PAGES if page.name != "CHANGELOG.md")
AT_THE_TOP = {path.name for path in ROOT.iterdir() if not path.name.startswith(".")}
GUIDES = (ROOT / "CONTRIBUTING.md", DOCS / "architecture.md", DOCS / "recipes.md")
SUFFIXES = "cfg|conf|css|html|in|js|json|md|po|py|sh|svg|toml|txt|yaml"
# made by running, not kept in the repository
MADE = {"var", "sbom.cdx.json", "docs/nightly.md", "mwl_admin.env", "mwl_scp.env", "pacs_receiver.env"}


def named(path: Path) -> str:
    return str(path.relative_to(ROOT))


def prose(page: Path) -> str:
    """Return the page without its fenced blocks, which show what programs read and print."""
    return re.sub(r"^( *)```.*?^\1```", "", page.read_text(), flags=re.MULTILINE | re.DOTALL)


def links(page: Path) -> list[str]:
    text = re.sub(r"`[^`]*`", "", prose(page))
    return [target for target in re.findall(r"\]\(([^)\s]+)\)", text) if "://" not in target]


def anchors(page: Path) -> set[str]:
    """Return the page's headings as GitHub makes anchors of them."""
    headings = re.findall(r"^#+ (.+)$", prose(page), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def is_path(code: str) -> bool:
    """Tell whether inline code names a file or folder of the repository."""
    if not re.fullmatch(r"[\w.*/-]+", code) or code.startswith("/"):
        return False
    top, slash, _ = code.partition("/")
    if code in MADE or top in MADE:
        return False
    return bool(slash and top in AT_THE_TOP) or bool(
        re.fullmatch(rf"[\w*-]+\.({SUFFIXES})", code) and top in AT_THE_TOP
    )


def paths(page: Path) -> list[str]:
    return [code for code in re.findall(r"`([^`\n]+)`", prose(page)) if is_path(code)]


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_each_link_leads_to_a_page_and_a_heading(page: Path) -> None:
    for link in links(page):
        target, _, anchor = link.partition("#")
        path = (page.parent / target).resolve() if target else page
        assert path.exists(), link
        assert not anchor or anchor in anchors(path), link


@pytest.mark.parametrize("page", PRESENT, ids=named)
def test_each_file_that_a_page_names_exists(page: Path) -> None:
    missing = [path for path in paths(page) if not any(ROOT.glob(path))]
    assert not missing


@pytest.mark.parametrize("page", PRESENT, ids=named)
def test_each_name_that_a_page_places_in_a_file_stands_there(page: Path) -> None:
    """A path followed by names in brackets, such as `file.py` (`function`), says what to look for in the file."""
    for path, brackets in re.findall(r"`([\w/.-]+\.\w+)`\s+\(((?:`\w+`(?:,\s|\sand\s)?)+)\)", prose(page)):
        text = (ROOT / path).read_text()
        missing = [name for name in re.findall(r"`(\w+)`", brackets) if not re.search(rf"\b{name}\b", text)]
        assert not missing, path


@pytest.mark.parametrize("page", GUIDES, ids=named)
def test_each_name_that_a_guide_gives_stands_in_the_code(page: Path) -> None:
    folders = [ROOT / name for name in AT_THE_TOP - {"var"} if (ROOT / name / "__init__.py").is_file()]
    files = [*ROOT.glob("*.py"), *(path for folder in folders for path in folder.rglob("*.py"))]
    known = {word for path in files for word in re.findall(r"\w+", path.read_text())}
    names = [code for code in re.findall(r"`([^`\n]+)`", prose(page)) if re.fullmatch(r"[A-Za-z_]\w*(\.\w+)*", code)]
    missing = [name for name in names if not is_path(name) and not {*name.split(".")} <= known]
    assert not missing


def test_the_index_lists_each_page() -> None:
    listed = {(DOCS / link.partition("#")[0]).resolve() for link in links(INDEX)}
    assert not [named(page) for page in PAGES if page != INDEX and page not in listed]


def test_no_page_stands_where_nobody_looks_for_it() -> None:
    """`make lint` looks at the top and under docs/."""
    folders = [ROOT / name for name in sorted(AT_THE_TOP - {"docs", "node_modules", "var"})]
    assert not [named(page) for folder in folders if folder.is_dir() for page in folder.rglob("*.md")]
