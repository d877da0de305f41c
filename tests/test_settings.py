"""docs/settings.md says what the code reads: every variable, every default, nothing else."""

from __future__ import annotations

import json
import re
import subprocess
import sys

import pytest

from tests.processes import ROOT, clean_environment

COMPOSE_ONLY = "The containers"
IN_WORDS = {
    # what the page says in words, and what the code reads then
    "DJANGO_SECRET_KEY": "",
    "DJANGO_SUPERUSER_PASSWORD": "",
    "PACS_NOTIFY_SECRET": "",
    "DJANGO_SECURE_COOKIES": "0",
}

# Runs by itself, in an empty folder and without any of our variables: records each reading of the environment.
RECORD = """
import json, sys
from environs import FileAwareEnv

seen = {}
original = FileAwareEnv.str

def record(self, name, default=None, *args, **kwargs):
    seen[name] = default
    return original(self, name, default, *args, **kwargs)

FileAwareEnv.str = record
import mwl_admin.settings
import mwl_admin.gunicorn
import gateway_certificates.cli, mwl_scp.config, pacs_receiver.config
from gateway_settings.environment import environment
mwl_scp.config.load(environment())
from simulator import addresses
addresses.worklist_provider(environment()), addresses.receiver(environment())
pacs_receiver.config.load(environment())
gateway_certificates.cli.store()
print(json.dumps(seen))
"""


def documented(*, containers: bool = False) -> dict[str, str]:
    """Return each variable of the page with its default as written."""
    found: dict[str, str] = {}
    for section in re.split(r"^## ", (ROOT / "docs" / "settings.md").read_text(), flags=re.MULTILINE)[1:]:
        if section.startswith(COMPOSE_ONLY) != containers:
            continue
        for variables, default in re.findall(r"^\| (`[A-Z`_, ]+`) \| ([^|]*) \|", section, re.MULTILINE):
            names = re.findall(r"`([A-Z_]+)`", variables)
            defaults = [part.strip() for part in default.split(", ")] if len(names) > 1 else [default.strip()]
            if len(defaults) == 1:
                defaults *= len(names)
            assert len(defaults) == len(names), variables
            for name, value in zip(names, defaults, strict=True):
                assert name not in found, f"{name} stands twice"
                found[name] = value
    return found


@pytest.fixture(scope="module")
def read_by_the_code(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    folder = tmp_path_factory.mktemp("settings")
    done = subprocess.run(
        [sys.executable, "-c", RECORD],
        cwd=folder,
        env={**clean_environment({}), "DJANGO_SETTINGS_MODULE": "mwl_admin.settings"},
        capture_output=True,
        text=True,
        check=True,
    )
    seen: dict[str, str] = json.loads(done.stdout.splitlines()[-1])
    return {name: str(default).replace(f"{folder}/", "") for name, default in seen.items()}


def read_by_literal_name() -> set[str]:
    """Return the variables that any module reads by a literal name, such as those read by one command only."""
    pattern = re.compile(r"""\b_?read\(\s*(?:[\w.()]+,\s*)?["']([A-Z][A-Z0-9_]+)["']""")
    packages = (
        "mwl_admin",
        "mwl_scp",
        "pacs_receiver",
        "dicom_listener",
        "gateway_settings",
        "gateway_certificates",
        "simulator",
    )
    sources = [path.read_text() for name in packages for path in (ROOT / name).rglob("*.py")]
    return {name for text in sources for name in pattern.findall(text)}


def test_the_page_names_each_variable_that_is_read_and_no_other(read_by_the_code: dict[str, str]) -> None:
    assert documented().keys() == read_by_the_code.keys() | read_by_literal_name()


def test_the_page_states_each_default(read_by_the_code: dict[str, str]) -> None:
    for name, said in documented().items():
        if name in IN_WORDS:
            assert read_by_the_code.get(name, "") == IN_WORDS[name], name
        elif said.startswith("`"):
            assert said.strip("`") == read_by_the_code[name], name
        elif said != "number of cores":
            # "none", "everyone", "all": what an empty value means
            assert read_by_the_code[name] == "", name


def test_the_page_covers_what_the_containers_are_given() -> None:
    compose = (ROOT / "compose.yaml").read_text() + (ROOT / "deploy" / "link.env").read_text()
    images = {"GATEWAY_IMAGE", "PYTHON_IMAGE", "POSTGRES_IMAGE", "PROXY_IMAGE"}
    given = set(re.findall(r"\$\{([A-Z_]+)", compose)) - images
    assert given <= documented().keys() | documented(containers=True).keys()
    for name, default in re.findall(r"\$\{([A-Z_]+):-([^}]+)\}", compose):
        said = {**documented(), **documented(containers=True)}.get(name)
        # "none": what is right for a process alone, and not inside the Compose network
        assert said is None or not said.startswith("`") or said.strip("`") == default, name


def test_the_example_names_each_password_and_holds_none() -> None:
    example = (ROOT / ".env.example").read_text()
    for name in re.findall(r"\$\{([A-Z_]*PASSWORD)", (ROOT / "compose.yaml").read_text()):
        assert re.search(rf"^{name}=$", example, re.MULTILINE), name
