"""Imports go one way, and each package stands where the design says."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from pathlib import Path

import grimp
import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = (
    "dicom_encoding",
    "dicom_listener",
    "gateway_certificates",
    "gateway_link",
    "gateway_settings",
    "mwl_admin",
    "mwl_scp",
    "pacs_receiver",
    "simulator",
)
FIXED = (*PACKAGES, "tests", "benchmarks", "docs", "compose.yaml", "Dockerfile", "Makefile", "manage.py", "README.md")
MAY_IMPORT = {
    "dicom_encoding": set(),
    "dicom_listener": {"dicom_encoding", "gateway_settings"},
    "gateway_certificates": {"gateway_settings"},
    "gateway_link": set(),
    "gateway_settings": {"dicom_encoding"},
    "mwl_admin": {"dicom_encoding", "gateway_link", "gateway_settings"},
    "mwl_scp": {"mwl_admin", "dicom_encoding", "dicom_listener", "gateway_settings"},
    "pacs_receiver": {"dicom_encoding", "dicom_listener", "gateway_link", "gateway_settings"},
    "simulator": {"mwl_admin", "dicom_encoding", "gateway_settings", "embedded"},
}


def imports_of(package: str) -> dict[str, Path]:
    """Return the top-level names that a package's modules import, with one module that does."""
    found: dict[str, Path] = {}
    for path in (ROOT / package).rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                names = [node.module]
            else:
                continue
            found |= {name.partition(".")[0]: path for name in names}
    return found


@pytest.mark.parametrize("name", FIXED)
def test_the_layout_is_the_designs(name: str) -> None:
    assert (ROOT / name).exists()


@pytest.mark.parametrize("package", PACKAGES)
def test_a_package_imports_only_those_that_it_may(package: str) -> None:
    ours = imports_of(package).keys() & {*PACKAGES, "tests", "benchmarks", "embedded"}
    assert ours - {package} <= MAY_IMPORT[package]


def circles_of(package: str) -> list[set[str]]:
    """Return the groups of modules that import each other in a circle, imports for type checking included."""
    graph = grimp.build_graph(package, cache_dir=None)
    ahead = {module: graph.find_upstream_modules(module) for module in graph.modules}
    together = {frozenset({module, *(other for other in ahead[module] if module in ahead[other])}) for module in ahead}
    return [set(group) for group in together if len(group) > 1]


@pytest.mark.parametrize("package", PACKAGES)
def test_no_modules_import_each_other_in_a_circle(package: str) -> None:
    assert circles_of(package) == []


def test_a_circle_is_seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "with_a_circle"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "one.py").write_text("from with_a_circle import two\n")
    (package / "two.py").write_text(
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from with_a_circle.three import Three\n"
    )
    (package / "three.py").write_text("def late():\n    import with_a_circle.one\n")
    (package / "apart.py").write_text("import with_a_circle.one\n")
    monkeypatch.syspath_prepend(tmp_path)
    assert circles_of("with_a_circle") == [{f"with_a_circle.{name}" for name in ("one", "two", "three")}]


def test_the_page_states_the_same_rule() -> None:
    page = (ROOT / "docs" / "architecture.md").read_text()
    _, _, section = page.partition("## The rule of imports\n")
    rows = re.findall(r"^\| `(\w+)` \| (.+) \|$", section.partition("\n## ")[0], re.MULTILINE)
    assert {package: {*re.findall(r"`(\w+)`", allowed)} for package, allowed in rows} == MAY_IMPORT


@pytest.mark.parametrize("package", ["dicom_listener", "pacs_receiver"])
def test_the_receiver_and_the_listener_know_no_django(package: str) -> None:
    assert "django" not in imports_of(package)


def test_the_receiver_starts_where_django_cannot_be_imported() -> None:
    forbid = "import sys; sys.modules['django'] = None; import pacs_receiver.serve, pacs_receiver.cli"
    subprocess.run([sys.executable, "-c", forbid], cwd=ROOT, check=True)


def test_import_linter_agrees() -> None:
    done = subprocess.run(
        [str(Path(sys.executable).parent / "lint-imports"), "--no-cache"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout


def test_loose_in_mwl_admin_stands_only_what_django_people_look_for_first() -> None:
    loose = {path.stem for path in (ROOT / "mwl_admin").glob("*.py")} - {"__init__"}
    assert loose <= {
        "admin", "apps", "checks", "environment", "exceptions", "fields", "gunicorn", "roles", "settings", "urls",
        "validators", "wsgi",
    }  # fmt: skip


@pytest.mark.parametrize("package", [*PACKAGES, "tests", "benchmarks"])
def test_no_module_is_named_for_having_no_subject(package: str) -> None:
    for word in ("utils", "helpers", "common", "misc"):
        assert not list((ROOT / package).rglob(f"{word}.py")), word


def modules_of(package: str) -> list[Path]:
    return [path for path in sorted((ROOT / package).rglob("*.py")) if "migrations" not in path.parts]


def public_classes() -> dict[str, list[str]]:
    """Return the modules that define each public class; Django finds its commands by the name ``Command``."""
    places: dict[str, list[str]] = {}
    for path in (path for package in PACKAGES for path in modules_of(package) if "commands" not in path.parts):
        for node in ast.parse(path.read_text()).body:
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                places.setdefault(node.name, []).append(str(path.relative_to(ROOT)))
    return places


def test_no_public_class_shares_its_name_with_another() -> None:
    assert {name: places for name, places in public_classes().items() if len(places) > 1} == {}


ROLE_NAMES = frozenset(
    {
        "__init__", "__main__", "access", "checks", "cli", "config", "environment", "exceptions", "handlers", "health",
        "metrics", "service", "statuses",
    }
)  # fmt: skip
"""Modules with the same role in each package: to know one is to know where to look in the others."""
ROOMS = ("mwl_admin/models", "mwl_admin/site/admin", "mwl_admin/site/pages", "mwl_admin/api")
"""Where a module is named for its subject, which each of these rooms shows from its own side."""
STILL_TWICE = frozenset(
    {
        "account", "accounts", "addresses", "alarms", "answers", "corrections", "department", "entries",
        "entry", "export", "files", "following", "identity", "keys", "listing", "logins", "making", "outgoing",
        "patients", "query", "registry", "settle", "shared", "site", "slots", "stations",
        "values",
    }
)  # fmt: skip
"""Names that are still to be told apart. It only gets shorter."""


def repeated_modules() -> set[str]:
    """Return the module names that stand twice, though not for a role or for a subject in its rooms."""
    places: dict[str, set[str]] = {}
    for path in (path for package in PACKAGES for path in modules_of(package)):
        folder = str(path.parent.relative_to(ROOT))
        places.setdefault(path.stem, set()).add("a room" if folder in ROOMS else folder)
    return {name for name, folders in places.items() if len(folders) > 1 and name not in ROLE_NAMES}


def test_no_module_shares_its_name_but_for_a_role() -> None:
    assert repeated_modules() <= STILL_TWICE


def test_a_name_told_apart_leaves_the_list() -> None:
    assert repeated_modules() >= STILL_TWICE
